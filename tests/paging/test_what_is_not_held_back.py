"""What limits, quiet hours and windows must not hold back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.messaging.operations import send_due
from apps.paging.links import bundle_link
from apps.paging.models import PageBundle
from apps.paging.operations import acknowledge, escalate_now, mark_condition, restart
from tests.paging.conftest import SYSTEM, World, level, path_pack
from tests.paging.test_telling import NIGHTS, begin, outside, told, wish

pytestmark = pytest.mark.django_db


def test_an_incident_that_became_the_worst_is_not_held_back_as_one_that_was_told(world: World, settings: Any) -> None:
    settings.PAGE_LIMITS_PER_HOUR = {"email": 1}
    [subject] = begin(world)
    world.clock.advance(timedelta(minutes=4))
    restart(world.item(subject, severity="P0"), actor=SYSTEM)
    assert told(world) == [("email", 0), ("email", 240)]


def test_a_message_that_had_nothing_left_to_tell_opens_no_window(world: World) -> None:
    subjects = begin(world, 2)
    for subject in subjects:
        acknowledge(subject, via="web", actor=SYSTEM)
    world.clock.advance(timedelta(seconds=60))
    send_due()
    world.clock.advance(timedelta(seconds=1))
    begin(world)
    assert told(world) == [("email", 0), ("email", 60), ("email", 61)]


def in_the_night(world: World) -> None:
    """The world begins at three; severity P1 is of low urgency, and calls Ana after an hour."""
    path = [level(1, "secondary"), level(2, "primary", "1h")]
    triggers = [{"when": "data_loss", "call": 2}]
    world.version = path_pack(*path, urgency={"P1": "low"}, triggers=triggers)
    wish(world, quiet=NIGHTS)


def test_quiet_hours_do_not_hold_what_somebody_escalates_now(world: World) -> None:
    in_the_night(world)
    [subject] = begin(world)
    escalate_now(subject, actor=SYSTEM)
    assert told(world) == [("email", 0)]


def test_quiet_hours_do_not_hold_what_a_marked_condition_calls(world: World) -> None:
    in_the_night(world)
    [subject] = begin(world)
    mark_condition(subject, "data_loss", actor=SYSTEM)
    assert told(world) == [("email", 0)]


def evening(world: World) -> None:
    """Two minutes before the night, with three pages of low urgency whose rule would call in the night."""
    world.version = path_pack(level(1, "primary"), urgency={"P1": "low"})
    wish(world, quiet=NIGHTS, low=[{"after_minutes": 5, "channel": "email"}])
    world.clock.advance(timedelta(hours=18, minutes=58))


def test_rules_whose_time_lies_in_quiet_hours_come_as_one_message_at_their_end(world: World) -> None:
    evening(world)
    for _ in range(3):
        begin(world)
        world.clock.advance(timedelta(seconds=20))
    assert told(world) == [("email", 28 * 3600)]


def test_what_is_left_alone_after_quiet_hours_has_a_link_that_works(world: World, settings: Any) -> None:
    settings.ACK_LINK_HOURS = 8
    evening(world)
    begin(world)
    world.clock.advance(timedelta(hours=9, minutes=2))
    send_due()
    [message] = outside(world)
    bundle = PageBundle.objects.get()
    assert message.payload["ack_url"] == bundle_link(bundle.pk)
    assert bundle_link(bundle.pk) in message.body


def test_quiet_hours_hold_the_same_level_at_its_own_time(world: World) -> None:
    in_the_night(world)
    begin(world)
    world.wait(hours=1)
    assert told(world) == [("email", 4 * 3600)]


def test_a_portal_without_a_window_tells_each_page_by_itself(world: World, settings: Any) -> None:
    settings.PAGE_BUNDLE_SECONDS = 0
    begin(world, 3)
    assert told(world) == [("email", 0)] * 3
    assert not PageBundle.objects.exists()
