"""When a page can't be delivered on one way, the person's other ways are called upon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from apps.engine.bell import ring
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import SEND_QUEUE, SEND_TASK, enqueue_many, messages_for_person
from apps.messaging.registry import Undelivered
from apps.paging.bundles import open_calls
from apps.paging.models import NotificationPreference, Page, PageBundle
from apps.paging.rules.choosing import UNBUNDLED, released_at
from apps.paging.rules.document import LOW, wishes_of
from apps.paging.rules.urgency import standing_of
from apps.paging.texts import BUNDLE_GUARD, BUNDLE_PAYLOAD, PAGE_PAYLOAD, Call, page_key, page_message
from apps.people.models import User
from apps.people.zones import zone_of

About = tuple[str, int, int]


def call_other_ways(undelivered: Sequence[Undelivered]) -> None:
    """Bring forward the person's next rule for each page among `undelivered`; where no rule is left to come, send it to
    all other addresses of its person, also where its level left them out.

    An address that got the page already gets no second one, and nothing goes out once the page is answered. What quiet
    hours hold back waits for their end, or stays in the inbox, here too. Writes rows only; a
    constant number of queries.
    """
    rows = Message.objects.filter(pk__in=[item.message_id for item in undelivered], guard_run__isnull=False)
    lost = [row for row in rows if row.recipient_id is not None and _about(row) is not None]
    if not lost:
        return
    coming = _bring_forward(lost)
    left = [row for row in lost if _about(row) not in coming]
    if not left:
        return
    held = _held_until(left, now())
    left = [row for row in left if held.get(row.pk, row.due_at) is not None]
    ways: dict[int, list[NewMessage]] = defaultdict(list)
    for way in messages_for_person(sorted({row.recipient_id for row in left if row.recipient_id}), channels=None):
        if way.channel != Message.Channel.INBOX:
            ways[way.recipient_id or 0].append(way)
    enqueue_many([replace(message, due_at=held.get(row.pk)) for row, message in _messages(left, ways)])


def _messages(
    left: Sequence[Message], ways: Mapping[int, Sequence[NewMessage]]
) -> Iterator[tuple[Message, NewMessage]]:
    """What goes to the other addresses in place of each lost message.

    A place with one entry for each incident gets the pages of a bundle one by one: there it could be neither answered
    nor closed. Where a bundle has a message already it gets no second one, whenever that one is due.
    """
    bundles = [str(row.payload[BUNDLE_PAYLOAD]) for row in left if BUNDLE_PAYLOAD in row.payload]
    there: set[tuple[str, str, str]] = set()
    calls: dict[int, list[Call]] = {}
    names: dict[int, str] = {}
    if bundles:
        told = Message.objects.filter(guard_kind=BUNDLE_GUARD, guard_key__in=bundles)
        there = set(told.values_list("guard_key", "channel", "address"))
        calls = open_calls(bundles)
        names = {user.pk: user.name for user in User.objects.filter(pk__in=ways)}
    for row in left:
        for way in ways[row.recipient_id or 0]:
            if BUNDLE_PAYLOAD not in row.payload:
                yield row, _again(row, way)
            elif way.channel in UNBUNDLED:
                for call in calls.get(row.payload[BUNDLE_PAYLOAD], ()):
                    yield row, page_message(call, way, names)
            elif (row.guard_key, way.channel, way.address) not in there:
                yield row, _again(row, way)


def _about(row: Message) -> About | None:
    """What a message tells: a bundle or a page, to whom; None for anything else."""
    for name in (BUNDLE_PAYLOAD, PAGE_PAYLOAD):
        if name in row.payload:
            return name, row.payload[name], row.recipient_id or 0
    return None


def _bring_forward(lost: Sequence[Message]) -> set[About]:
    """Let the soonest messages that wait for their rule's time go now; what they tell, and to whom.

    A message that was tried already waits for its provider, and one of low urgency may wait for quiet hours to end:
    both stay as they are. Three queries, two where nothing waits.
    """
    at = now()
    waiting = (
        Message.objects.select_for_update(skip_locked=True)
        .filter(
            recipient__in={row.recipient_id for row in lost},
            guard_kind__in={row.guard_kind for row in lost},
            guard_key__in={row.guard_key for row in lost},
            state=Message.State.QUEUED,
            attempts=0,
            due_at__gt=at,
        )
        .order_by("due_at", "pk")
    )
    wanted = {_about(row) for row in lost}
    next_ones: dict[About, list[Message]] = {}
    for row in waiting:
        about = _about(row)
        if about is None or about not in wanted:
            continue
        soonest = next_ones.setdefault(about, [])
        if not soonest or soonest[0].due_at == row.due_at:
            soonest.append(row)
    if not next_ones:
        return set()
    rows = [row for found in next_ones.values() for row in found]
    held = _held_until(rows, at)
    moved = [row.pk for row in rows if row.pk not in held]
    Message.objects.filter(pk__in=moved, state=Message.State.QUEUED).update(due_at=at, planned_at=at)
    ring(SEND_TASK, SEND_QUEUE)
    return set(next_ones)


def _held_until(rows: Sequence[Message], at: datetime) -> dict[int, datetime | None]:
    """Until when quiet hours hold back those of the messages that are of low urgency; None is the inbox only."""
    people = NotificationPreference.objects.filter(user_id__in={row.recipient_id for row in rows})
    quiet: dict[int | None, datetime | None] = {}
    for row in people.exclude(quiet=[]).select_related("user"):
        released = released_at(wishes_of(row), LOW, zone_of(row.user).key, at)
        if released is None or released > at:
            quiet[row.user_id] = released
    if not quiet:
        return {}
    low = _low_urgency(rows)
    return {row.pk: quiet[row.recipient_id] for row in rows if row.recipient_id in quiet and row.pk in low}


def _low_urgency(rows: Sequence[Message]) -> set[int]:
    """Those of the messages that tell something of low urgency."""
    bundles = {row.pk: row.payload[BUNDLE_PAYLOAD] for row in rows if BUNDLE_PAYLOAD in row.payload}
    low = set(
        PageBundle.objects.filter(pk__in=bundles.values(), urgency=LOW).values_list("pk", flat=True)
    ) if bundles else set()  # fmt: skip
    pages = {row.pk: row.payload[PAGE_PAYLOAD] for row in rows if row.pk not in bundles}
    urgent = {
        page.pk: standing_of(page.escalation.policy_version_id, page.escalation.severity).urgency
        for page in Page.objects.filter(pk__in=pages.values()).select_related("escalation")
        if page.escalation is not None
    }
    return {pk for pk, bundle in bundles.items() if bundle in low} | {
        pk for pk, page in pages.items() if urgent.get(page) == LOW
    }


def _again(row: Message, way: NewMessage) -> NewMessage:
    key = row.payload.get(BUNDLE_PAYLOAD) or row.payload[PAGE_PAYLOAD]
    dedupe_key = page_key(key, way.channel, way.address)
    return replace(
        way,
        dedupe_key=dedupe_key.replace("page:", "bundle:", 1) if BUNDLE_PAYLOAD in row.payload else dedupe_key,
        subject=Subject(row.subject_kind, row.subject_key),
        title=row.title,
        body=row.body,
        payload=row.payload,
        priority=row.priority,
        guard=Guard(kind=row.guard_kind, key=row.guard_key, run=row.guard_run or 0),
    )
