"""Why somebody was paged, and why nobody was: told from the engine's own rows, to be read at three in the morning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q

from apps.engine.models import Event, Timer
from apps.foundation.subjects import Subject
from apps.messaging.models import Attempt, Message
from apps.messaging.queries import visible_to as visible_messages
from apps.oncall.models import Override, RoleBinding
from apps.paging.models import BundledPage, EscalationRun, Page
from apps.paging.plan import TIMER_KIND
from apps.paging.queries import Upcoming, conditions_of, upcoming_of
from apps.paging.standing import Plans
from apps.paging.texts import BUNDLE_GUARD
from apps.people.models import User
from apps.policies.durations import duration_text

_State = EscalationRun.State
_TOLD_BY = (
    "channel",
    "state",
    "payload",
    "guard_kind",
    "guard_key",
    "last_error",
    "sent_at",
    "maybe_sent_at",
    "due_at",
    "attempts",
)
MOST = 500


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message of a page, in our words. `said` is its provider's last word, for those who may see the
    message: it may name an address or hold a secret."""

    channel: str
    state: str
    well: bool
    text: str
    at: datetime | None
    said: str = ""


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


def explain(subject: Subject, *, user: User | AnonymousUser) -> Explanation:
    """All that paging did and did not do about a subject, for a reader; a constant number of queries.

    Whether they may see the subject is asked before; what a provider said is told of messages that they may see.
    """
    about = Q(subject_kind=subject.kind, subject_key=subject.key)
    runs = list(EscalationRun.objects.filter(about).select_related("maintenance__team", "maintenance__service"))
    pages = list(Page.objects.filter(about).select_related("user", "escalation").order_by("pk")[:MOST])
    events = list(
        Event.objects.filter(about, kind__startswith="paging.")
        .order_by("pk")[:MOST]
        .only("kind", "payload", "occurred_at")
    )
    coming = sorted((item for steps in upcoming_of(runs).values() for item in steps), key=lambda item: item.due_at)
    stories = _stories(pages, _deliveries(about, pages, user), events)
    return Explanation(
        now=tuple(_now(subject, runs, pages, coming, events)),
        mine=tuple(story for story in stories if story.user_id == user.pk),
        pages=tuple(stories),
        happened=tuple(_happened(events)),
        coming=tuple(coming),
        timers=tuple(_timers(runs)),
    )


def _deliveries(about: Q, pages: Sequence[Page], user: User | AnonymousUser) -> dict[int, list[Delivery]]:
    """The messages of each page with what became of the last try, also where it was told with others; four queries."""
    if not pages:
        return {}
    bundled: dict[str, list[int]] = defaultdict(list)
    for item in BundledPage.objects.filter(page__in=[page.pk for page in pages]):
        bundled[str(item.bundle_id)].append(item.page_id)
    together = Q(guard_kind=BUNDLE_GUARD, guard_key__in=bundled)
    messages = list(
        Message.objects.filter(about | together, recipient__isnull=False).order_by("pk").only(*_TOLD_BY)[: MOST * 4]
    )
    ids = [row.pk for row in messages]
    tried = {row.message_id: row for row in Attempt.objects.filter(message__in=ids).order_by("message_id", "number")}
    readable = set(visible_messages(user).filter(pk__in=ids).values_list("pk", flat=True))
    found: dict[int, list[Delivery]] = defaultdict(list)
    for row in messages:
        told = _delivery(row, tried.get(row.pk), may_read=row.pk in readable)
        if row.guard_kind == BUNDLE_GUARD:
            others = replace(told, text=f"{told.text}, with others at {_clock(row.due_at)}")
            for page_id in bundled[row.guard_key]:
                found[page_id].append(others)
        elif (page_id := row.payload.get("page_id")) is not None:
            found[page_id].append(told)
    return found


_TRIED: Mapping[str, str] = {
    Attempt.Outcome.REFUSED: "the provider refuses it for good",
    Attempt.Outcome.RETRY: "the provider was not reached, or was busy",
    Attempt.Outcome.UNKNOWN: "nobody knows whether the provider took it",
}


def failure_text(outcome: str, attempts: int) -> str:
    """That a message failed for good, and why, in our words: for everybody who may know that there was one."""
    tries = f" after {attempts} tries" if attempts > 1 else ""
    # What was taken and came back has no refused attempt.
    return f"failed{tries}: {_TRIED.get(outcome, 'the provider could not hand it on')}"


def _delivery(row: Message, last: Attempt | None, *, may_read: bool) -> Delivery:
    how = _TRIED.get(last.outcome, "") if last is not None else ""
    tries = f" after {row.attempts} tries" if row.attempts > 1 else ""
    texts = {
        Message.State.SENT: "in the inbox" if row.channel == Message.Channel.INBOX else "taken by the provider",
        Message.State.FAILED: failure_text(last.outcome if last is not None else "", row.attempts),
        Message.State.VOID: "not sent: somebody had answered, or it was over",
        Message.State.QUEUED: f"waits to be sent again{tries}: {how}" if how else "waits to be sent",
        Message.State.SENDING: "is being sent",
    }
    text = texts.get(Message.State(row.state), row.get_state_display())
    if row.maybe_sent_at is not None:
        text += "; an earlier try may have arrived, too"
    well = row.state in {Message.State.SENT, Message.State.VOID}
    said = row.last_error or (last.detail if last is not None else "")
    shown = said if may_read and row.state not in {Message.State.SENT, Message.State.VOID} else ""
    return Delivery(row.get_channel_display(), row.state, well, text, row.sent_at, shown)


def _stories(
    pages: Sequence[Page], deliveries: Mapping[int, Sequence[Delivery]], events: Sequence[Event]
) -> list[PageStory]:
    called = {_place(row): row.payload for row in events if row.kind == "paging.paged"}
    empty = {_place(row) for row in events if row.kind == "paging.nobody_reachable"}
    duty = _duty(pages)
    return [
        PageStory(
            page_id=page.pk,
            user_id=page.user_id,
            name=page.user.name,
            at=page.created_at,
            late_seconds=max((page.created_at - page.due_at).total_seconds(), 0.0),
            as_whom=_as_whom(page, called),
            because=page.reason or _by_time(page, called, empty),
            on_call=duty.get(page.pk, ""),
            state=page.get_state_display(),
            answered_at=page.acknowledged_at,
            deliveries=tuple(deliveries.get(page.pk, ())),
        )
        for page in pages
    ]


Place = tuple[str, int, int]


def _place(event: Event) -> Place:
    """Which step of which run of which track an event tells of."""
    return event.payload["track"], event.payload["run"], event.payload["step"]


def _as_whom(page: Page, called: Mapping[Place, Mapping[str, Any]]) -> str:
    role = page.role.replace("_", " ")
    if page.escalation is None:
        return role or "called by name"
    name = called.get((page.escalation.track, page.run, page.step), {}).get("name", "")
    level = f"level {page.level}" if page.level else "trigger"
    return f"{role} ({level}: {name})" if name else f"{role} ({level})"


def _by_time(page: Page, called: Mapping[Place, Mapping[str, Any]], empty: Collection[Place]) -> str:
    """What brought a page about that nobody asked for: the clock of its level."""
    run = page.escalation
    if run is None:
        return ""
    if called.get((run.track, page.run, page.step), {}).get("repeat"):
        return "Nobody had acknowledged, so people were called again."
    if (run.track, page.run, page.step - 1) in empty:
        return "Nobody was on call for the level before, so this one was called at once."
    anew = "Escalation had begun anew. " if page.run > 1 else ""
    waited, whose = _waited(page, run)
    if waited is None:
        return f"{anew}The time of this level had come."
    if waited <= 0:
        return f"{anew}{whose} this level at once."
    still = "nobody had acknowledged" if run.track == EscalationRun.Track.PAGE else "it was not over"
    return f"{anew}{whose} this level after {duration_text(waited)}, and {still} by then."


def _waited(page: Page, run: EscalationRun) -> tuple[int | None, str]:
    """After how many seconds a level was called, and by whose word. When an earlier run began, and under which
    severity, is not kept: the path says what it usually is."""
    if page.run == run.run:
        return int((page.due_at - run.started_at).total_seconds()), f"{run.severity} pages"
    step = Plans().of(run).step_of_level(page.level)
    return (step.after_seconds if step is not None else None), "The path pages"


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
    everybody = "Everybody who is to answer was paged, and nobody has acknowledged."
    of_pages = {
        _State.HELD: f"Nobody is paged{until}: it opened in a maintenance window{window}.",
        _State.SNOOZED: f"Nobody is paged{until}: it is snoozed.",
        _State.ACKNOWLEDGED: f"Somebody acknowledged at {_clock(run.ended_at)}: nobody is paged for an answer.{back}",
        _State.STOPPED: f"Paging ended at {_clock(run.ended_at)}: it was resolved, or stopped.",
        _State.EXHAUSTED: everybody if run.step else "No level pages this severity.",
        _State.RUNNING: "Nobody has acknowledged: more people are called until somebody does.",
    }
    if run.state == _State.WAITING:
        return "The clock calls nobody else. More people are called only when a limit passes or something is marked."
    if run.track == EscalationRun.Track.MANAGEMENT and run.state == _State.RUNNING:
        return "Until it is over the levels above are called at their times, acknowledged or not."
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
    return "Everybody who is to answer was paged, and nobody acknowledged." if on_page else "The last level was called."


_WORDS: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "paging.paged": (_paged, ""),
    "paging.nobody_reachable": (
        lambda data: f"Nobody was on call for {', '.join(data['roles'])} ({_level(data)}).",
        "danger",
    ),
    "paging.acknowledged": (lambda data: f"{data['name']} acknowledged: nobody else is called for an answer.", "ok"),
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
