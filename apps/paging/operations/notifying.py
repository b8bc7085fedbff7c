"""A person's notification rules: written, taken back, tried with a test page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, NotFound, PreconditionFailed, TooMany
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.paging.links import arrival_link
from apps.paging.models import NotificationPreference, PageTest, PageTestCall
from apps.paging.rules.choosing import Address, choose
from apps.paging.rules.document import HIGH, LOW, checked_bundle, checked_quiet, checked_rules, wishes_of
from apps.people.models import ContactPoint, User
from apps.people.permissions import allowed, require

VIEW, CHANGE = "paging.view_notificationpreference", "paging.change_notificationpreference"
TEST_PAUSE = timedelta(seconds=30)
MOST_TESTS_AN_HOUR = 10
_UNSET: Any = object()


def may_see_rules(actor: Actor, user_id: int) -> bool:
    """One's own, and everybody's with `paging.view_notificationpreference`."""
    return actor.user_id == user_id or allowed(actor, VIEW)


def may_change_rules(actor: Actor, user_id: int) -> bool:
    """One's own, and everybody's with `paging.change_notificationpreference`."""
    return actor.user_id == user_id or allowed(actor, CHANGE)


def _person(user_id: int, actor: Actor) -> User:
    """The person, locked; NotFound for who may not know of the rules, Forbidden for who may only read them."""
    user = User.objects.select_for_update().filter(pk=user_id, kind=User.Kind.PERSON).first()
    if user is None or not may_see_rules(actor, user_id):
        raise NotFound("There is no such person, or you may not see their rules.")
    if not may_change_rules(actor, user_id):
        require(actor, CHANGE)
    return user


@operation
def change_rules(
    user_id: int,
    *,
    high: Sequence[Mapping[str, Any]] = _UNSET,
    low: Sequence[Mapping[str, Any]] = _UNSET,
    quiet: Sequence[Mapping[str, Any]] = _UNSET,
    when_quiet: str = _UNSET,
    bundle_seconds: int | None = _UNSET,
    expected_version: int | None = None,
    actor: Actor,
) -> NotificationPreference:
    """Set what is given of a person's rules; pages made from now on follow them. The same again changes nothing.

    An empty list of rules means the default: every usable address at once. For oneself, or with the permission for
    others. Raises NotFound, Forbidden, Invalid with the number of what is wrong, PreconditionFailed for another
    version.
    """
    user = _person(user_id, actor)
    row = NotificationPreference.objects.filter(user=user).first() or NotificationPreference(user=user, version=0)
    if expected_version is not None and expected_version != row.version:
        raise PreconditionFailed("The rules have changed since you read them: read them again.")
    points = list(ContactPoint.objects.filter(user=user).values_list("pk", flat=True))
    before = wishes_of(row)
    known = [rule.contact_point for rule in (*before.high, *before.low) if rule.contact_point is not None]
    wanted: dict[str, Any] = {}
    if high is not _UNSET:
        wanted["high"] = [rule.as_json() for rule in checked_rules(high, HIGH, points, known)]
    if low is not _UNSET:
        wanted["low"] = [rule.as_json() for rule in checked_rules(low, LOW, points, known)]
    if quiet is not _UNSET:
        wanted["quiet"] = [span.as_json() for span in checked_quiet(quiet)]
    if when_quiet is not _UNSET:
        wanted["when_quiet"] = NotificationPreference.WhenQuiet(when_quiet).value
    if bundle_seconds is not _UNSET:
        wanted["bundle_seconds"] = checked_bundle(bundle_seconds)
    changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
    if not changed:
        return row
    for name, value in changed.items():
        setattr(row, name, value)
    row.version, row.changed_at = row.version + 1, now()
    row.save()
    return row


@operation
def reset_rules(user_id: int, *, actor: Actor) -> None:
    """Back to the default rules and no quiet hours; a repeat changes nothing. As `change_rules`."""
    user = _person(user_id, actor)
    row = NotificationPreference.objects.filter(user=user).first()
    if row is not None:
        row.delete()


@operation
def page_me_now(user_id: int, *, actor: Actor) -> PageTest:
    """Send a test page to each address that the person's rules for high urgency call, at once, and to the inbox.

    The text says that it is a test and when the rules would call that address. No incident, no page. One each half a
    minute and ten an hour for a person: TooMany else. Raises NotFound, Forbidden, Conflict for a closed account.
    """
    user = _person(user_id, actor)
    if not user.is_active:
        raise Conflict("The account is closed: it is not paged.", code="account_closed")
    at = now()
    recent = list(
        PageTest.objects.filter(user=user, created_at__gt=at - timedelta(hours=1)).values_list("created_at", flat=True)
    )
    wait = TEST_PAUSE - (at - recent[0]) if recent else timedelta(0)
    if len(recent) >= MOST_TESTS_AN_HOUR:
        wait = timedelta(hours=1) - (at - recent[-1])
    if wait > timedelta(0):
        seconds = int(wait.total_seconds()) + 1
        text = f"A test was sent just now: wait {seconds} s."
        raise TooMany(text, extra={"retry_after_seconds": seconds})
    test = PageTest.objects.create(user=user, asked_by=actor.name[:120], created_at=at)
    ways = messages_for_person([user.pk], channels=None)
    wishes = wishes_of(NotificationPreference.objects.filter(user=user).first())
    by_address = {Address(way.channel, way.contact_point_id): way for way in ways}
    chosen = [
        (by_address[each.address], int(each.after.total_seconds()) // 60)
        for each in choose(wishes, HIGH, list(by_address))
    ]
    inbox = [(way, 0) for way in ways if way.channel == Message.Channel.INBOX]
    calls = [
        PageTestCall(
            test=test,
            contact_point_id=way.contact_point_id,
            channel=way.channel,
            address=way.address,
            after_minutes=minutes,
            message_key=f"pagetest:{test.pk}:{way.channel}:{way.contact_point_id or 0}",
            queued_at=at,
        )
        for way, minutes in [*inbox, *chosen]
    ]
    PageTestCall.objects.bulk_create(calls)
    enqueue_many([_draft(call, way, user) for call, (way, _) in zip(calls, [*inbox, *chosen], strict=True)])
    return test


def _draft(call: PageTestCall, way: NewMessage, user: User) -> NewMessage:
    when = f"{call.after_minutes} min after a page begins" if call.after_minutes else "at once"
    url = f"{settings.PUBLIC_URL}{reverse('admin:paging_notificationpreference_of', args=[user.pk])}"
    link = arrival_link(call.pk)
    outside = way.channel != Message.Channel.INBOX
    tap = f"Tap to show that it reached you:\n{link}\n" if outside else f"See how long each address took:\n{url}\n"
    return NewMessage(
        dedupe_key=call.message_key,
        channel=way.channel,
        recipient_id=user.pk,
        endpoint_id=None,
        contact_point_id=way.contact_point_id,
        address=way.address,
        subject=Subject("", ""),
        title="[TEST] Test page of the incident portal",
        body=f"{user.name}: this is a test. There is no incident. Your rules call this address {when}.\n\n{tap}",
        payload={"test_page": call.test_id, "url": link if outside else url, "event_severity": "info"},
        priority=0,
    )


def confirm_page_test(call_id: int) -> None:
    """Somebody tapped the link of a test page: it arrived. The first tap counts. For whoever has the signed link."""
    PageTestCall.objects.filter(pk=call_id, confirmed_at__isnull=True).update(confirmed_at=now())
