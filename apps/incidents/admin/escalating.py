"""Who is paged next and when, and what became of the pages already sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.urls import reverse

from apps.incidents.admin.next_step import Powers
from apps.incidents.admin.showing import Clock, Moment, Person, Tone, clock_text, moment, person_of
from apps.incidents.models import Incident
from apps.incidents.queries import SUBJECT_KIND, subject_of
from apps.messaging.models import Message
from apps.paging.models import EscalationCondition, EscalationRun, Page
from apps.paging.policy import escalation
from apps.paging.queries import Upcoming, conditions_of, upcoming_of

MOST_PAGES, MOST_STEPS = 60, 6
_RESTING = frozenset({EscalationRun.State.SNOOZED, EscalationRun.State.HELD})


# Two tracks count from instants that differ by the time it took to make them.
TOGETHER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class NextPage:
    """A step that is still to come: its countdown and whom it reaches, as the rotations stand now."""

    title: str
    who: str
    roles: str
    due: Moment
    countdown: Clock
    reaches_nobody: bool
    ends_path: bool
    track: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ConditionRow:
    """Something that holds and that triggers listen to."""

    slug: str
    text: str
    at: Moment
    by: str


@dataclass(frozen=True, slots=True)
class LevelOption:
    number: int
    name: str


@dataclass(frozen=True, slots=True)
class EscalationView:
    """`rests` says that it is snoozed or held by maintenance; `levels` are those that may be called at once."""

    state: str
    tone: Tone
    steps: tuple[NextPage, ...]
    hidden_steps: int
    may_escalate: bool
    track: str
    step: int
    rests: bool
    may_take_back: bool
    conditions: tuple[ConditionRow, ...]
    levels: tuple[LevelOption, ...]
    why_url: str


@dataclass(frozen=True, slots=True)
class DeliveryChip:
    channel: str
    state: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class PageRow:
    person: Person
    state: str
    state_text: str
    tone: Tone
    level: str
    reason: str
    at: Moment
    answered: Moment | None
    deliveries: tuple[DeliveryChip, ...]


def next_pages(incidents: Sequence[Incident], zone: ZoneInfo, at: datetime) -> dict[int, NextPage]:
    """The next step of each incident that pages somebody, else its last; a constant number of queries."""
    steps = _upcoming([incident.pk for incident in incidents], zone, at)
    return {pk: _foremost(found) for pk, found in steps.items() if found}


def _foremost(steps: Sequence[NextPage]) -> NextPage:
    """The first that calls people. Of those that fall together, one that somebody hears."""
    calling = [step for step in steps if not step.ends_path] or steps
    together = [step for step in calling if step.due_at - calling[0].due_at < TOGETHER]
    return next((step for step in together if not step.reaches_nobody), calling[0])


def escalation_view(incident: Incident, powers: Powers, zone: ZoneInfo, at: datetime) -> EscalationView:
    """Where escalation of one incident stands and what is still to come."""
    runs = list(_runs([incident.pk]))
    coming = _steps(runs, zone, at)[incident.pk]
    # The end of one track is no news while the other still has somebody to call.
    steps = [step for step in coming if not step.ends_path] or coming
    running = [run for run in runs if run.state == EscalationRun.State.RUNNING]
    rests = next((run for run in runs if run.state in _RESTING), None)
    state, tone = _rest_text(rests, zone) if rests is not None else _state_text(incident, runs, running)
    first = min(running, key=lambda run: run.track != EscalationRun.Track.PAGE, default=None)
    return EscalationView(
        state=state,
        tone=tone,
        steps=tuple(steps[:MOST_STEPS]),
        hidden_steps=max(len(steps) - MOST_STEPS, 0),
        may_escalate=powers.respond and incident.is_open and first is not None,
        track=first.track if first else "",
        step=first.step if first else 0,
        rests=rests is not None,
        may_take_back=powers.respond and any(run.state == EscalationRun.State.ACKNOWLEDGED for run in runs),
        conditions=tuple(_condition(row, zone, at) for row in conditions_of(subject_of(incident))),
        levels=_levels(incident) if runs and incident.is_open else (),
        why_url=reverse("admin:paging_escalationrun_why", args=[SUBJECT_KIND, incident.pk]),
    )


def _condition(row: EscalationCondition, zone: ZoneInfo, at: datetime) -> ConditionRow:
    amount = f", {row.amount:,}" if row.amount is not None else ""
    text = f"{row.get_condition_display()}{amount}" + (f": {row.note}" if row.note else "")
    return ConditionRow(row.condition, text, moment(row.at, zone, at), row.marked_by)


def _levels(incident: Incident) -> tuple[LevelOption, ...]:
    found = escalation(incident.policy_version_id).levels(incident.severity)
    return tuple(LevelOption(level.level, level.name) for level in found)


def _rest_text(run: EscalationRun, zone: ZoneInfo) -> tuple[str, Tone]:
    """Until when nobody is called, and why."""
    until = f"{run.next_due_at.astimezone(zone):%a %d %b %H:%M}" if run.next_due_at else "further notice"
    if run.state == EscalationRun.State.HELD:
        return f"Opened in a maintenance window: nobody is paged before {until}.", "warn"
    return f"Snoozed: nobody is paged before {until}. Then it starts from the first level.", "warn"


def _state_text(
    incident: Incident, runs: Sequence[EscalationRun], running: Sequence[EscalationRun]
) -> tuple[str, Tone]:
    """Where escalation stands, in a sentence."""
    paging = next((run for run in runs if run.track == EscalationRun.Track.PAGE), None)
    if not incident.is_open:
        return "Escalation has ended.", ""
    if not runs:
        return "Nobody is paged for this severity.", ""
    if paging is not None and paging.state == EscalationRun.State.RUNNING:
        if any(run.track == EscalationRun.Track.MANAGEMENT for run in running):
            return "Nobody has acknowledged. The levels are called in turn until it is resolved.", "danger"
        return "Runs until somebody acknowledges.", "danger"
    return _after_paging(running, nobody_answered=paging is not None and paging.state == EscalationRun.State.EXHAUSTED)


def _after_paging(running: Sequence[EscalationRun], *, nobody_answered: bool) -> tuple[str, Tone]:
    if nobody_answered and running:
        return "Nobody has acknowledged. Management hears of it, step by step.", "danger"
    if nobody_answered:
        return "Everybody on the path was paged and nobody acknowledged.", "danger"
    if running:
        return "Acknowledged. Management hears of it until it is resolved.", "ok"
    return "Acknowledged: nobody else is paged.", "ok"


def _upcoming(incident_ids: Sequence[int], zone: ZoneInfo, at: datetime) -> dict[int, list[NextPage]]:
    return _steps(list(_runs(incident_ids)), zone, at)


def _runs(incident_ids: Iterable[int]) -> Iterable[EscalationRun]:
    keys = [str(pk) for pk in incident_ids]
    return EscalationRun.objects.filter(subject_kind=SUBJECT_KIND, subject_key__in=keys).order_by("pk")


def _steps(runs: Sequence[EscalationRun], zone: ZoneInfo, at: datetime) -> dict[int, list[NextPage]]:
    """The steps to come, soonest first, by incident. Asks rotations and names once for all of them."""
    tracks = {run.pk: run for run in runs}
    found: dict[int, list[NextPage]] = defaultdict(list)
    planned = [(tracks[pk], item) for pk, steps in upcoming_of(runs).items() for item in steps]
    for run, item in sorted(planned, key=lambda pair: pair[1].due_at):
        found[int(run.subject_key)].append(_next_page(run, item, zone, at))
    return found


def _next_page(run: EscalationRun, item: Upcoming, zone: ZoneInfo, at: datetime) -> NextPage:
    title = f"Level {item.level}: {item.name}" if not item.last_call else "The path ends: nobody acknowledged"
    if not item.level and not item.last_call:
        title = item.name
    if item.repeat:
        title += f", again ({item.repeat})"
    if item.why:
        title += f" – {item.why}"
    return NextPage(
        title=title,
        who=", ".join(item.names),
        roles=", ".join(role.replace("_", " ").replace("-", " ") for role in item.roles),
        due=moment(item.due_at, zone, at),
        countdown=Clock("in", clock_text(max((item.due_at - at).total_seconds(), 0)), "down", item.due_at.isoformat()),
        reaches_nobody=not item.names and not item.last_call,
        ends_path=item.last_call,
        track=run.get_track_display(),
        due_at=item.due_at,
    )


_PAGE_TONES: Mapping[str, Tone] = {Page.State.OPEN: "warn", Page.State.ACKNOWLEDGED: "ok", Page.State.CLOSED: ""}
_MESSAGE_TONES: Mapping[str, Tone] = {
    Message.State.SENT: "ok",
    Message.State.FAILED: "danger",
    Message.State.QUEUED: "warn",
    Message.State.SENDING: "warn",
    Message.State.VOID: "",
}


def page_rows(incident: Incident, zone: ZoneInfo, at: datetime) -> tuple[PageRow, ...]:
    """Everybody who was paged, newest first, with what became of the messages; two queries."""
    pages = list(
        Page.objects.filter(subject_kind=SUBJECT_KIND, subject_key=str(incident.pk))
        .select_related("user")
        .order_by("-id")[:MOST_PAGES]
    )
    sent = _deliveries(incident, {page.user_id for page in pages}) if pages else {}
    return tuple(
        PageRow(
            person=person_of(page.user),
            state=page.state,
            state_text=page.get_state_display(),
            tone=_PAGE_TONES[page.state],
            level=_level_text(page),
            reason=page.reason,
            at=moment(page.created_at, zone, at),
            answered=moment(page.acknowledged_at, zone, at) if page.acknowledged_at else None,
            deliveries=sent.get(page.user_id, ()),
        )
        for page in pages
    )


def _level_text(page: Page) -> str:
    role = page.role.replace("_", " ").replace("-", " ")
    return f"level {page.level}" + (f", {role}" if role else "") if page.level else role or "paged in"


def _deliveries(incident: Incident, user_ids: set[int]) -> dict[int, tuple[DeliveryChip, ...]]:
    """The newest message of each channel to each person, about this incident."""
    rows = Message.objects.filter(
        subject_kind=SUBJECT_KIND, subject_key=str(incident.pk), recipient_id__in=user_ids
    ).order_by("id")
    newest: dict[int, dict[str, Message]] = defaultdict(dict)
    for row in rows.only("recipient_id", "channel", "state", "maybe_sent_at"):
        if row.recipient_id is not None:
            newest[row.recipient_id][row.channel] = row
    return {user_id: tuple(_chip(row) for row in found.values()) for user_id, found in newest.items()}


def _chip(row: Message) -> DeliveryChip:
    again = row.maybe_sent_at is not None and row.state in {Message.State.QUEUED, Message.State.SENDING}
    state = "maybe sent, trying again" if again else row.get_state_display()
    return DeliveryChip(row.get_channel_display(), state, _MESSAGE_TONES[row.state])
