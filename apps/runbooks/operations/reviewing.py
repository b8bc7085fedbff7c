"""Reading a runbook again: that somebody did, and reminding its owners when nobody does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings

from apps.catalog.models import Membership
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.runbooks.authorship import require_edit
from apps.runbooks.documents import document_of
from apps.runbooks.models import Runbook
from apps.runbooks.operations.checking import check_version, locked_runbook
from apps.runbooks.queries import RUNBOOK, runbook_url
from apps.runbooks.statistics import review_due_at

REVIEW_TIMER = "runbooks.review"
REMIND_AGAIN = timedelta(days=7)
_DAY = 86_400


@operation
def review(runbook_id: int, *, expected_version: int | None = None, actor: Actor) -> Runbook:
    """Say that a runbook has been read and is right; the next review is due its `review_every` later.

    Each call counts. Needs `runbooks.change_runbook`, or to lead the owning team. Raises NotFound, Forbidden,
    PreconditionFailed.
    """
    runbook = locked_runbook(runbook_id, actor)
    require_edit(actor, runbook)
    check_version(runbook, expected_version)
    runbook.reviewed_at, runbook.reviewed_by_id = now(), actor.user_id
    runbook.version += 1
    runbook.save()
    plan_review(runbook)
    return runbook


def plan_review(runbook: Runbook) -> None:
    """Have its owners reminded when its review is due; a repeat changes nothing."""
    version = runbook.active_version
    due = review_due_at(runbook, document_of(version)) if version is not None else None
    if due is not None:
        _schedule(runbook.pk, max(due, now() + timedelta(days=1)).timestamp())


def remind(runbooks: Sequence[Runbook]) -> None:
    """Write to the leads of the teams whose runbooks are due, once a week until somebody reads them."""
    for runbook in runbooks:
        version = runbook.active_version
        due = review_due_at(runbook, document_of(version)) if version is not None else None
        if due is None or due > now() or runbook.state != Runbook.State.ACTIVE:
            continue
        leads = Membership.objects.filter(team_id=runbook.owner_id, role=Membership.Role.LEAD)
        _write(runbook, list(leads.values_list("user_id", flat=True)))
        _schedule(runbook.pk, (now() + REMIND_AGAIN).timestamp())


def _schedule(runbook_id: int, at: float) -> None:
    day = int(at // _DAY) + 1
    due_at = now() + timedelta(seconds=day * _DAY - now().timestamp())
    schedule_many([NewTimer(kind=REVIEW_TIMER, key=str(runbook_id), run=1, seq=day, due_at=due_at)])


def _write(runbook: Runbook, user_ids: list[int]) -> None:
    url = f"{settings.PUBLIC_URL}{runbook_url(str(runbook.pk))}"
    body = "Read it again: does it still fit what it changes, its contacts and its limits? Then press Reviewed there."

    def make(user_id: int, channel: str, address: str) -> NewMessage:
        return NewMessage(
            dedupe_key=f"runbook:{runbook.pk}:review:{now():%Y-%m-%d}:{user_id}:{channel}",
            channel=channel,
            recipient_id=user_id,
            endpoint_id=None,
            address=address,
            subject=Subject(RUNBOOK, str(runbook.pk)),
            title=f"{runbook.name} is due for its review",
            body=body if channel == Message.Channel.INBOX else f"{body}\n\n{url}\n",
            payload={"url": url},
            priority=3,
        )

    enqueue_many(messages_for_person(user_ids, channels=[Message.Channel.EMAIL], make=make))
