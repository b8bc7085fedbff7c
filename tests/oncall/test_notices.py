"""Whoever's future shift changes hears of it, once for many edits; who did it to themselves does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from apps.engine.models import Timer
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.messaging.models import Message
from apps.oncall.models import HolidayCalendar, Override, Rotation, RotationWatch
from apps.oncall.notices import remind, reminders_due
from apps.oncall.operations import (
    add_override,
    approve_swap,
    bind_role,
    cancel_override,
    create_holiday_calendar,
    create_rotation,
    decline_swap,
    delete_rotation,
    give_back_swap,
    pause,
    request_swap,
    set_members,
    set_reminder,
    take_swap,
    update_holiday_calendar,
    update_layer,
    update_rotation,
)
from apps.oncall.queries import on_call_now, people_for_roles, roster, shifts_of, warnings_of
from apps.people.models import ContactPoint, User
from tests.factories import actor, named, person

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
THURSDAY = datetime(2026, 5, 7, 12, tzinfo=UTC)


def told(user: User) -> list[Message]:
    return list(Message.objects.filter(recipient=user, channel="inbox").order_by("id"))


def later(clock: ManualClock, step: timedelta = timedelta(minutes=4)) -> None:
    clock.advance(step)
    fire_timers()


def test_a_cover_by_somebody_else_is_told_in_the_persons_own_zone(
    weekly: Rotation, ana: User, ben: User, cat: User, clock: ManualClock
) -> None:
    User.objects.filter(pk=ana.pk).update(time_zone="Europe/Berlin")
    ContactPoint.objects.create(user=ana, kind="email", address="ana@example.com")
    ContactPoint.objects.create(user=ana, kind="sms", address="+4917012345")
    add_override(weekly.pk, cat.pk, THURSDAY, THURSDAY + DAY, actor=actor(cat))
    assert not told(ana)
    later(clock)
    (message,) = told(ana)
    assert message.title == "Your shifts in Weekly changed"
    assert "Cat changed who is on call in Weekly (Core)." in message.body
    assert "Wed 06 May 2026 14:04 until Thu 07 May 2026 14:00" in message.body
    assert "Fri 08 May 2026 14:00 until Mon 11 May 2026 11:00" in message.body
    assert set(Message.objects.filter(recipient=ana).values_list("channel", flat=True)) == {"inbox", "email"}
    assert not told(cat)
    assert not told(ben)


def test_many_edits_in_a_row_are_one_message_and_undone_ones_none(
    weekly: Rotation, ana: User, ben: User, cat: User, clock: ManualClock
) -> None:
    manager = person("manager")
    layer = weekly.layers.get()
    update_layer(layer.pk, handoff_weekday=2, actor=actor(manager))
    update_layer(layer.pk, handoff_weekday=3, actor=actor(manager))
    set_members(layer.pk, [ben.pk, ana.pk, cat.pk], actor=actor(manager))
    later(clock)
    assert [len(told(user)) for user in (ana, ben, cat)] == [1, 1, 1]
    assert "new shifts" in told(cat)[0].title
    cover = add_override(weekly.pk, manager.pk, THURSDAY + DAY, THURSDAY + 2 * DAY, actor=actor(manager))
    cancel_override(cover.pk, actor=actor(manager))
    later(clock)
    assert [len(told(user)) for user in (ana, ben, cat)] == [1, 1, 1]


def test_a_pause_a_holiday_and_a_deletion_are_told(weekly: Rotation, ana: User, ben: User, clock: ManualClock) -> None:
    manager = actor(person("manager"))
    pause(weekly.pk, user_id=ana.pk, actor=manager)
    later(clock)
    assert told(ana)[0].title == "You are no longer on call in Weekly"
    assert len(told(ben)) == 1
    days = create_holiday_calendar("own", "Our days", actor=SYSTEM)
    update_layer(weekly.layers.get().pk, holiday_calendar_id=days.pk, holiday_rule="skip", actor=SYSTEM)
    update_holiday_calendar(HolidayCalendar.objects.get().pk, own_days=["2026-05-14"], actor=manager)
    later(clock)
    assert len(told(ben)) == 2
    delete_rotation(weekly.pk, actor=manager)
    assert "deleted the rotation Weekly" in told(ben)[2].body


def test_what_the_portal_loads_and_what_lies_behind_is_told_to_nobody(
    weekly: Rotation, ana: User, clock: ManualClock
) -> None:
    add_override(weekly.pk, person().pk, THURSDAY, THURSDAY + DAY, actor=SYSTEM)
    later(clock)
    manager = actor(person("manager"))
    add_override(weekly.pk, person().pk, clock(), clock() + timedelta(minutes=2), actor=manager)
    later(clock)
    assert not told(ana)


def test_hundreds_of_edits_compute_the_weeks_once(weekly: Rotation, clock: ManualClock) -> None:
    manager = actor(person("manager"))
    for number in range(5):
        update_layer(weekly.layers.get().pk, handoff_weekday=number + 1, actor=manager)
    watch = RotationWatch.objects.get()
    assert watch.run == 1
    later(clock)
    update_layer(weekly.layers.get().pk, handoff_weekday=0, actor=manager)
    watch.refresh_from_db()
    assert watch.run == 2


def test_a_new_rotation_tells_its_people(core: object, ana: User, clock: ManualClock) -> None:
    create_rotation(core.pk, "new", "New", member_ids=[ana.pk], actor=actor(person("manager")))  # type: ignore[attr-defined]
    later(clock)
    assert told(ana)[0].title == "You are on call in New: new shifts"


# --- reminders ---


def test_a_shift_is_announced_a_day_before_and_once(weekly: Rotation, ben: User, clock: ManualClock) -> None:
    remind()
    assert not reminders_due(clock())
    clock.move_to(datetime(2026, 5, 10, 9, 0, 1, tzinfo=UTC))
    assert reminders_due(clock())
    remind()
    remind()
    (message,) = told(ben)
    assert message.title == "Your shift in Weekly begins Mon 11 May 2026 09:00"
    clock.move_to(datetime(2026, 5, 10, 10, 0, 1, tzinfo=UTC))
    RotationWatch.objects.update(remind_at=clock())
    remind()
    assert len(told(ben)) == 1


@pytest.mark.parametrize(("lead", "at", "count"), [("hour", 7, 0), ("hour", 8, 1), ("none", 8, 0)])
def test_people_choose_when_they_are_reminded(  # noqa: PLR0917  # fixtures and cases
    weekly: Rotation, ben: User, clock: ManualClock, lead: str, at: int, count: int
) -> None:
    set_reminder(lead, actor=actor(ben))
    remind()
    clock.move_to(datetime(2026, 5, 11, at, 30, tzinfo=UTC))
    RotationWatch.objects.update(remind_at=clock())
    remind()
    assert len(told(ben)) == count


def test_who_got_a_shift_late_has_its_notice_and_no_reminder(weekly: Rotation, cat: User, clock: ManualClock) -> None:
    remind()
    add_override(weekly.pk, cat.pk, clock() + 2 * HOUR, clock() + 4 * HOUR, actor=actor(person("manager")))
    later(clock)
    remind()
    assert [message.title for message in told(cat)] == ["You are on call in Weekly: new shifts"]


def test_between_two_looks_nobody_is_reminded_of_what_a_notice_tells(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    """The last look was days ago, so a cover of today was due for a reminder since. The portal's has no notice."""
    remind()
    clock.advance(2 * DAY)
    begins = clock() + 2 * HOUR
    add_override(weekly.pk, cat.pk, begins, begins + HOUR, actor=actor(person("manager")))
    clock.advance(timedelta(seconds=1))
    remind()
    assert not told(cat)
    later(clock)
    remind()
    assert [message.title for message in told(cat)] == ["You are on call in Weekly: new shifts"]
    assert [message.title for message in told(ana)] == ["Your shifts in Weekly changed"]
    RotationWatch.objects.update(reminded_until=clock() - 2 * DAY, remind_at=clock() + DAY)
    add_override(weekly.pk, cat.pk, begins + 2 * HOUR, begins + 3 * HOUR, actor=SYSTEM)
    remind()
    assert "Your shift in Weekly begins Fri 08 May 2026 16:00" in {message.title for message in told(cat)}


def test_a_reminder_that_is_due_is_not_lost_by_a_change(
    weekly: Rotation, ben: User, cat: User, clock: ManualClock
) -> None:
    remind()
    clock.move_to(datetime(2026, 5, 10, 9, 0, 1, tzinfo=UTC))
    add_override(weekly.pk, cat.pk, clock() + 9 * DAY, clock() + 10 * DAY, actor=actor(cat))
    remind()
    assert [message.title for message in told(ben)] == ["Your shift in Weekly begins Mon 11 May 2026 09:00"]


def test_whoever_chooses_a_reminder_gets_it_also_when_the_next_look_is_far(
    weekly: Rotation, ben: User, clock: ManualClock
) -> None:
    set_reminder("none", actor=actor(ben))
    remind()
    clock.advance(HOUR)
    set_reminder("hour", actor=actor(ben))
    remind()
    clock.move_to(datetime(2026, 5, 11, 8, 0, 1, tzinfo=UTC))
    assert reminders_due(clock())
    remind()
    assert [message.title for message in told(ben)] == ["Your shift in Weekly begins Mon 11 May 2026 09:00"]


# --- swaps ---


def test_an_offer_reaches_the_members_or_the_one_asked(
    weekly: Rotation, ana: User, ben: User, cat: User, clock: ManualClock
) -> None:
    request_swap(weekly.pk, THURSDAY, THURSDAY + HOUR, reason="wedding", actor=actor(ana))
    assert "They say: wedding" in told(ben)[0].body
    assert not told(ana)
    assert not told(cat)
    request_swap(weekly.pk, THURSDAY + DAY, THURSDAY + DAY + HOUR, asked_id=cat.pk, actor=actor(ana))
    assert told(cat)[0].title == "Ana offers you time on call in Weekly"
    assert "/admin/oncall/swap/" in told(cat)[0].payload["url"]
    assert len(told(ben)) == 1


def test_the_other_side_hears_what_became_of_it_and_nobody_twice(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    swap = request_swap(weekly.pk, THURSDAY, THURSDAY + HOUR, actor=actor(ana))
    take_swap(swap.pk, actor=actor(cat))
    later(clock)
    give_back_swap(swap.pk, actor=actor(cat))
    later(clock)
    assert [message.title for message in told(ana)] == [
        "Cat takes your time in Weekly",
        "Your time in Weekly was given back",
    ]
    assert not told(cat)


def test_approval_and_refusal_reach_both(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    manager = actor(person("manager"))
    update_rotation(weekly.pk, swaps_need_approval=True, actor=SYSTEM)
    first = request_swap(weekly.pk, THURSDAY, THURSDAY + HOUR, actor=actor(ana))
    take_swap(first.pk, actor=actor(cat))
    approve_swap(first.pk, actor=manager)
    second = request_swap(weekly.pk, THURSDAY + DAY, THURSDAY + DAY + HOUR, actor=actor(ana))
    take_swap(second.pk, actor=actor(cat))
    decline_swap(second.pk, actor=manager)
    assert [message.title for message in told(ana)] == [
        "Cat would take your time in Weekly",
        "Approved: Cat takes your time in Weekly",
        "Cat would take your time in Weekly",
        "Your offer in Weekly was declined",
    ]
    assert [message.title for message in told(cat)] == [
        "You are on call in Weekly by a swap",
        "The offer of Ana in Weekly was declined",
    ]


def test_a_swaps_cover_that_is_cancelled_is_told_once(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    swap = request_swap(weekly.pk, THURSDAY, THURSDAY + HOUR, actor=actor(ana))
    taken = take_swap(swap.pk, actor=actor(cat))
    later(clock)
    assert taken.override_id is not None
    cancel_override(taken.override_id, actor=actor(person("manager")))
    later(clock)
    assert [message.title for message in told(ana)][1:] == ["Your time in Weekly was given back"]
    assert not any("changed" in message.title for message in told(cat))


def test_what_stays_is_not_listed_however_uneven_the_instant(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=30, microseconds=400_123))
    add_override(weekly.pk, cat.pk, THURSDAY, THURSDAY + DAY, actor=actor(cat))
    later(clock)
    (message,) = told(ana)
    assert "Jun 2026" not in message.body


def test_a_notice_that_never_came_silences_no_rotation(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    add_override(weekly.pk, cat.pk, THURSDAY, THURSDAY + HOUR, actor=SYSTEM)
    add_override(weekly.pk, cat.pk, THURSDAY + DAY, THURSDAY + DAY + HOUR, actor=actor(cat))
    Timer.objects.filter(kind="oncall.notice").update(state=Timer.State.FAILED)
    later(clock)
    assert not told(ana)
    clock.advance(2 * HOUR)
    manager = person("manager")
    add_override(weekly.pk, cat.pk, THURSDAY + 2 * DAY, THURSDAY + 2 * DAY + HOUR, actor=actor(manager))
    later(clock)
    assert [message.title for message in told(ana)] == ["Your shifts in Weekly changed"]
    assert [message.title for message in told(cat)] == [
        "Your shifts in Weekly changed",
    ]


# --- accounts that are closed ---


def test_the_cover_of_a_closed_account_falls_back_to_who_was_there(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    bind_role("primary", rotation_id=weekly.pk, actor=SYSTEM)
    add_override(weekly.pk, cat.pk, clock(), clock() + DAY, actor=SYSTEM)
    clock.advance(HOUR)
    assert people_for_roles(None, ["primary"], clock()) == {"primary": [cat.pk]}
    User.objects.filter(pk=cat.pk).update(is_active=False)
    assert people_for_roles(None, ["primary"], clock()) == {"primary": [ana.pk]}
    assert shifts_of(weekly.pk, clock() - HOUR, clock())[0].user_id == cat.pk
    assert any("Cat is closed: their cover" in sentence for sentence in warnings_of([weekly])[weekly.pk])


def test_it_falls_back_also_while_time_goes_on(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    """Whoever pages takes the instant first and reads the schedule afterwards."""
    bind_role("primary", rotation_id=weekly.pk, actor=SYSTEM)
    add_override(weekly.pk, cat.pk, clock(), clock() + DAY, actor=SYSTEM)
    start = clock.advance(HOUR)

    def running() -> datetime:
        return clock.advance(timedelta(microseconds=1))

    for close in (lambda: User.objects.filter(pk=cat.pk).update(is_active=False), lambda: _close(cat)):
        close()
        with use_clock(running):
            assert people_for_roles(None, ["primary"], now()) == {"primary": [ana.pk]}
            late = roster([(None, "primary")], since=start - timedelta(minutes=1))
            assert late.people(None, "primary", start - timedelta(minutes=1)) == [ana.pk]
            assert on_call_now([weekly])[0].user == ana


def _close(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def test_what_it_covered_until_it_was_closed_stays(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    add_override(weekly.pk, cat.pk, clock(), clock() + 4 * DAY, actor=SYSTEM)
    began = clock()
    closed = clock.advance(DAY)
    _close(cat)
    clock.advance(2 * DAY)
    found = [(shift.user_id, shift.ends_at) for shift in shifts_of(weekly.pk, began, began + 4 * DAY)]
    assert found == [(cat.pk, closed), (ana.pk, began + 4 * DAY)]
    cat.is_active = True
    cat.save()
    assert shifts_of(weekly.pk, began, began + 4 * DAY)[0].ends_at == began + 4 * DAY


def test_whoever_gets_the_duty_back_is_told(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    boss = named("boss", "manager", is_superuser=True)
    add_override(weekly.pk, cat.pk, clock(), clock() + DAY, actor=SYSTEM)
    clock.advance(HOUR)
    changed_at = RotationWatch.objects.get().changed_at
    client = Client()
    client.force_login(boss)
    none = {f"contact_points-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    fields = {"username": cat.username, "display_name": cat.name, "email": cat.email, "time_zone": "UTC", **none}
    assert client.post(reverse("admin:people_user_change", args=[cat.pk]), fields).status_code == 302
    cat.refresh_from_db()
    assert cat.closed_at == clock()
    clock.advance(timedelta(seconds=1))
    deliver()
    assert RotationWatch.objects.get().changed_at > changed_at
    later(clock)
    assert [message.title for message in told(ana)] == ["Your shifts in Weekly changed"]
    assert "Boss changed who is on call" in told(ana)[0].body
    assert not told(cat)


def test_a_swap_is_not_approved_for_a_closed_account(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    from apps.foundation.errors import Conflict

    update_rotation(weekly.pk, swaps_need_approval=True, actor=SYSTEM)
    swap = request_swap(weekly.pk, THURSDAY, THURSDAY + HOUR, actor=actor(ana))
    take_swap(swap.pk, actor=actor(cat))
    User.objects.filter(pk=cat.pk).update(is_active=False)
    with pytest.raises(Conflict, match="account of Cat is closed"):
        approve_swap(swap.pk, actor=actor(person("manager")))
    assert not Override.objects.exists()
