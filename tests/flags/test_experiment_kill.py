from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Change, Service
from apps.engine.models import Event, Timer
from apps.flags.experiment_queries import enrolled, epochs_of, preview_variant_kill, ratio_figures
from apps.flags.experiments.slots import slot_of, unit_number, variant_at
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Flag, FlagRevision, SampleRatio
from apps.flags.operations import (
    Seen,
    edit_flag,
    end_experiment,
    kill,
    kill_variant,
    reallocate,
    record_exposures,
    start_experiment,
)
from apps.flags.operations.allocating import LATE_SECONDS
from apps.flags.operations.exposing import hold_late, look_at_ratios
from apps.flags.plans import read_plans
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.subjects import Subject
from tests.factories import actor, incident, person
from tests.flags.experimenting import REWARDS, make_experiment, snapshot, values

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
MANY = 30_000


def enrol(experiment: Experiment, seen: dict[str, str]) -> None:
    """The rows that thirty batches over the API write, in one statement: seconds less."""
    numbers = {str(unit_number(experiment.salt, key)): variant for key, variant in seen.items()}
    each = "json_each_text" if connection.vendor == "postgresql" else "json_each"
    into = "INSERT INTO flags_exposure (experiment_id, unit, variant, epoch, seen_at)"
    with connection.cursor() as cursor:
        rows = f"SELECT %s, CAST(key AS bigint), value, 1, %s FROM {each}(%s)"  # noqa: S608  # names of our own
        cursor.execute(f"{into} {rows}", [experiment.pk, now(), json.dumps(numbers)])


def test_of_30_000_only_those_with_the_killed_variant_move_and_30_000_new_ones_are_split_evenly(
    running: Experiment,
) -> None:
    people, newcomers = [f"user-{n}" for n in range(MANY)], [f"new-{n}" for n in range(MANY)]
    before = values(running, people)
    enrol(running, before)
    preview = preview_variant_kill(running, "b")
    kill_variant(running.pk, "b", reason="inflation 1.11", actor=SYSTEM)
    after, new = values(running, people), Counter(values(running, newcomers).values())
    moved = {key for key in people if after[key] != before[key]}
    assert moved == {key for key in people if before[key] == "b"}
    assert {after[key] for key in moved} == {"control"}
    assert abs(new["a"] / MANY - 0.5) < 0.012
    assert set(new) == {"a", "control"}
    kept = Counter(variant for variant in before.values() if variant != "b")
    assert (preview.moves, preview.stays, preview.after) == (
        {"control": len(moved)},
        kept,
        {"control": 50.0, "a": 50.0},
    )
    number, plans = FlagRevision.objects.get().number, read_plans()
    kill_variant(running.pk, "b", reason="again", actor=SYSTEM)
    assert (FlagRevision.objects.get().number, read_plans()) == (number, plans)
    assert Event.objects.filter(kind="flags.variant_killed").count() == 1


def test_it_is_the_kill_that_the_event_the_change_and_the_history_tell(running: Experiment, checkout: Service) -> None:
    commander = person("commander")
    record_exposures(running.pk, [Seen("user-0", values(running, ["user-0"])["user-0"])], actor=SYSTEM)
    about = Subject("incident", str(incident().pk))
    kill_variant(running.pk, "b", reason="inflation 1.11", about=about, actor=actor(commander))
    event = Event.objects.get(kind="flags.variant_killed")
    assert (event.subject_kind, event.payload["variant"], event.payload["epoch"]) == ("experiment", "b", 2)
    assert (event.payload["moved_to"], event.payload["shares"]) == ("control", {"control": 50.0, "a": 50.0})
    assert (event.payload["about_kind"], event.payload["about_key"]) == ("incident", about.key)
    # Who reads the history need not see the incident: it does not tell why.
    reasons = [Experiment.objects.get().history.latest(), Flag.objects.get().history.latest()]
    assert {row.history_change_reason for row in reasons} == {f"kill b ({commander.username})"}
    assert Change.objects.latest("pk").service == checkout


def test_whoever_is_split_evenly_is_with_the_others_and_stays_there(running: Experiment) -> None:
    people = [f"user-{n}" for n in range(3000)]
    before = values(running, people)
    enrol(running, before)
    preview = preview_variant_kill(running, "b", "split_evenly")
    kill_variant(running.pk, "b", mode="split_evenly", reason="x", actor=SYSTEM)
    after = values(running, people)
    assert Counter(after[key] for key in people if before[key] == "b") == Counter(preview.moves)
    assert set(preview.moves) == {"a", "control"}
    kill_variant(running.pk, "a", reason="y", actor=SYSTEM)
    assert set(values(running, people).values()) == {"control"}
    assert Experiment.objects.get().history.latest().history_change_reason == "y (portal)"


def test_a_killed_variant_gets_nobody_by_a_later_kill_either(reward_flag: Flag) -> None:
    four = {name: name for name in ("control", "a", "b", "c")}
    edit_flag(reward_flag.pk, definition={**REWARDS, "variants": four}, actor=SYSTEM)
    made = make_experiment(reward_flag, percents={"control": 40, "a": 20, "b": 20, "c": 20})
    start_experiment(made.pk, actor=SYSTEM)
    kill_variant(made.pk, "b", reason="x", actor=SYSTEM)
    reallocate(made.pk, {"control": 50, "a": 25, "c": 25}, reason="x", actor=SYSTEM)
    kill_variant(made.pk, "a", reason="x", actor=SYSTEM)
    assert set(values(made, [f"new-{n}" for n in range(200)]).values()) == {"control", "c"}


def test_a_killed_variant_wins_nothing(running: Experiment) -> None:
    kill_variant(running.pk, "b", reason="x", actor=SYSTEM)
    with pytest.raises(Invalid) as refused:
        end_experiment(running.pk, winner="b", reason="x", actor=SYSTEM)
    assert set(refused.value.fields) == {"winner"}
    assert Flag.objects.get().definition["serve"] == "control"
    assert end_experiment(running.pk, winner="a", reason="x", actor=SYSTEM).state == "ended"


def test_other_shares_are_for_newcomers_only(running: Experiment) -> None:
    people, newcomers = [f"user-{n}" for n in range(2000)], [f"new-{n}" for n in range(2000)]
    before = values(running, people)
    enrol(running, before)
    reallocate(running.pk, {"control": 90, "a": 10}, reason="b is dear", actor=SYSTEM)
    new = Counter(values(running, newcomers).values())
    assert values(running, people) == before
    assert abs(new["control"] / 2000 - 0.9) < 0.03
    assert new["b"] == 0
    reallocate(running.pk, {"control": 90, "a": 10}, reason="again", actor=SYSTEM)
    assert AllocationEpoch.objects.count() == 2


def test_who_is_told_of_after_the_kill_goes_to_the_fallback_too(running: Experiment) -> None:
    before = values(running, [f"user-{n}" for n in range(200)])
    kill_variant(running.pk, "b", reason="x", actor=SYSTEM)
    then = values(running, before)
    late = next(key for key in before if before[key] == "b" and then[key] == "a")
    record_exposures(running.pk, [Seen(late, "b")], actor=SYSTEM)
    assert Timer.objects.filter(kind="flags.late_exposures").exists()
    tag = snapshot().tag("production")
    hold_late(list(AllocationEpoch.objects.filter(number=2)))
    assert values(running, [late]) == {late: "control"}
    assert snapshot().tag("production") != tag  # so that streams tell their listeners to ask again
    number = FlagRevision.objects.get().number
    with CaptureQueriesContext(connection) as queries:
        hold_late(list(AllocationEpoch.objects.filter(number=2)))
    assert FlagRevision.objects.get().number == number
    assert not any("flags_flagrevision" in query["sql"] for query in queries)  # every kill waits for that lock


def test_the_late_are_worked_out_when_all_that_are_told_of_together_can_be_read(running: Experiment) -> None:
    kill_variant(running.pk, "b", reason="x", actor=SYSTEM)
    timer = Timer.objects.get(kind="flags.late_exposures")
    end_of_window = (timer.seq + 1) * LATE_SECONDS
    assert timer.due_at.timestamp() - end_of_window == LATE_SECONDS


def test_a_batch_is_written_by_one_query_and_a_repeat_changes_nothing(
    running: Experiment,
) -> None:
    seen = [Seen(f"user-{n}", variant) for n, variant in enumerate(["control", "a", "b"] * 50)]
    with CaptureQueriesContext(connection) as queries:
        assert record_exposures(running.pk, seen, actor=SYSTEM) == 150
    assert sum(query["sql"].startswith("INSERT") for query in queries) == 1
    assert len(queries) <= 6  # with the transaction's own two
    kept = list(Exposure.objects.values_list("unit", "variant", "epoch"))
    record_exposures(running.pk, [Seen(each.key, "a") for each in seen], actor=SYSTEM)
    assert list(Exposure.objects.values_list("unit", "variant", "epoch")) == kept


def test_what_a_rule_gave_enrols_nobody(running: Experiment) -> None:
    given = values(running, ["user-1"])["user-1"]
    other = next(name for name in ("a", "b") if name != given)
    record_exposures(running.pk, [Seen("user-1", other)], actor=SYSTEM)
    counted = enrolled(running, epochs_of(running))
    assert (counted.total, counted.unplanned) == (0, 1)
    assert values(running, ["user-1"]) == {"user-1": given}


def test_rules_and_a_kill_of_the_flag_come_before_the_experiment(running: Experiment) -> None:
    testers = {
        "name": "testers",
        "when": [{"attribute": "tester", "operator": "equals", "values": [True]}],
        "serve": "b",
    }
    edit_flag(running.flag_id, definition={**REWARDS, "rules": [testers]}, actor=SYSTEM)
    found = snapshot().evaluate("storm.reward", None, {"targetingKey": "user-1", "tester": True})
    assert found is not None
    assert (found.value, found.reason, found.metadata["experiment"]) == ("b", "TARGETING_MATCH", "abx-storm-reward")
    without_key = snapshot().evaluate("storm.reward", None, {})
    assert without_key is not None
    assert without_key.error == "TARGETING_KEY_MISSING"
    kill(running.flag_id, reason="x", actor=SYSTEM)
    assert set(values(running, [f"user-{n}" for n in range(50)]).values()) == {"control"}


def test_a_flag_keeps_what_its_experiment_needs_until_that_ends(running: Experiment) -> None:
    two = {"variants": {"control": "control", "a": "a"}, "off": "control", "serve": "control"}
    for change in ({"definition": two}, {"kind": "release"}):
        with pytest.raises(Conflict) as refused:
            edit_flag(running.flag_id, **change, actor=SYSTEM)
        assert refused.value.code == "experiment_running"
    end_experiment(running.pk, winner="a", reason="it is better", actor=SYSTEM)
    assert set(values(running, [f"user-{n}" for n in range(50)]).values()) == {"a"}
    edit_flag(running.flag_id, definition={**two, "serve": "a"}, actor=SYSTEM)


@pytest.mark.parametrize(
    ("variant", "field"), [("control", "variant"), ("z", "variant"), ("", "variant"), ("b" * 5000, "variant")]
)
def test_a_kill_that_makes_no_sense_is_refused(running: Experiment, variant: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        kill_variant(running.pk, variant, reason="x", actor=SYSTEM)
    assert field in refused.value.fields
    assert AllocationEpoch.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"percents": {"control": 50, "a": 40}}, "percents"),
        ({"percents": {"control": 150, "a": -50}}, "percents"),
        ({"percents": {"control": 50, "z": 50}}, "percents"),
        ({"percents": {"control": 100}}, "percents"),
        ({"percents": {"control": 50, "a": float("nan")}}, "percents"),
        ({"percents": {"control": 50, "a": "50"}}, "percents"),
        ({"fallback": "z"}, "fallback"),
        ({"traffic": 0}, "traffic"),
        ({"traffic": 101}, "traffic"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(reward_flag: Flag, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_experiment(reward_flag, **wrong)
    assert set(refused.value.fields) == {field}


def test_only_one_experiment_of_a_flag_runs_and_only_on_flags_of_the_kind(running: Experiment, flag: Flag) -> None:
    second = make_experiment(Flag.objects.get(pk=running.flag_id), "second")
    with pytest.raises(Conflict):
        start_experiment(second.pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        kill_variant(second.pk, "b", reason="x", actor=SYSTEM)
    with pytest.raises(Invalid):
        make_experiment(flag, "third")


def test_who_may_kill_a_flag_may_kill_its_variants_and_nobody_else(running: Experiment) -> None:
    for user, error in ((person("viewer"), Forbidden), (person("responder"), Forbidden), (person(), NotFound)):
        with pytest.raises(error):
            kill_variant(running.pk, "b", reason="x", actor=actor(user))
    assert kill_variant(running.pk, "b", reason="x", actor=actor(person("commander"))).version == 3


def test_numbers_out_of_proportion_are_told_once(running: Experiment) -> None:
    people = [f"user-{n}" for n in range(900)]
    before = values(running, people)
    enrol(running, {key: variant for key, variant in before.items() if variant != "b" or key.endswith("1")})
    look_at_ratios(list(SampleRatio.objects.all()))
    look_at_ratios(list(SampleRatio.objects.all()))
    event = Event.objects.get(kind="flags.sample_ratio_mismatch")
    assert event.payload["p_value"] < 0.0005


def test_who_stays_away_since_they_are_enrolled_already_is_no_mismatch(reward_flag: Flag) -> None:
    made = make_experiment(reward_flag, percents={"control": 50, "a": 50, "b": 0}, traffic=50)
    start_experiment(made.pk, actor=SYSTEM)
    people, slots = [f"user-{n}" for n in range(2000)], epochs_of(made)[0].ranges
    part = [key for key in people if variant_at(slots, slot_of(unit_number(made.salt, key)))]
    enrol(made, values(made, part))
    reallocate(made.pk, {"control": 40, "a": 30, "b": 30}, traffic=100, reason="x", actor=SYSTEM)
    for some in (people[:1000], people[1000:]):
        record_exposures(made.pk, [Seen(key, got) for key, got in values(made, some).items()], actor=SYSTEM)
    figures = ratio_figures(made, epochs_of(made))
    assert (figures.is_mismatch, figures.freedom, figures.count) == (False, 3, 2000)


def test_where_a_second_person_must_approve_an_experiment_is_only_killed_and_ended(running: Experiment) -> None:
    edit_flag(running.flag_id, needs_approval=True, actor=SYSTEM)
    with pytest.raises(Conflict) as refused:
        reallocate(running.pk, {"control": 10, "a": 90}, reason="x", actor=SYSTEM)
    assert refused.value.code == "approval_needed"
    kill_variant(running.pk, "b", reason="x", actor=SYSTEM)
    assert end_experiment(running.pk, reason="x", actor=SYSTEM).state == "ended"
