"""A small world to page in: a subject of the tests' own, a pack with a short path, people who answer for roles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import pytest
import yaml
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast

from apps.catalog.models import Team
from apps.engine.models import Event, Timer
from apps.engine.sweep import fire_timers
from apps.foundation import subjects
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.subjects import Subject, SubjectKind, register_subject
from apps.messaging.models import Message
from apps.oncall.models import RoleBinding
from apps.paging.models import EscalationRun, Page
from apps.paging.operations import EscalationStart, start_escalations
from apps.people.models import ContactPoint, User
from apps.policies.models import PolicyVersion
from tests.factories import answers_for, named, novacron_text, pack, team

SYSTEM = Actor.system()
PAGE, MANAGEMENT = EscalationRun.Track.PAGE, EscalationRun.Track.MANAGEMENT
_numbers = count(1)


def level(number: int, role: str, after: str = "0s", **more: Any) -> dict[str, Any]:
    return {
        "level": number,
        "name": role.capitalize(),
        "after": after,
        "roles": [role],
        "severities": ["P0", "P1"],
        **more,
    }


def path_pack(
    *levels: dict[str, Any], until: str = "acknowledged", repeat: dict[str, Any] | None = None, **more: Any
) -> PolicyVersion:
    """The NovaCron pack with another escalation path."""
    escalation = {"until": until, "path": list(levels), **({"repeat": repeat} if repeat else {}), **more}
    return pack(_text_with(json.dumps(escalation)))


@cache
def _text_with(escalation: str) -> str:
    """Written once for each path: hundreds of tests ask for the same few."""
    document = yaml.safe_load(novacron_text())
    document["escalation"] = json.loads(escalation)
    for severity in document["severities"]:
        severity["paging"] = "page" if severity["id"] in {"P0", "P1"} else "notify"
    return str(yaml.safe_dump(document, sort_keys=False))


def two_levels() -> PolicyVersion:
    return path_pack(level(1, "primary"), level(2, "secondary", "5m"), repeat={"times": 1, "every": "5m"})


@dataclass
class World:
    """Ana answers for primary, Ben for secondary; severity P1; the clock stands still until it is moved."""

    clock: ManualClock
    version: PolicyVersion
    team: Team
    people: dict[str, User] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def answer(self, name: str, role: str, *groups: str) -> User:
        user = self.people.get(name) or named(f"{name}{next(_numbers)}", *groups)
        ContactPoint.objects.get_or_create(user=user, kind="email", address=user.email)
        answers_for(role, user, self.team)
        self.people[name] = user
        return user

    def silence(self, role: str) -> None:
        RoleBinding.objects.filter(role=role, team=self.team).delete()

    def subject(self) -> Subject:
        return Subject("squad", str(team(f"Subject {next(_numbers)}").pk))

    def item(self, subject: Subject | None = None, severity: str = "P1") -> EscalationStart:
        return EscalationStart(
            subject=subject or self.subject(),
            team_id=self.team.pk,
            policy_version_id=self.version.pk,
            severity=severity,
            title="INC-1 Nobody can log in",
            detected_at=now(),
        )

    def start(self, count: int = 1, severity: str = "P1") -> Subject:
        items = [self.item(severity=severity) for _ in range(count)]
        start_escalations(items, actor=SYSTEM)
        return items[0].subject

    def wait(self, **step: float) -> None:
        self.clock.advance(timedelta(**step))
        while fire_timers():
            pass

    def run(self, subject: Subject, track: str = PAGE) -> EscalationRun:
        return EscalationRun.objects.get(subject_kind=subject.kind, subject_key=subject.key, track=track)

    def pages(self, subject: Subject) -> list[Page]:
        rows = Page.objects.filter(subject_kind=subject.kind, subject_key=subject.key)
        return list(rows.select_related("user").order_by("pk"))

    def paged(self, subject: Subject) -> list[tuple[str, int]]:
        """Who was paged, how many seconds after this world began."""
        names = {user.pk: name for name, user in self.people.items()}
        return [
            (names[page.user_id], round((page.created_at - self.began).total_seconds())) for page in self.pages(subject)
        ]

    def events(self, subject: Subject, kind: str = "") -> list[Event]:
        rows = Event.objects.filter(subject_kind=subject.kind, subject_key=subject.key, kind__contains=kind)
        return list(rows.order_by("pk"))

    def emails(self, subject: Subject) -> list[Message]:
        rows = Message.objects.filter(subject_kind=subject.kind, subject_key=subject.key, channel="email")
        return list(rows.order_by("pk"))

    def pending(self) -> QuerySet[Timer]:
        return Timer.objects.filter(kind="paging.escalate", state="pending")


def _titles(keys: Iterable[str]) -> dict[str, str]:
    return {str(row.pk): row.name for row in Team.objects.filter(pk__in=[int(key) for key in keys])}


def _visible_keys(user: Any) -> QuerySet[Any, Any]:
    """Members of the squad see it."""
    rows = Team.objects.filter(memberships__user_id=user.pk)
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


@pytest.fixture(autouse=True)
def squads() -> Iterator[None]:
    register_subject(
        SubjectKind(kind="squad", titles=_titles, url=lambda key: f"/squad/{key}/", visible_keys=_visible_keys)
    )
    yield
    subjects._kinds.pop("squad")


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    found = ManualClock(datetime(2026, 5, 4, 3, tzinfo=UTC))
    with use_clock(found):
        yield found


@pytest.fixture
def world(db: None, clock: ManualClock) -> World:
    made = World(clock, two_levels(), team("Core"))
    made.answer("ana", "primary")
    made.answer("ben", "secondary")
    return made
