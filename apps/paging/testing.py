"""Test pages: how long each address took, read from the rows of its last test."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.contrib.auth.models import AnonymousUser
from django.db.models import Max

from apps.messaging.models import Message
from apps.paging.models import PageTest, PageTestCall
from apps.people.models import User
from apps.people.queries import may_see_addresses


@dataclass(frozen=True, slots=True)
class Measured:
    """What one address did with a test. Seconds count from when the message was queued; None: not yet."""

    call_id: int
    test_id: int
    contact_point_id: int | None
    channel: str
    address: str
    after_minutes: int
    state: str
    error: str
    queued_at: datetime
    accepted_seconds: float | None
    confirmed_seconds: float | None

    @property
    def is_waiting(self) -> bool:
        """Whether its provider has not decided yet."""
        return self.state in {Message.State.QUEUED, Message.State.SENDING}


def confirmed_seconds(call: PageTestCall) -> float | None:
    """From queued to the tap on its link."""
    return (call.confirmed_at - call.queued_at).total_seconds() if call.confirmed_at else None


def measured(test: PageTest, *, reader: User | AnonymousUser) -> list[Measured]:
    """Each address of a test; two queries. Who may not see the addresses reads neither them nor what providers said."""
    found = _measured(PageTestCall.objects.filter(test=test))
    if may_see_addresses(reader, test.user_id):
        return found
    return [replace(each, address="", error="") for each in found]


def last_test(user_id: int) -> PageTest | None:
    """The person's newest test."""
    return PageTest.objects.filter(user_id=user_id).order_by("-id").first()


def last_by_point(user_ids: Collection[int]) -> dict[int, Measured]:
    """The newest result of each contact point of these people; three queries."""
    calls = PageTestCall.objects.filter(test__user_id__in=user_ids, contact_point__isnull=False)
    newest = calls.values("contact_point").annotate(newest=Max("pk")).values_list("newest", flat=True)
    found = _measured(PageTestCall.objects.filter(pk__in=list(newest)))
    return {each.contact_point_id: each for each in found if each.contact_point_id is not None}


def _measured(calls: Iterable[PageTestCall]) -> list[Measured]:
    rows = list(calls)
    messages = {
        row.dedupe_key: row for row in Message.objects.filter(dedupe_key__in=[call.message_key for call in rows])
    }
    return [_one(call, messages.get(call.message_key)) for call in rows]


def _one(call: PageTestCall, message: Message | None) -> Measured:
    sent_at = message.sent_at if message else None
    return Measured(
        call_id=call.pk,
        test_id=call.test_id,
        contact_point_id=call.contact_point_id,
        channel=call.channel,
        address=call.address,
        after_minutes=call.after_minutes,
        state=message.state if message else Message.State.VOID,
        error=message.last_error if message else "",
        queued_at=call.queued_at,
        accepted_seconds=(sent_at - call.queued_at).total_seconds() if sent_at else None,
        confirmed_seconds=confirmed_seconds(call),
    )
