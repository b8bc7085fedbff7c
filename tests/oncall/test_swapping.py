from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.catalog.models import Team
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.oncall.models import Override, Rotation, Swap
from apps.oncall.operations import (
    approve_swap,
    cancel_override,
    decline_swap,
    end_member,
    give_back_swap,
    request_swap,
    take_swap,
    update_rotation,
    withdraw_swap,
)
from apps.oncall.queries import schedules_of
from apps.oncall.schedule import who_is_on
from apps.people.models import User
from tests.factories import actor, person

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGINS = datetime(2026, 5, 7, 12, tzinfo=UTC)


@pytest.fixture
def offer(weekly: Rotation, ana: User) -> Swap:
    """Ana offers Thursday noon until Friday noon to anybody."""
    return request_swap(weekly.pk, BEGINS, BEGINS + DAY, reason="wedding", actor=actor(ana))


def on_at(rotation: Rotation, at: datetime) -> int | None:
    return who_is_on(schedules_of([rotation.pk])[rotation.pk], at)


def test_what_is_taken_holds_for_that_time_only(offer: Swap, weekly: Rotation, ana: User, cat: User) -> None:
    taken = take_swap(offer.pk, actor=actor(cat))
    assert (taken.state, taken.taker) == ("taken", cat)
    on = [on_at(weekly, BEGINS + offset) for offset in (-HOUR, timedelta(), DAY - HOUR, DAY)]
    assert on == [ana.pk, cat.pk, cat.pk, ana.pk]


def test_offering_and_taking_again_change_nothing(offer: Swap, weekly: Rotation, ana: User, cat: User) -> None:
    assert request_swap(weekly.pk, BEGINS, BEGINS + DAY, actor=actor(ana)) == offer
    take_swap(offer.pk, actor=actor(cat))
    take_swap(offer.pk, actor=actor(cat))
    assert Override.objects.count() == 1
    assert Event.objects.filter(kind="oncall.swap_taken").count() == 1


def test_who_comes_second_is_told(offer: Swap, ben: User, cat: User) -> None:
    take_swap(offer.pk, actor=actor(cat))
    with pytest.raises(Conflict, match="taken"):
        take_swap(offer.pk, actor=actor(ben))


def test_an_offer_to_one_person_is_taken_by_them_or_by_a_manager(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    swap = request_swap(weekly.pk, BEGINS, BEGINS + DAY, asked_id=ben.pk, actor=actor(ana))
    with pytest.raises(Forbidden, match="somebody else"):
        take_swap(swap.pk, actor=actor(cat))
    assert take_swap(swap.pk, user_id=cat.pk, actor=actor(person("manager"))).taker == cat


def test_where_the_team_wants_it_a_swap_waits_for_approval(offer: Swap, weekly: Rotation, ana: User, cat: User) -> None:
    update_rotation(weekly.pk, swaps_need_approval=True, actor=SYSTEM)
    assert take_swap(offer.pk, actor=actor(cat)).state == "to_approve"
    assert on_at(weekly, BEGINS) == ana.pk
    with pytest.raises(Forbidden):
        approve_swap(offer.pk, actor=actor(cat))
    assert approve_swap(offer.pk, actor=actor(person("manager"))).state == "taken"
    assert on_at(weekly, BEGINS) == cat.pk


def test_who_could_approve_needs_no_approval(offer: Swap, weekly: Rotation) -> None:
    update_rotation(weekly.pk, swaps_need_approval=True, actor=SYSTEM)
    assert take_swap(offer.pk, actor=actor(person("manager"))).state == "taken"


def test_what_was_taken_can_be_given_back_before_it_begins(
    offer: Swap, weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    take_swap(offer.pk, actor=actor(cat))
    assert give_back_swap(offer.pk, actor=actor(cat)).state == "open"
    assert on_at(weekly, BEGINS) == ana.pk
    take_swap(offer.pk, actor=actor(cat))
    clock.advance(DAY + HOUR)
    with pytest.raises(Conflict, match="begun"):
        give_back_swap(offer.pk, actor=actor(cat))


def test_cancelling_its_cover_opens_the_offer_again(offer: Swap, cat: User) -> None:
    taken = take_swap(offer.pk, actor=actor(cat))
    cancel_override(taken.override_id or 0, actor=actor(cat))
    offer.refresh_from_db()
    assert (offer.state, offer.taker) == ("open", None)


def test_only_time_on_call_can_be_offered(weekly: Rotation, cat: User, ana: User) -> None:
    with pytest.raises(Invalid, match="no shift"):
        request_swap(weekly.pk, BEGINS, BEGINS + DAY, actor=actor(cat))
    with pytest.raises(Forbidden):
        request_swap(weekly.pk, BEGINS, BEGINS + DAY, user_id=ana.pk, actor=actor(cat))


def test_a_shift_that_is_no_longer_theirs_is_not_taken(
    offer: Swap, weekly: Rotation, cat: User, clock: ManualClock
) -> None:
    clock.advance(HOUR)
    end_member(weekly.layers.get().members.order_by("position")[0].pk, actor=SYSTEM)
    with pytest.raises(Conflict, match="any more"):
        take_swap(offer.pk, actor=actor(cat))


def test_when_its_time_is_over_nobody_takes_it(offer: Swap, cat: User, clock: ManualClock) -> None:
    clock.advance(3 * DAY)
    with pytest.raises(Conflict, match="over"):
        take_swap(offer.pk, actor=actor(cat))


def test_taken_late_it_holds_from_then_on(offer: Swap, cat: User, clock: ManualClock) -> None:
    clock.advance(DAY + 2 * HOUR)
    taken = take_swap(offer.pk, actor=actor(cat))
    assert Override.objects.get(pk=taken.override_id).starts_at == now()


def test_an_offer_is_declined_by_the_asked_and_withdrawn_by_who_made_it(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    swap = request_swap(weekly.pk, BEGINS, BEGINS + DAY, asked_id=ben.pk, actor=actor(ana))
    with pytest.raises(Forbidden):
        decline_swap(swap.pk, actor=actor(cat))
    assert decline_swap(swap.pk, actor=actor(ben)).state == "declined"
    other = request_swap(weekly.pk, BEGINS, BEGINS + DAY, actor=actor(ana))
    with pytest.raises(Forbidden):
        withdraw_swap(other.pk, actor=actor(ben))
    assert withdraw_swap(other.pk, actor=actor(ana)).state == "withdrawn"
    with pytest.raises(Conflict, match="withdrawn"):
        take_swap(other.pk, actor=actor(ben))


def test_a_taken_shift_can_be_offered_on(offer: Swap, weekly: Rotation, ben: User, cat: User) -> None:
    take_swap(offer.pk, actor=actor(cat))
    onward = request_swap(weekly.pk, BEGINS, BEGINS + DAY, actor=actor(cat))
    take_swap(onward.pk, actor=actor(ben))
    assert on_at(weekly, BEGINS) == ben.pk


def test_deleting_the_rotation_takes_its_swaps_along(offer: Swap, weekly: Rotation, core: Team, cat: User) -> None:
    take_swap(offer.pk, actor=actor(cat))
    core.delete()
    assert not Swap.objects.exists()
