"""Kills, starts, guardrails and approved changes of one experiment at once: each happens whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.flags.experiment_queries import epochs_of
from apps.flags.experiments.slots import SLOTS, fault_in, sizes
from apps.flags.models import AllocationEpoch, Experiment, Flag, FlagChange, Guardrail, GuardrailTotal
from apps.flags.operations import (
    Sample,
    add_guardrail,
    edit_experiment,
    edit_flag,
    edit_guardrail,
    end_experiment,
    kill,
    kill_variant,
    push_samples,
    reallocate,
    remove_guardrail,
    schedule_change,
    start_experiment,
)
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, DomainError
from tests.factories import actor, person
from tests.flags.experimenting import REWARDS, make_experiment, values

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
SYSTEM = Actor.system()
WATCHED: Any = {"kind": "mean", "worse": "higher", "against": "limit", "threshold": 1.08, "sensitivity": 0.03}
FOUR = {name: name for name in ("control", "a", "b", "c")}


def at_once(*verbs: Callable[[], Any]) -> list[str]:
    """What became of each: "done", or the code of its refusal. None may fail otherwise."""
    begin = Barrier(len(verbs))

    def one(verb: Callable[[], Any]) -> str:
        try:
            begin.wait(10)
            verb()
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(verbs)) as pool:
        return list(pool.map(one, verbs))


def whole(experiment: Experiment) -> list[int]:
    """The numbers of its epochs, each of which gives every slot to one variant."""
    epochs = epochs_of(experiment)
    for epoch in epochs:
        assert (fault_in(epoch.ranges), sum(sizes(epoch.ranges).values())) == ("", SLOTS)
    return [epoch.number for epoch in epochs]


def test_two_variants_killed_at_once_are_both_gone(reward_flag: Flag) -> None:
    edit_flag(reward_flag.pk, definition={**REWARDS, "variants": FOUR}, actor=SYSTEM)
    made = make_experiment(reward_flag, percents=dict.fromkeys(FOUR, 25.0))
    start_experiment(made.pk, actor=SYSTEM)
    assert at_once(*(lambda name=name: kill_variant(made.pk, name, reason="x", actor=SYSTEM) for name in "bc")) == [
        "done",
        "done",
    ]
    assert whole(made) == [1, 2, 3]
    assert set(values(made, [f"user-{n}" for n in range(200)]).values()) == {"control", "a"}
    moves = {name: to for row in AllocationEpoch.objects.all() for name, to in row.moves.items()}
    assert moves == {"b": "control", "c": "control"}


def test_one_variant_killed_by_eight_at_once_is_killed_once(running: Experiment) -> None:
    done = at_once(*(lambda n=n: kill_variant(running.pk, "b", reason=str(n), actor=SYSTEM) for n in range(8)))
    assert done == ["done"] * 8
    assert (whole(running), Event.objects.filter(kind="flags.variant_killed").count()) == ([1, 2], 1)


def test_a_kill_during_the_start_comes_after_it_or_is_refused(reward_flag: Flag) -> None:
    made = make_experiment(reward_flag)
    done = at_once(
        lambda: start_experiment(made.pk, actor=SYSTEM),
        lambda: kill_variant(made.pk, "b", reason="x", actor=SYSTEM),
        lambda: start_experiment(made.pk, actor=SYSTEM),
    )
    assert done in (["done", "done", "done"], ["done", "experiment_not_running", "done"])
    assert whole(made) == ([1, 2] if done[1] == "done" else [1])


def test_a_kill_at_the_same_time_as_other_shares_is_never_undone_by_them(running: Experiment) -> None:
    for _ in range(3):
        done = at_once(
            lambda: reallocate(running.pk, {"control": 20, "a": 20, "b": 60}, reason="x", actor=SYSTEM),
            lambda: kill_variant(running.pk, "b", reason="x", actor=SYSTEM),
        )
        assert done[1] == "done"
        assert "b" not in set(values(running, [f"user-{n}" for n in range(200)]).values())
    assert whole(running) in ([1, 2], [1, 2, 3])


def test_an_end_and_a_kill_at_once_leave_it_ended(running: Experiment) -> None:
    done = at_once(
        lambda: end_experiment(running.pk, winner="b", reason="x", actor=SYSTEM),
        lambda: kill_variant(running.pk, "b", reason="x", actor=SYSTEM),
    )
    assert done in (["done", "experiment_not_running"], ["invalid", "done"])
    serve = Flag.objects.get().definition["serve"]
    assert serve == ("b" if done[0] == "done" else "control")


@pytest.mark.parametrize("verb", ["kill", "kill_variant"])
def test_what_was_approved_is_not_done_to_a_flag_that_is_being_killed(running: Experiment, verb: str) -> None:
    edit_flag(running.flag_id, needs_approval=True, actor=SYSTEM)
    change: Any = {"serve": "b"}
    if verb == "kill_variant":
        change = {"shares": {"experiment": running.key, "percents": {"control": 10, "a": 10, "b": 80}}}
    made = schedule_change(running.flag_id, None, change, reason="x", actor=actor(person("manager")))
    approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))
    while deliver():
        pass
    killed: Callable[[], Any] = lambda: kill(running.flag_id, reason="it burns", actor=SYSTEM)  # noqa: E731  # one of two
    if verb == "kill_variant":
        killed = lambda: kill_variant(running.pk, "b", reason="it burns", actor=SYSTEM)  # noqa: E731  # the other
    assert at_once(killed, fire_timers) == ["done", "done"]
    fire_timers()
    made.refresh_from_db()
    assert made.state in {FlagChange.State.DONE, FlagChange.State.FAILED}
    found = Flag.objects.get()
    if verb == "kill":
        assert found.state == Flag.State.KILLED
    else:
        assert "b" not in set(values(running, [f"user-{n}" for n in range(200)]).values())
    if made.state == FlagChange.State.FAILED:
        assert "since this was approved" in made.detail or "was killed" in made.detail


def test_samples_that_come_while_their_guardrail_changes_or_goes_lock_nobody_out(running: Experiment) -> None:
    edit_experiment(running.pk, auto_kill=True, actor=SYSTEM)
    one = add_guardrail(running.pk, "inflation", **WATCHED, actor=SYSTEM)
    add_guardrail(running.pk, "crashes", **WATCHED, actor=SYSTEM)
    bad = [Sample(metric, name, 2000, 2220.0, 2484.2) for metric in ("crashes", "inflation") for name in ("a", "b")]
    done = at_once(
        lambda: push_samples(running.pk, bad, actor=SYSTEM),
        lambda: edit_guardrail(running.pk, one.pk, threshold=1.05, reason="x", actor=SYSTEM),
        lambda: push_samples(running.pk, bad, actor=SYSTEM),
        lambda: kill_variant(running.pk, "a", reason="x", actor=SYSTEM),
    )
    assert done == ["done"] * 4
    assert Guardrail.objects.get(pk=one.pk).version == 2
    assert {total.sample_count for total in GuardrailTotal.objects.filter(variant="b")} == {4000}
    assert "b" not in set(values(running, [f"user-{n}" for n in range(100)]).values())
    done = at_once(
        lambda: push_samples(running.pk, bad, actor=SYSTEM),
        lambda: remove_guardrail(running.pk, one.pk, reason="x", actor=SYSTEM),
    )
    assert done in (["done", "done"], ["invalid", "done"])
    with pytest.raises(Conflict):
        kill_variant(end_experiment(running.pk, reason="x", actor=SYSTEM).pk, "a", reason="x", actor=SYSTEM)
