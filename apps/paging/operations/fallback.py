"""When the page track has nobody: the management track's next level is taken at once, and the team's list is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Q

from apps.catalog.models import Team
from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.subjects import Subject, subject_url
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many
from apps.paging.models import EscalationRun
from apps.paging.plan import TIMER_KIND
from apps.paging.texts import RUN_GUARD

# The regular timers have low numbers, which are counted on the locked run.
_EARLY = 1_000_000


def fall_through(runs: Sequence[EscalationRun], at: datetime) -> None:
    """For page tracks whose levels reached nobody: call the next level of management now, and write to the team.

    A timer does the calling, since the management track is not locked here. A constant number of queries; for the same
    step a repeat changes nothing.
    """
    if not runs:
        return
    wanted = Q(pk__in=())
    for kind in {run.subject_kind for run in runs}:
        keys = [run.subject_key for run in runs if run.subject_kind == kind]
        wanted |= Q(subject_kind=kind, subject_key__in=keys)
    states = [EscalationRun.State.RUNNING, EscalationRun.State.WAITING]
    others = EscalationRun.objects.filter(wanted, track=EscalationRun.Track.MANAGEMENT, state__in=states)
    schedule_many(
        [
            NewTimer(TIMER_KIND, str(run.pk), run.run, _EARLY + run.step, at, {"step": run.step, "force": True})
            for run in others
        ]
    )
    addresses = dict(
        Team.objects.filter(pk__in={run.team_id for run in runs}).exclude(email="").values_list("pk", "email")
    )
    enqueue_many([_to_list(run, addresses[run.team_id], at) for run in runs if run.team_id in addresses])


def _to_list(run: EscalationRun, address: str, at: datetime) -> NewMessage:
    subject = Subject(run.subject_kind, run.subject_key)
    url = f"{settings.PUBLIC_URL}{subject_url(subject)}"
    return NewMessage(
        dedupe_key=f"nobody:{run.pk}:{run.run}:{run.step}",
        channel=Message.Channel.EMAIL,
        recipient_id=None,
        endpoint_id=None,
        address=address,
        subject=subject,
        title=f"[{run.severity}] Nobody is on call: {run.title}"[:300],
        body=(
            f"[{run.severity}] {run.title}\n\n"
            f"At {at.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC} nobody was on call to be paged for this. "
            f"Somebody of the team, please look:\n{url}\n"
        ),
        payload={"url": url},
        priority=0,
        guard=Guard(kind=RUN_GUARD, key=str(run.pk), run=run.run),
    )
