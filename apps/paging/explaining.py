"""Why somebody was paged, and why nobody was: told from the engine's own rows, to be read at three in the morning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from apps.engine.models import Event, Timer
from apps.foundation.subjects import Subject
from apps.messaging.models import Attempt, Message
from apps.oncall.models import Override, RoleBinding
from apps.paging.models import EscalationRun, Page
from apps.paging.plan import TIMER_KIND
from apps.paging.queries import Upcoming, conditions_of, upcoming_of

_State = EscalationRun.State
MOST = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message of a page, with the last word of its provider."""

    channel: str
    state: str
    well: bool
    text: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class PageStory:
    """One person, called once: as whom, what brought it about, and on which ways it went."""

    page_id: int
    user_id: int
    name: str
    at: datetime
    late_seconds: float
    as_whom: str
    because: str
    on_call: str
    state: str
    answered_at: datetime | None
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that decided on paging."""

    at: datetime
    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`now` says in sentences who is paged next, or why nobody is; `mine` are the reader's own pages."""

    now: tuple[str, ...]
    mine: tuple[PageStory, ...]
    pages: tuple[PageStory, ...]
    happened: tuple[Happening, ...]
    coming: tuple[Upcoming, ...]
    timers: tuple[tuple[datetime, str], ...]


def explain(subject: Subject, *, user_id: int | None = None) -> Explanation:
    """All that paging did and did not do about a subject; a constant number of queries. Asks for no permission."""
    about = Q(subject_kind=subject.kind, subject_key=subject.key)
    runs = list(EscalationRun.objects.filter(about).select_related("maintenance__team", "maintenance__service"))
    pages = list(Page.objects.filter(about).select_related("user", "escalation").order_by("pk")[:MOST])
    events = list(
        Event.objects.filter(about, kind__startswith="paging.")
        .order_by("pk")[:MOST]
        .only("kind", "payload", "occurred_at")
    )
    coming = sorted((item for steps in upcoming_of(runs).values() for item in steps), key=lambda item: item.due_at)
    stories = _stories(pages, _deliveries(about, pages), events)
    return Explanation(
        now=tuple(_now(subject, runs, pages, coming, events)),
        mine=tuple(story for story in stories if story.user_id == user_id),
        pages=tuple(stories),
        happened=tuple(_happened(events)),
        coming=tuple(coming),
        timers=tuple(_timers(runs)),
    )


def _deliveries(about: Q, pages: Sequence[Page]) -> dict[int, list[Delivery]]:
    """The messages of each page with what the provider said last; two queries."""
    if not pages:
        return {}
    messages = list(
        Message.objects.filter(about, recipient__isnull=False)
        .order_by("pk")
        .only("channel", "state", "payload", "last_error", "sent_at", "maybe_sent_at", "due_at", "attempts")[: MOST * 4]
    )
    said = {
        row.message_id: row
        for row in Attempt.objects.filter(message__in=[row.pk for row in messages]).order_by("message_id", "number")
    }
    found: dict[int, list[Delivery]] = defaultdict(list)
    for row in messages:
        if (page_id := row.payload.get("page_id")) is not None:
            found[page_id].append(_delivery(row, said.get(row.pk)))
    return found


def _delivery(row: Message, last: Attempt | None) -> Delivery:
    texts = {
        Message.State.SENT: "in the inbox" if row.channel == Message.Channel.INBOX else "taken by the provider",
        Message.State.FAILED: f"failed: {row.last_error or 'no reason was given'}",
        Message.State.VOID: "not sent: somebody had answered, or it was over",
        Message.State.QUEUED: "waits to be sent",
        Message.State.SENDING: "is being sent",
    }
    text = texts.get(Message.State(row.state), row.get_state_display())
    if last is not None and last.detail and row.state in {Message.State.QUEUED, Message.State.SENDING}:
        text += f", after: {last.detail}"
    if row.maybe_sent_at is not None:
        text += "; an earlier try may have arrived, too"
    well = row.state in {Message.State.SENT, Message.State.VOID}
    return Delivery(row.get_channel_display(), row.state, well, text, row.sent_at)


def _stories(
    pages: Sequence[Page], deliveries: Mapping[int, Sequence[Delivery]], events: Sequence[Event]
) -> list[PageStory]:
    names = {
        (row.payload["track"], row.payload["run"], row.payload["step"]): row.payload["name"]
        for row in events
        if row.kind == "paging.paged"
    }
    duty = _duty(pages)
    return [
        PageStory(
            page_id=page.pk,
            user_id=page.user_id,
            name=page.user.name,
            at=page.created_at,
            late_seconds=max((page.created_at - page.due_at).total_seconds(), 0.0),
            as_whom=_as_whom(page, names),
            because=page.reason or _by_time(page),
            on_call=duty.get(page.pk, ""),
            state=page.get_state_display(),
            answered_at=page.acknowledged_at,
            deliveries=tuple(deliveries.get(page.pk, ())),
        )
        for page in pages
    ]


def _as_whom(page: Page, names: Mapping[tuple[str, int, int], str]) -> str:
    if page.escalation is None:
        return page.role.replace("_", " ") or "called by name"
    name = names.get((page.escalation.track, page.run, page.step), "")
    level = f"level {page.level}" if page.level else "trigger"
    return f"{page.role.replace('_', ' ')} ({level}: {name})" if name else f"{page.role} ({level})"


def _by_time(page: Page) -> str:
    if page.step == 0:
        return "It opened with a severity that pages this level at once."
    return "The time of this level had come, and nobody had ended the track before."


def _duty(pages: Sequence[Page]) -> dict[int, str]:
    """By which rotation or override each paged person answered for the role, as the bindings stand now; two queries."""
    roles = {page.role for page in pages if page.role}
    if not roles:
        return {}
    bindings = {
        (row.team_id, row.role): row
        for row in RoleBinding.objects.filter(role__in=roles).select_related("rotation", "user")
    }
    rotations = {row.rotation_id for row in bindings.values() if row.rotation_id}
    first, last = min(page.created_at for page in pages), max(page.created_at for page in pages)
    overrides = list(
        Override.objects.filter(
            rotation__in=rotations, user__in={page.user_id for page in pages}, starts_at__lte=last, ends_at__gt=first
        )
        if rotations
        else ()
    )
    return {page.pk: _duty_text(page, bindings, overrides) for page in pages if page.role}


def _duty_text(
    page: Page, bindings: Mapping[tuple[int | None, str], RoleBinding], overrides: Iterable[Override]
) -> str:
    team_id = page.escalation.team_id if page.escalation is not None else None
    binding = bindings.get((team_id, page.role)) or bindings.get((None, page.role))
    if binding is None:
        return "The role was bound to somebody then; it is bound to nobody now."
    if binding.rotation is None:
        return f"The role {page.role} means {binding.user.name if binding.user else 'nobody'}."
    for row in overrides:
        cancelled = row.cancelled_at is not None and row.cancelled_at <= page.created_at
        inside = row.rotation_id == binding.rotation_id and row.starts_at <= page.created_at < row.ends_at
        if row.user_id == page.user_id and inside and not cancelled:
            why = f" ({row.reason})" if row.reason else ""
            return f"On call in {binding.rotation.name} by an override until {row.ends_at:%Y-%m-%d %H:%M} UTC{why}."
    return f"On call in {binding.rotation.name}."


def _now(
    subject: Subject,
    runs: Sequence[EscalationRun],
    pages: Sequence[Page],
    coming: Sequence[Upcoming],
    events: Sequence[Event],
) -> list[str]:
    """Who is called next, or why nobody is, in sentences."""
    if not runs:
        return ["Nobody is paged: its severity pages nobody, or it was opened without paging."]
    found = [sentence for run in sorted(runs, key=lambda run: run.track, reverse=True) if (sentence := _standing(run))]
    following = next((item for item in coming if not item.last_call), None)
    if following is not None:
        who = ", ".join(following.names) or "nobody, as the rotations stand now"
        level = f"level {following.level}: {following.name}" if following.level else following.name
        found.append(f"Next at {_clock(following.due_at)}: {who} ({level}).")
    elif not any(run.state in {_State.SNOOZED, _State.HELD} for run in runs):
        found.append("Nobody is paged next.")
    if not pages and any(row.kind == "paging.nobody_reachable" for row in events):
        found.append("Nobody has been paged so far, because nobody was on call for what the path names. See below.")
    marked = ", ".join(str(row) for row in conditions_of(subject))
    return [*found, f"Marked: {marked}."] if marked else found


def _standing(run: EscalationRun) -> str:
    """One sentence about where a track stands; empty where the other track says it."""
    until = f" until {_clock(run.next_due_at)}" if run.next_due_at else ""
    window = f" ({run.maintenance}: {run.maintenance.reason})" if run.maintenance else ""
    back = f" If nothing happens, people are paged again at {_clock(run.next_due_at)}." if run.next_due_at else ""
    everybody = "Everybody on the path was paged and nobody acknowledged."
    of_pages = {
        _State.HELD: f"Nobody is paged{until}: it opened in a maintenance window{window}.",
        _State.SNOOZED: f"Nobody is paged{until}: it is snoozed.",
        _State.ACKNOWLEDGED: f"Somebody acknowledged at {_clock(run.ended_at)}: nobody is paged for an answer.{back}",
        _State.STOPPED: f"Paging ended at {_clock(run.ended_at)}: it was resolved, or stopped.",
        _State.EXHAUSTED: everybody if run.step else "No level pages this severity.",
        _State.RUNNING: "Nobody has acknowledged: the path goes on.",
    }
    if run.state == _State.WAITING:
        return "All levels with a time of their own were called; only a trigger calls anybody else."
    return of_pages.get(_State(run.state), "") if run.track == EscalationRun.Track.PAGE else ""


def _happened(events: Sequence[Event]) -> list[Happening]:
    return [
        Happening(row.occurred_at, _WORDS[row.kind][0](row.payload), _WORDS[row.kind][1])
        for row in events
        if row.kind in _WORDS
    ]


def _level(data: Mapping[str, Any]) -> str:
    return f"level {data['level']}" if data.get("level") else data.get("name") or "by hand"


def _paged(data: Mapping[str, Any]) -> str:
    why = f" {data['reason']}" if data.get("reason") else ""
    return f"Paged {', '.join(data['names'])} ({_level(data)}).{why}"


def _until(data: Mapping[str, Any]) -> str:
    return _clock(datetime.fromisoformat(data["until"]))


def _exhausted(data: Mapping[str, Any]) -> str:
    on_page = data["track"] == EscalationRun.Track.PAGE
    return "Everybody was paged and nobody acknowledged." if on_page else "The last level was called."


_WORDS: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "paging.paged": (_paged, ""),
    "paging.nobody_reachable": (
        lambda data: f"Nobody was on call for {', '.join(data['roles'])} ({_level(data)}).",
        "danger",
    ),
    "paging.acknowledged": (lambda data: f"{data['name']} acknowledged: the page track ended.", "ok"),
    "paging.partly_acknowledged": (
        lambda data: f"{data['name']} acknowledged: {data['count']} of {data['needed']} who must.",
        "",
    ),
    "paging.page_answered": (lambda data: f"{data['name']} answered their own page.", "ok"),
    "paging.unacknowledged": (lambda data: f"The acknowledgement ended: {data['reason']}.", "warn"),
    "paging.snoozed": (lambda data: f"{data['by']} snoozed it until {_until(data)}.", "warn"),
    "paging.held": (lambda data: f"Nobody was paged: {data['of']} until {_until(data)} ({data['reason']}).", "warn"),
    "paging.resumed": (lambda data: f"The {data['after']} was over: escalation began with its first level.", ""),
    "paging.condition_marked": (lambda data: f"Marked: {data['name']}.", "warn"),
    "paging.condition_cleared": (lambda data: f"Taken back: {data['name']}.", ""),
    "paging.escalation_restarted": (
        lambda data: f"Escalation began anew for {data['severity']}; what was in flight is void.",
        "",
    ),
    "paging.escalation_stopped": (lambda data: f"Paging was stopped: {data['reason']}.", "ok"),
    "paging.escalation_exhausted": (_exhausted, ""),
}


def _timers(runs: Sequence[EscalationRun]) -> list[tuple[datetime, str]]:
    """The timers that are set, with what for; one query."""
    tracks = {str(run.pk): run for run in runs}
    rows = Timer.objects.filter(kind=TIMER_KIND, key__in=tracks, state=Timer.State.PENDING).order_by("try_at")
    return [
        (row.try_at, f"{tracks[row.key].get_track_display()}: step {row.payload.get('step', row.seq)}")
        for row in rows
        if row.run == tracks[row.key].run
    ]


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else "an unknown time"
