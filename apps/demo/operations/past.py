"""Incidents of the past and their reviews, played through the real operations on a clock that stood at their time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from apps.catalog.models import Service
from apps.demo.lessons import LESSONS
from apps.demo.operations.lessons import write_review
from apps.demo.organisation import PAST_INCIDENTS, PastIncident, Step
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers, next_due_at
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.models import Incident
from apps.incidents.operations import acknowledge, declare, mark, post, resolve, set_phase, take_role
from apps.messaging.models import Message
from apps.messaging.silencing import silence_mails
from apps.people.models import User
from apps.people.queries import actor_for_user
from apps.policies.models import PolicyPack

PAST_PACK = "novacron-v2"


def seed_past_incidents(services: Mapping[str, Service], people: Mapping[str, User]) -> int:
    """Play the past incidents, only while there is no incident at all; returns how many were played.

    Escalations and reminders fire on the way as they did then. Nobody gets a mail of it: all are void in the
    transaction that wrote them.
    """
    if Incident.objects.exists():
        return 0
    # Whatever pack is followed today: this past speaks of the severities and reviews of this one.
    version_id = PolicyPack.objects.get(slug=PAST_PACK).active_version_id
    today = now()
    with transaction.atomic():
        before = Message.objects.aggregate(last=Max("pk"))["last"] or 0
        ended = today
        for past in PAST_INCIDENTS:
            ended = _play(past, today - timedelta(days=past.days_ago), version_id, services, people)
        _remind(ended, today)
        silence_mails(after_id=before, reason="about the past of the demo", actor=Actor.system("demo"))
    return len(PAST_INCIDENTS)


def _remind(since: datetime, until: datetime) -> None:
    """Let the reminders of what was promised fall due until now, or they would all come with the first start."""
    clock = ManualClock(since)
    with use_clock(clock):
        _let_pass(clock, until)
        while fire_timers():
            pass
        _tell_all()


def _play(
    past: PastIncident,
    at: datetime,
    version_id: int | None,
    services: Mapping[str, Service],
    people: Mapping[str, User],
) -> datetime:
    """One of them, from its declaration until its review was written; returns when that was."""
    clock = ManualClock(at)
    first = services[past.services[0]]
    with use_clock(clock):
        incident = declare(
            past.title,
            past.severity,
            summary=past.summary,
            team_id=first.owner_id,
            service_ids=[services[slug].pk for slug in past.services],
            source="demo",
            policy_version_id=version_id,
            actor=Actor.system("demo"),
        )
        for step in past.steps:
            _let_pass(clock, at + step.after)
            _do(step, incident.pk, actor_for_user(people[step.who], "web"))
        _tell_all()
        incident.refresh_from_db()
        for lesson in LESSONS:
            if lesson.incident == past.title:
                write_review(lesson, incident, clock, people)
    return clock()


def _tell_all() -> None:
    """Let everybody hear who hears of an event, such as the one who opens a review at an incident's end."""
    while deliver():
        pass


def _let_pass(clock: ManualClock, until: datetime) -> None:
    """Move to `until`, firing on the way what falls due, and telling of it."""
    deliver()
    while (due := next_due_at()) is not None and due <= until:
        clock.move_to(max(due, clock()))
        if not fire_timers():
            break
        deliver()
    clock.move_to(until)


def _do(step: Step, incident_id: int, actor: Actor) -> None:
    if step.what == "acknowledge":
        acknowledge(incident_id, actor=actor)
    elif step.what == "command":
        take_role(incident_id, "commander", actor=actor)
    elif step.what == "phase":
        set_phase(incident_id, step.text, actor=actor)
    elif step.what == "mark":
        mark(incident_id, step.text, actor=actor)
    elif step.what == "post":
        post(incident_id, step.text, actor=actor)
    elif step.what == "resolve":
        resolve(incident_id, summary=step.text, actor=actor)
    else:
        raise ValueError(f"Nobody can {step.what!r} in the demo.")
