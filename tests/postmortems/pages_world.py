"""Reviews in every state, items in every state, and who looks at them: for tests of pages and for pictures of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.engine.operations import deliver
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents import operations as incidents
from apps.incidents.models import Incident
from apps.people.models import User
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import actor, incident, named, service, team

TEXTS = {
    "summary": "Logins failed for **29 minutes** after the deployment of API v2.3.1.\n\nAbout a third of all players "
    "could not log in; those who were in the game noticed nothing.",
    "impact": "- **Players affected**: about 31,000\n- **Requests failed**: ~45,000\n- **Revenue**: about $5,000",
    "root-cause": "A query held connections for 30 s instead of under 1 s:\n\n```\nSELECT … FOR UPDATE\n```\n\n"
    "The pool (`max_connections = 1000`) was exhausted within 3 minutes.",
    "worked-well": "1. Fast detection\n2. The alert said what to do",
    "to-improve": "- The slow query was not caught in staging\n- The rollback took longer than expected",
    "lessons": "Staging did not replicate production's load.",
}


@dataclass
class Busy:
    """Mona manages Cleo and Ida. `draft` is half written and overdue, `waiting` awaits Mona."""

    mona: User
    cleo: User
    ida: User
    draft: Review
    waiting: Review
    overdue: ActionItem


def resolved(title: str, severity: str, cleo: User, at: datetime, **given: object) -> Incident:
    """An incident that began at `at` and was resolved half an hour later, with something on its timeline."""
    clock = ManualClock(at)
    with use_clock(clock):
        made = incident(title, severity, **given)  # type: ignore[arg-type]  # what declare takes
        clock.advance(timedelta(minutes=2))
        incidents.take_role(made.pk, "commander", actor=actor(cleo))
        clock.advance(timedelta(minutes=5))
        incidents.set_phase(made.pk, "mitigating", actor=actor(cleo))
        incidents.post(made.pk, "Rolling back to `4.2.0`\n\n- one region at a time", actor=actor(cleo))
        clock.advance(timedelta(minutes=20))
        incidents.set_phase(made.pk, "validating", actor=actor(cleo))
        clock.advance(timedelta(minutes=3))
        incidents.resolve(made.pk, summary="Rolled back", actor=actor(cleo))
        while deliver():
            pass
    return made


def write(review: Review, by: User, *slugs: str) -> None:
    for section in review.sections.all():
        if not slugs or section.slug in slugs:
            operations.edit_section(section.pk, TEXTS.get(section.slug, "As above."), actor=actor(by))


def promise(review: Review, title: str, owner: User, by: User, **given: object) -> ActionItem:
    chosen = {"owner_id": owner.pk, "priority": "P1", "due_at": now() + timedelta(days=3), **given}
    return operations.add_item(review.pk, title, actor=actor(by), **chosen)  # type: ignore[arg-type]  # mixed values


def busy() -> Busy:
    """The whole of it, some days old."""
    mona = named("mona", "manager")
    cleo, ida = named("cleo", "commander", manager=mona), named("ida", "responder", manager=mona)
    core = team("Core", cleo, mona)
    login = service("Login", core)
    at = now()
    ids = {"team_id": core.pk, "service_ids": [login.pk]}
    draft = resolved("Nobody can log in", "P0", cleo, at - timedelta(days=3), **ids).review
    with use_clock(ManualClock(at - timedelta(days=3) + timedelta(hours=2))):
        write(draft, cleo, "summary", "impact", "root-cause")
        overdue = promise(
            draft, "Add slow query detection to CI", ida, cleo, due_at=at - timedelta(days=1), priority="P0"
        )
        promise(draft, "Improve connection pool monitoring", cleo, cleo, priority="P0")
        done = promise(draft, "Add connection pool alerts", ida, cleo, link="https://tickets.example.com/PORTAL-12")
        operations.finish_item(done.pk, outcome="Fires at 80 %, pages the owner", actor=actor(ida))
    operations.start_item(overdue.pk, actor=actor(ida))
    waiting = _moved("The shop is slow", "P2", mona, cleo, at - timedelta(days=1), to="in_review", **ids)
    _moved("Matchmaking takes minutes", "P1", mona, cleo, at - timedelta(days=6), to="reviewed", **ids)
    _moved("Refunds are paid twice", "P1", mona, cleo, at - timedelta(days=9), to="closed", visibility="private", **ids)
    resolved("Chat loses messages", "P3", cleo, at - timedelta(hours=3), **ids)
    return Busy(mona, cleo, ida, draft, waiting, overdue)


def _moved(title: str, severity: str, mona: User, cleo: User, at: datetime, *, to: str, **given: object) -> Review:
    review = resolved(title, severity, cleo, at, **given).review
    with use_clock(ManualClock(at + timedelta(hours=4))):
        write(review, cleo)
        promise(review, f"Follow up: {title.lower()}", cleo, cleo, due_at=now() + timedelta(days=20))
        operations.set_people(review.pk, reviewer_id=mona.pk, actor=actor(cleo))
        operations.submit(review.pk, actor=actor(cleo))
        if to != "in_review":
            operations.mark_reviewed(review.pk, actor=actor(mona))
        if to == "closed":
            operations.close(review.pk, actor=actor(mona))
    return review
