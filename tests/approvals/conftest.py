"""A question about an incident: Cora asks, Aron decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import request_approval
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.people.models import ContactPoint, User
from tests.factories import actor, incident, named

CONTENT: dict[str, Any] = {"version": "abc", "parameters": {"document": "economy"}, "targets": []}


class Question:
    """Who asks, who may decide, and about what."""

    def __init__(self) -> None:
        self.cora = named("cora", "commander")
        self.aron = named("aron", "approver")
        for user in (self.cora, self.aron):
            ContactPoint.objects.create(user=user, kind="email", address=user.email)
        self.incident: Incident = incident("Coins rain from the sky")

    @property
    def subject(self) -> Subject:
        return Subject("incident", str(self.incident.pk))

    def ask(
        self, content: dict[str, Any] | None = None, *, by: User | Actor | None = None, **more: Any
    ) -> ApprovalRequest:
        who = by if isinstance(by, Actor) else actor(by or self.cora)
        given = {"title": "Roll the economy back", "reason": "it rains coins", **more}
        return request_approval(self.subject, content or CONTENT, actor=who, **given)


@pytest.fixture
def question(db: None) -> Question:
    return Question()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 4, 12, 0, tzinfo=UTC))
