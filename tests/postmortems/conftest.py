"""A small world to review in: a resolved incident, who commanded it, and a clock that stands still until moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group

from apps.catalog.models import Membership, Team
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents import operations as incidents
from apps.incidents.models import Incident
from apps.messaging.models import Message
from apps.people.models import ContactPoint, User
from apps.policies.models import PolicyVersion
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import actor, incident, named, novacron, team

SYSTEM = Actor.system()


@dataclass
class World:
    """Cleo commands and writes; Mona is her manager and reviews; Ida does what was promised; Ria responds."""

    clock: ManualClock
    version: PolicyVersion
    team: Team
    people: dict[str, User] = field(default_factory=dict)

    def person(self, name: str, *groups: str, **fields: Any) -> User:
        user = named(name, *groups, **fields)
        ContactPoint.objects.create(user=user, kind="email", address=user.email)
        self.people[name] = user
        return user

    def by(self, name: str) -> Actor:
        return actor(self.people[name])

    def join(self, name: str, group: str) -> None:
        self.people[name].groups.add(Group.objects.get(name=group))

    def open_incident(self, title: str = "Nobody can log in", severity: str = "P1", **given: Any) -> Incident:
        made = incident(title, severity, team_id=self.team.pk, **given)
        incidents.take_role(made.pk, "commander", actor=self.by("cleo"))
        return made

    def resolve(self, made: Incident, **after: float) -> Incident:
        self.wait(**(after or {"minutes": 29}))
        incidents.resolve(made.pk, actor=self.by("cleo"))
        self.deliver()
        made.refresh_from_db()
        return made

    def resolved(self, **given: Any) -> Incident:
        return self.resolve(self.open_incident(**given))

    def review(self, made: Incident | None = None) -> Review:
        return Review.objects.get(incident=made or self.resolved())

    def fill(self, review: Review) -> Review:
        for section in review.sections.all():
            operations.edit_section(section.pk, f"All about {section.slug}.", actor=self.by("cleo"))
        review.refresh_from_db()
        return review

    def submitted(self, review: Review | None = None) -> Review:
        found = self.fill(review or self.review())
        return operations.submit(found.pk, actor=self.by("cleo"))

    def reviewed(self, review: Review | None = None) -> Review:
        return operations.mark_reviewed(self.submitted(review).pk, actor=self.by("mona"))

    def item(self, review: Review, title: str = "Alert on the pool", **given: Any) -> ActionItem:
        chosen = {"owner_id": self.people["ida"].pk, "priority": "P1", "due_at": now() + timedelta(days=3), **given}
        return operations.add_item(review.pk, title, actor=self.by("cleo"), **chosen)

    def wait(self, **step: float) -> None:
        self.clock.advance(timedelta(**step))
        while fire_timers():
            pass

    def deliver(self) -> None:
        while deliver():
            pass

    def told(self, name: str, channel: str = "inbox", start: str = "") -> list[str]:
        rows = Message.objects.filter(recipient=self.people[name], channel=channel, title__startswith=start)
        return list(rows.order_by("pk").values_list("title", flat=True))

    def events(self, kind: str) -> list[Event]:
        return list(Event.objects.filter(kind=f"postmortems.{kind}").order_by("pk"))

    def lines(self, made: Incident, kind: str) -> list[str]:
        self.deliver()
        return list(made.timeline.filter(kind=kind).order_by("seq").values_list("text", flat=True))


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    found = ManualClock(datetime(2026, 5, 4, 14, 23, tzinfo=UTC))
    with use_clock(found):
        yield found


@pytest.fixture
def world(db: None, clock: ManualClock) -> World:
    made = World(clock, novacron(), team("Core"))
    mona = made.person("mona", "manager")
    cleo = made.person("cleo", "commander", manager=mona)
    Membership.objects.create(team=made.team, user=cleo)
    made.person("ida", "viewer", manager=mona)
    made.person("ria", "responder")
    return made
