"""Changes that a second person approves: proposed, decided, done once, and void when the flag is another one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, bypass, expire_many, refuse
from apps.engine.models import Event
from apps.flags.models import Flag, FlagChange
from apps.flags.operations import (
    Step,
    bring_back,
    create_segment,
    disable,
    edit_flag,
    edit_segment,
    enable,
    kill,
    schedule_change,
    schedule_rollout,
    withdraw_change,
)
from apps.flags.operations.scheduling import do_changes
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.people.models import User
from tests.factories import actor, person
from tests.flags.conftest import state_of, sweep

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
OFF = {"variants": {"on": True, "off": False}, "off": "off", "serve": "off", "rules": [], "prerequisites": []}


@pytest.fixture
def guarded(flag: Flag) -> Flag:
    """The flag, whose changes a second person approves."""
    return edit_flag(flag.pk, needs_approval=True, actor=SYSTEM)


@pytest.fixture
def manager() -> User:
    return person("manager")


def proposed(flag: Flag, by: User, change: Any = None, **given: Any) -> FlagChange:
    found = {"serve": "off"} if change is None else change
    return schedule_change(flag.pk, given.pop("at", None), found, reason="less load", actor=actor(by), **given)


def test_nothing_changes_without_an_approval_but_a_kill(guarded: Flag, manager: User) -> None:
    for verb, given in ((edit_flag, {"definition": OFF}), (edit_flag, {"needs_approval": False}), (disable, {})):
        with pytest.raises(Conflict, match="propose it"):
            verb(guarded.pk, reason="x", actor=actor(manager), **given)
    edit_flag(guarded.pk, name="Another name", actor=actor(manager))
    kill(guarded.pk, reason="double charges", actor=actor(manager))
    assert Flag.objects.get().state == Flag.State.KILLED
    assert Event.objects.filter(kind="flags.killed").count() == 1


def test_an_environment_may_demand_it_of_all_its_flags(flag: Flag, manager: User, settings: Any) -> None:
    settings.FLAG_APPROVAL_ENVIRONMENTS = ["production"]
    with pytest.raises(Conflict):
        disable(flag.pk, reason="x", actor=actor(manager))
    settings.FLAG_APPROVAL_ENVIRONMENTS = ["staging"]
    disable(flag.pk, reason="x", actor=actor(manager))
    with pytest.raises(Invalid):
        proposed(flag, manager)


def test_what_another_person_approves_is_done_at_once_and_once(guarded: Flag, manager: User) -> None:
    change = proposed(guarded, manager)
    asked = ApprovalRequest.objects.get()
    assert (change.state, asked.requested_by, asked.team_id) == ("proposed", manager, guarded.owner_id)
    with pytest.raises(Forbidden):
        approve(asked.pk, actor=actor(manager))
    approve(asked.pk, actor=actor(person("approver")))
    sweep()
    found = Flag.objects.get()
    assert (state_of(change)[0], found.definition["serve"], found.version) == ("done", "off", guarded.version + 1)
    sweep()
    assert Flag.objects.get().version == found.version


def test_a_refusal_ends_it_and_an_emergency_bypass_does_it(guarded: Flag, manager: User) -> None:
    refused = proposed(guarded, manager)
    refuse(ApprovalRequest.objects.get().pk, reason="not on a Friday", actor=actor(person("approver")))
    sweep()
    state, detail = state_of(refused)
    assert (state, "not on a Friday" in detail, Flag.objects.get().version) == ("failed", True, guarded.version)
    again = proposed(guarded, manager)
    bypass(ApprovalRequest.objects.latest("pk").pk, reason="it burns", actor=actor(person("commander")))
    sweep()
    assert (state_of(again)[0], Flag.objects.get().definition["serve"]) == ("done", "off")


def test_an_edit_voids_what_was_proposed_and_what_was_approved_for_later(guarded: Flag, manager: User) -> None:
    change = proposed(guarded, manager)
    edit_flag(guarded.pk, name="Another name", actor=actor(manager))
    assert (state_of(change)[0], ApprovalRequest.objects.get().state) == ("failed", "void")
    later = proposed(guarded, manager, at=now() + timedelta(hours=1))
    approve(ApprovalRequest.objects.latest("pk").pk, actor=actor(person("approver")))
    sweep()
    edit_flag(guarded.pk, name="A third name", actor=actor(manager))
    FlagChange.objects.filter(pk=later.pk).update(due_at=now())
    later.refresh_from_db()
    do_changes([later])
    assert ("has changed since this was approved" in state_of(later)[1], Flag.objects.get().definition["serve"]) == (
        True,
        "on",
    )


def test_an_approval_is_for_exactly_this_change(guarded: Flag, manager: User) -> None:
    change = proposed(guarded, manager, {"definition": OFF})
    approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))
    other = {**OFF, "off": "on"}
    with pytest.raises(Conflict):
        edit_flag(guarded.pk, definition=other, change_id=change.pk, actor=actor(manager))
    FlagChange.objects.filter(pk=change.pk).update(change={"definition": other})
    with pytest.raises(Conflict, match="not what would be done"):
        edit_flag(guarded.pk, definition=other, change_id=change.pk, actor=actor(manager))
    with pytest.raises(Conflict):
        enable(disabled_by_hand(guarded).pk, reason="x", change_id=change.pk, actor=actor(manager))


def disabled_by_hand(flag: Flag) -> Flag:
    Flag.objects.filter(pk=flag.pk).update(state=Flag.State.DISABLED)
    return flag


def test_nobody_decides_in_time_and_it_is_over(guarded: Flag, manager: User, settings: Any) -> None:
    change = proposed(guarded, manager)
    expire_many(list(ApprovalRequest.objects.all()), actor=SYSTEM)
    sweep()
    assert state_of(change) == ("failed", "Nobody decided in time.")


def test_a_rollout_is_approved_as_a_whole_and_each_step_fits_the_one_before(guarded: Flag, manager: User) -> None:
    steps = [Step(now() + timedelta(hours=hour), percent) for hour, percent in ((1, 10), (2, 100))]
    first, second = schedule_rollout(guarded.pk, "on", steps, otherwise="off", reason="slowly", actor=actor(manager))
    approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))
    sweep()
    for change in (first, second):
        change.refresh_from_db()
        do_changes([change])
    assert [state_of(first), state_of(second)] == [("done", ""), ("done", "")]


def rollout(flag: Flag, by: User, *percents: int) -> list[FlagChange]:
    """Its steps, approved."""
    steps = [Step(now() + timedelta(hours=hour), percent) for hour, percent in enumerate(percents, start=1)]
    made = schedule_rollout(flag.pk, "on", steps, otherwise="off", reason="slowly", actor=actor(by))
    approve(ApprovalRequest.objects.latest("pk").pk, actor=actor(person("approver")))
    sweep()
    return made


def do(change: FlagChange) -> tuple[str, str]:
    change.refresh_from_db()
    do_changes([change])
    return state_of(change)


def test_a_rollout_goes_on_after_a_step_that_changes_nothing_or_is_withdrawn(guarded: Flag, manager: User) -> None:
    first, same, gone, last = rollout(guarded, manager, 10, 10, 50, 100)
    withdraw_change(gone.pk, actor=actor(manager))
    assert [do(each) for each in (first, same, last)] == [("done", "")] * 3
    assert (Flag.objects.get().definition["serve"], Flag.objects.get().version) == ("on", guarded.version + 2)


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_a_step_left_out_does_not_hide_that_somebody_changed_the_flag(
    guarded: Flag, manager: User, is_withdrawn: bool
) -> None:
    first, last = rollout(guarded, manager, 100 if not is_withdrawn else 10, 100)
    edit_flag(guarded.pk, name="Another name", actor=actor(manager))
    if is_withdrawn:
        withdraw_change(first.pk, actor=actor(manager))
    else:
        assert do(first) == ("done", "")
    Flag.objects.update(definition=OFF)
    assert "has changed since this was approved" in do(last)[1]


def test_a_kill_is_no_way_around_who_enables_a_disabled_flag(guarded: Flag, manager: User) -> None:
    disabled_by_hand(guarded)
    kill(guarded.pk, reason="double charges", actor=actor(manager))
    switched_on = proposed(guarded, manager, {"state": "on"})
    approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))
    sweep()
    assert "was disabled before the kill" in state_of(switched_on)[1]
    assert bring_back(guarded.pk, reason="fixed", actor=actor(manager)).state == Flag.State.DISABLED
    Flag.objects.update(state=Flag.State.ON)
    kill(guarded.pk, reason="again", actor=actor(manager))
    assert bring_back(guarded.pk, reason="fixed", actor=actor(manager)).state == Flag.State.ON


def test_what_was_approved_in_time_is_done_at_its_instant_though_that_is_later(guarded: Flag, manager: User) -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        change = proposed(guarded, manager, at=now() + timedelta(days=2))
        approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))
        sweep()
        clock.advance(timedelta(days=2, seconds=1))
        assert ApprovalRequest.objects.get().expires_at < now()
        sweep()
    assert state_of(change) == ("done", "")


def test_a_withdrawn_proposal_asks_nobody_any_more(guarded: Flag, manager: User) -> None:
    change = proposed(guarded, manager)
    withdraw_change(change.pk, reason="a mistake", actor=actor(manager))
    assert (state_of(change)[0], ApprovalRequest.objects.get().state) == ("withdrawn", "void")


def test_a_segment_is_no_way_around_it(guarded: Flag, manager: User) -> None:
    when = [{"attribute": "country", "operator": "in", "values": ["DE"]}]
    home = create_segment("home", name="Home", owner_id=guarded.owner_id, definition={"when": when}, actor=SYSTEM)
    rule = {"name": "home", "when": [{"segment": "home"}], "serve": "on"}
    Flag.objects.update(definition={**OFF, "rules": [rule]})
    wider = {"when": [{"attribute": "country", "exists": True}]}
    with pytest.raises(Conflict, match="make another segment"):
        edit_segment(home.pk, definition=wider, actor=actor(manager))
    edit_segment(home.pk, name="At home", actor=actor(manager))
