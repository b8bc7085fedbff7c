"""Pages become messages as their people wish, and a storm becomes one message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.engine.models import Event
from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.operations import send_due
from apps.messaging.registry import tell_fallbacks
from apps.messaging.sending.outcomes import call_fallbacks, tell_failed
from apps.paging.explaining import explain
from apps.paging.models import BundledPage, Page, PageBundle
from apps.paging.operations import (
    acknowledge,
    acknowledge_bundle,
    change_rules,
    page_people,
    reset_rules,
    start_escalations,
    stop,
)
from apps.people.models import ContactPoint, User
from tests.factories import actor
from tests.paging.conftest import SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db

NIGHTS = [{"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "from": "22:00", "to": "07:00"}]


def point(world: World, kind: str, address: str = "") -> ContactPoint:
    ana = world.people["ana"]
    return ContactPoint.objects.create(user=ana, kind=kind, address=address or f"{kind}:ana", position=5)


def wish(world: World, **rules: Any) -> None:
    ana = world.people["ana"]
    change_rules(ana.pk, **rules, actor=actor(ana))


def outside(world: World, name: str = "ana") -> list[Message]:
    rows = Message.objects.filter(recipient=world.people[name]).exclude(channel="inbox")
    return list(rows.order_by("pk"))


def told(world: World) -> list[tuple[str, int]]:
    """To which channels, how many seconds after this world began."""
    return [(row.channel, round((row.due_at - world.began).total_seconds())) for row in outside(world)]


def begin(world: World, count: int = 1, severity: str = "P1") -> list[Subject]:
    items = [world.item(severity=severity) for _ in range(count)]
    start_escalations(items, actor=SYSTEM)
    return [item.subject for item in items]


def low_pack() -> Any:
    return path_pack(level(1, "primary"), urgency={"P1": "low"})


# --- rules ---


def test_without_rules_every_address_is_called_at_once(world: World) -> None:
    point(world, "slack")
    begin(world)
    assert told(world) == [("email", 0), ("slack", 0)]
    assert all(row.guard_kind == "paging.run" and "page_id" in row.payload for row in outside(world))


def test_rules_say_where_and_when(world: World) -> None:
    slack = point(world, "slack")
    wish(world, high=[{"after_minutes": 0, "contact_point": slack.pk}, {"after_minutes": 5, "channel": "email"}])
    begin(world)
    assert sorted(told(world)) == [("email", 300), ("slack", 0)]


def test_changed_rules_hold_for_later_pages_only(world: World) -> None:
    begin(world)
    wish(world, high=[{"after_minutes": 9, "channel": "email"}])
    assert told(world) == [("email", 0)]
    world.clock.advance(timedelta(minutes=3))
    begin(world)
    assert told(world) == [("email", 0), ("email", 180 + 540)]
    reset_rules(world.people["ana"].pk, actor=SYSTEM)
    world.clock.advance(timedelta(minutes=3))
    begin(world)
    assert told(world)[-1] == ("email", 360)


def test_a_level_limits_the_rules_and_is_never_defeated_into_silence(world: World) -> None:
    world.version = path_pack(level(1, "primary", channels=["slack"]))
    point(world, "slack")
    wish(world, high=[{"after_minutes": 0, "channel": "email"}])
    begin(world)
    assert told(world) == [("slack", 0)]


def test_a_rule_that_reaches_nothing_leaves_the_default(world: World) -> None:
    gone = point(world, "slack")
    wish(world, high=[{"after_minutes": 0, "contact_point": gone.pk}])
    gone.delete()
    begin(world)
    assert told(world) == [("email", 0)]


def test_low_urgency_may_stay_in_the_inbox(world: World) -> None:
    world.version = low_pack()
    wish(world, low=[{"after_minutes": 0, "channel": "inbox"}])
    begin(world)
    assert told(world) == []
    assert Message.objects.filter(recipient=world.people["ana"], channel="inbox").count() == 1


def test_what_was_acknowledged_before_its_rule_is_not_sent(world: World) -> None:
    wish(world, high=[{"after_minutes": 5, "channel": "email"}])
    [subject] = begin(world)
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    world.clock.advance(timedelta(minutes=6))
    send_due()
    assert [row.state for row in outside(world)] == ["void"]


def test_when_an_address_fails_the_next_rule_is_called_at_once_and_then_the_others(world: World) -> None:
    slack, push = point(world, "slack"), point(world, "discord")
    wish(
        world,
        high=[
            {"after_minutes": 0, "contact_point": slack.pk},
            {"after_minutes": 10, "channel": "email"},
        ],
    )
    begin(world)
    first = Message.objects.get(channel="slack")
    tell_fallbacks(call_fallbacks([first], is_final=True))
    assert sorted(told(world)) == [("email", 0), ("slack", 0)]
    email = Message.objects.get(channel="email")
    tell_fallbacks(call_fallbacks([email], is_final=True))
    assert sorted(told(world)) == [("discord", 0), ("email", 0), ("slack", 0)]
    assert Message.objects.get(channel="discord").contact_point_id == push.pk


def test_a_bundle_that_is_lost_goes_page_by_page_to_where_each_incident_has_an_entry(world: World) -> None:
    world.version = path_pack(level(1, "primary", channels=["email"]))
    point(world, "pagerduty")
    begin(world, 3)
    bundle = outside(world)[-1]
    lost = call_fallbacks([bundle], is_final=True)
    tell_fallbacks(lost)
    tell_fallbacks(lost)
    rows = Message.objects.filter(channel="pagerduty")
    assert sorted(row.payload["page_id"] for row in rows) == [
        item.page_id for item in BundledPage.objects.order_by("pk")
    ]
    assert {row.guard_kind for row in rows} == {"paging.run"}


def test_where_several_were_told_together_each_hears_that_the_message_failed(world: World) -> None:
    _, second, third, gone = begin(world, 4)
    stop(gone, reason="resolved", actor=SYSTEM)
    bundle = outside(world)[-1]
    assert bundle.subject_kind == "page_bundle"
    tell_failed([bundle], {})
    told = Event.objects.filter(kind="messaging.message_failed")
    assert set(told.values_list("subject_kind", "subject_key")) == {(each.kind, each.key) for each in (second, third)}
    assert told.count() == 2


def test_a_bundle_that_waits_for_a_rule_at_an_address_comes_there_once(world: World) -> None:
    slack, discord = point(world, "slack"), point(world, "discord")
    wish(
        world,
        high=[{"after_minutes": 0, "contact_point": slack.pk}, {"after_minutes": 5, "contact_point": discord.pk}],
    )
    begin(world, 2)
    at_once, delayed = Message.objects.filter(guard_kind="paging.bundle").order_by("due_at")
    assert (at_once.channel, delayed.channel) == ("slack", "discord")
    # Both were tried; the provider of one is waited for, so it is not among what a fallback may bring forward.
    Message.objects.filter(guard_kind="paging.bundle").update(attempts=1)
    tell_fallbacks(call_fallbacks([at_once], is_final=True))
    rows = Message.objects.filter(guard_kind="paging.bundle").order_by("pk")
    assert sorted(row.channel for row in rows) == ["discord", "email", "slack"]


@pytest.mark.parametrize("when_quiet", ["wait", "inbox"])
def test_what_is_lost_before_quiet_hours_calls_nobody_in_them(world: World, when_quiet: str) -> None:
    """Low urgency, told at 03:00; quiet hours begin at 03:01."""
    world.version = low_pack()
    slack = point(world, "slack")
    quiet = [{**NIGHTS[0], "from": "03:01"}]
    wish(world, low=[{"after_minutes": 0, "contact_point": slack.pk}], quiet=quiet, when_quiet=when_quiet)
    begin(world)
    [first] = outside(world)
    world.clock.advance(timedelta(minutes=2))
    tell_fallbacks(call_fallbacks([first], is_final=True))
    assert told(world)[1:] == ([("email", 4 * 3600)] if when_quiet == "wait" else [])


# --- quiet hours ---


def test_a_time_zone_that_does_not_exist_is_read_as_utc_and_stops_no_page(world: World) -> None:
    world.version = low_pack()
    wish(world, quiet=NIGHTS)
    User.objects.filter(pk=world.people["ana"].pk).update(time_zone="PST")
    begin(world)
    assert [channel for channel, _ in told(world)] == ["email"]
    [row] = outside(world)
    tell_fallbacks(call_fallbacks([row], is_final=True))


def test_low_urgency_waits_until_quiet_hours_end_and_then_comes_as_one(world: World) -> None:
    """The world begins at 03:00 on a Monday."""
    world.version = low_pack()
    wish(world, quiet=NIGHTS)
    begin(world)
    world.clock.advance(timedelta(minutes=40))
    begin(world, 2)
    [message] = outside(world)
    assert (message.channel, message.due_at - world.began) == ("email", timedelta(hours=4))
    assert PageBundle.objects.get().reason == "quiet"
    assert Message.objects.filter(channel="inbox", recipient=world.people["ana"]).count() == 3


def test_high_urgency_is_not_held_back(world: World) -> None:
    wish(world, quiet=NIGHTS)
    begin(world)
    assert told(world) == [("email", 0)]


# --- bundling ---


def test_a_storm_is_one_page_and_one_message_at_the_end_of_the_window(world: World) -> None:
    begin(world)
    for _ in range(4):
        world.clock.advance(timedelta(seconds=10))
        begin(world, 5)
    assert told(world) == [("email", 0), ("email", 60)]
    assert Page.objects.filter(user=world.people["ana"]).count() == 21
    assert BundledPage.objects.count() == 20
    assert Message.objects.filter(recipient=world.people["ana"], channel="inbox").count() == 21


def test_the_worst_of_a_batch_goes_at_once(world: World) -> None:
    items = [world.item(severity=severity) for severity in ("P1", "P1", "P0")]
    start_escalations(items, actor=SYSTEM)
    first, _ = outside(world)
    assert (first.title, first.subject_key) == ("[P0] INC-1 Nobody can log in", items[2].subject.key)


def test_something_worse_breaks_the_bundle(world: World) -> None:
    begin(world, 3)
    world.clock.advance(timedelta(seconds=5))
    begin(world, 2, severity="P0")
    assert told(world) == [("email", 0), ("email", 60), ("email", 5)]


def test_the_message_names_what_is_open_when_it_is_sent(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    from django.core import mail

    _, *rest = begin(world, 4)
    acknowledge(rest[0], via="web", actor=actor(world.people["ana"]))
    stop(rest[1], reason="resolved", actor=SYSTEM)
    world.clock.advance(timedelta(seconds=30))
    begin(world)
    world.clock.advance(timedelta(seconds=31))
    send_due()
    assert len(mail.outbox) == 2
    # Both leave at once, in any order.
    [letter] = [
        each for each in mail.outbox if each.subject.startswith("2 incidents (2 × P1): INC-1 Nobody can log in")
    ]
    assert "/ack/together/" in str(letter.body)
    message = outside(world)[1]
    assert (message.state, message.title) == ("sent", letter.subject)


def test_a_long_list_is_cut_and_says_where_the_rest_is(world: World, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    begin(world, 31)
    world.clock.advance(timedelta(seconds=61))
    send_due()
    body = outside(world)[1].body
    assert body.count("[P1] INC-1") == 20
    assert "and 10 more: " in body


def test_one_that_is_left_alone_reads_as_a_page(world: World) -> None:
    _, second = begin(world, 2)
    world.clock.advance(timedelta(seconds=61))
    send_due()
    message = outside(world)[1]
    assert (message.title, message.subject_key) == ("[P1] INC-1 Nobody can log in", second.key)
    assert message.payload["page_id"] == world.pages(second)[0].pk


def test_with_nothing_left_it_is_void(world: World) -> None:
    for subject in begin(world, 3)[1:]:
        acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    world.clock.advance(timedelta(seconds=61))
    send_due()
    assert [row.state for row in outside(world)] == ["sent", "void"]


def test_all_are_acknowledged_as_one_or_one_alone(world: World) -> None:
    begin(world, 4)
    ana, bundle = world.people["ana"], PageBundle.objects.get()
    pages = sorted(page.pk for page in bundle.pages.all())
    assert [
        page.pk for page in acknowledge_bundle(bundle.pk, page_ids=pages[:1], via="web", actor=actor(ana))
    ] == pages[:1]
    assert len(acknowledge_bundle(bundle.pk, via="web", actor=actor(ana))) == 2
    assert acknowledge_bundle(bundle.pk, via="web", actor=actor(ana)) == []
    assert Page.objects.filter(state="open", user=ana).count() == 1


def test_channels_with_a_key_for_each_incident_are_not_bundled(world: World) -> None:
    point(world, "pagerduty")
    point(world, "webhook", "https://example.com/ana")
    begin(world, 3)
    channels = sorted(row.channel for row in outside(world))
    assert channels == ["email", "email", "pagerduty", "pagerduty", "pagerduty", "webhook", "webhook", "webhook"]


def test_who_is_paged_by_hand_hears_it_at_once(world: World) -> None:
    subject, *_ = begin(world, 3)
    page_people(subject, [world.people["ana"].pk], actor=SYSTEM)
    assert sum(row.due_at == world.clock() for row in outside(world)) == 2


def test_ones_own_window_length_counts(world: World) -> None:
    wish(world, bundle_seconds=20)
    begin(world, 2)
    assert told(world) == [("email", 0), ("email", 20)]


def test_if_the_transaction_dies_there_is_neither_page_nor_message(world: World) -> None:
    class Killed(Exception):
        pass

    def killed() -> None:
        with transaction.atomic():
            begin(world, 3)
            raise Killed

    with pytest.raises(Killed):
        killed()
    assert (Page.objects.count(), outside(world), PageBundle.objects.count()) == (0, [], 0)
    begin(world, 2)
    assert told(world) == [("email", 0), ("email", 60)]


# --- limits ---


def test_what_is_over_a_limit_is_told_when_there_is_room_and_never_lost(world: World, settings: Any) -> None:
    settings.PAGE_LIMITS_PER_HOUR = {"email": 2}
    begin(world, severity="P0")
    for _ in range(4):
        world.clock.advance(timedelta(minutes=4))
        begin(world)
    assert told(world) == [("email", 0), ("email", 240), ("email", 3600)]
    assert PageBundle.objects.get().reason == "limit"
    assert BundledPage.objects.count() == 3
    world.clock.advance(timedelta(hours=1))
    send_due()
    assert outside(world)[-1].title.startswith("3 incidents (3 × P1)")


def test_the_first_page_of_the_worst_is_never_held_back(world: World, settings: Any) -> None:
    settings.PAGE_LIMITS_PER_HOUR = {"email": 1}
    begin(world)
    world.clock.advance(timedelta(minutes=4))
    begin(world, severity="P0")
    world.clock.advance(timedelta(minutes=4))
    begin(world)
    assert told(world) == [("email", 0), ("email", 240), ("email", 3840)]


# --- the claims of the storm ---


def test_a_minute_of_storm_over_twenty_services_on_the_simulated_clock(world: World) -> None:
    """Twenty incidents in a minute, one of them worse: one page at once, one that breaks in, one bundle."""
    for number in range(20):
        begin(world, severity="P0" if number == 9 else "P1")
        world.clock.advance(timedelta(seconds=3))
    world.clock.advance(timedelta(seconds=60))
    send_due()
    sent = [row for row in outside(world) if row.state == "sent"]
    assert [round((row.planned_at - world.began).total_seconds()) for row in sent if row.planned_at] == [0, 60, 27]
    bundle = sent[1]
    assert bundle.title.startswith("18 incidents (18 × P1)")
    assert Page.objects.filter(user=world.people["ana"]).count() == 20


def test_the_why_page_says_that_a_page_was_told_with_others(world: World) -> None:
    _, second = begin(world, 2)
    ana = world.people["ana"]
    [story] = [story for story in explain(second, user=ana).pages if story.user_id == ana.pk]
    texts = {each.channel: each.text for each in story.deliveries}
    assert texts["email"].endswith("with others at 2026-05-04 03:01:00 UTC")
    assert texts["in-app inbox"] == "in the inbox"
