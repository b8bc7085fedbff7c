from __future__ import annotations

import math
import random

import pytest

from apps.flags.experiments.epochs import EVENLY, Epoch, epoch_of, place_of
from apps.flags.experiments.killing import without
from apps.flags.experiments.plan import Placement, Plan, pack
from apps.flags.experiments.slots import SLOTS, allot, fault_in, sizes, slot_of, unit_number, variant_at
from apps.flags.experiments.statistics import Totals, always_valid_p, chi_squared, chi_squared_p

THIRDS = allot({"control": 33.34, "a": 33.33, "b": 33.33})


def test_a_number_is_the_same_everywhere() -> None:
    """Documented in docs/experiments.md: other programs may compute it."""
    assert unit_number("abx-storm-reward", "user-1") == 8827119717890371066
    assert slot_of(unit_number("abx-storm-reward", "user-1")) == 1066


@pytest.mark.parametrize(
    ("percents", "after"),
    [
        ({"control": 34, "a": 33, "b": 33}, {"control": 5000, "a": 5000}),
        ({"control": 50, "a": 25, "b": 25}, {"control": 5000, "a": 5000}),
        ({"control": 80, "a": 10, "b": 10}, {"control": 8000, "a": 2000}),
        ({"control": 25, "a": 20, "c": 15, "b": 40}, {"control": 3334, "a": 3333, "c": 3333}),
    ],
)
def test_freed_slots_raise_those_with_the_fewest_and_take_none_from_others(
    percents: dict[str, float], after: dict[str, int]
) -> None:
    before = allot(percents)
    found = without(before, "b", "control")
    assert (sizes(found), fault_in(found)) == (after, "")
    kept = [slot for slot in range(SLOTS) if variant_at(before, slot) not in {None, "b"}]
    assert all(variant_at(found, slot) == variant_at(before, slot) for slot in kept)


@pytest.mark.parametrize(
    ("percents", "killed", "after"),
    [
        ({"control": 50, "a": 25, "b": 0, "c": 25}, "a", {"control": 5000, "b": 0, "c": 5000}),
        ({"control": 50, "a": 50, "b": 0}, "a", {"control": 10_000, "b": 0}),
        ({"control": 0, "a": 100, "b": 0}, "a", {"control": 10_000, "b": 0}),
    ],
)
def test_who_has_no_slot_gets_none_of_those_that_are_freed(
    percents: dict[str, float], killed: str, after: dict[str, int]
) -> None:
    assert sizes(without(allot(percents), killed, "control")) == after


def test_more_traffic_moves_nobody_who_takes_part() -> None:
    few, many = (allot({"control": 50, "a": 50}, traffic) for traffic in (10, 60))
    assert sizes(few) == {"control": 500, "a": 500}
    assert all(variant_at(many, slot) == found for slot in range(SLOTS) if (found := variant_at(few, slot)))


def test_somebody_follows_every_kill_since_they_were_enrolled() -> None:
    first = Epoch(1, {"control": [[0, 2500]], "a": [[2500, 5000]], "b": [[5000, 7500]], "c": [[7500, 10000]]})
    second = Epoch(2, without(first.ranges, "b", "control"), {"b": EVENLY})
    third = Epoch(3, without(second.ranges, "a", "control"), {"a": "control"})
    into_a = next(slot for slot in range(5000, 7500) if variant_at(second.ranges, slot) == "a")
    assert place_of(into_a, "b", 1, [first]) == "b"
    assert place_of(into_a, "b", 1, [first, second]) == "a"
    assert place_of(into_a, "b", 1, [first, second, third]) == "control"
    assert place_of(7600, "c", 1, [first, second, third]) == "c"


def test_an_exposure_belongs_to_the_newest_epoch_that_gives_its_variant() -> None:
    epochs = [Epoch(1, THIRDS), Epoch(2, without(THIRDS, "b", "control"), {"b": "control"})]
    assert [epoch_of(9999, variant, epochs) for variant in ("b", "a", "control")] == [1, 2, 0]


def test_the_held_are_where_they_were_and_others_by_the_slots() -> None:
    number = unit_number("s", "somebody")
    free = Placement(Plan("x", 1, "s", {"a": [[0, SLOTS]]}))
    held = Placement(Plan("x", 2, "s", {"a": [[0, SLOTS]]}, {"b": pack([number, 1, 2**63 - 1])}))
    assert (free.variant("somebody"), held.variant("somebody"), held.variant("another")) == ("a", "b", "a")


@pytest.mark.parametrize(
    ("statistic", "freedom", "p"), [(3.841, 1, 0.05), (5.991, 2, 0.05), (16.266, 3, 0.001), (18.307, 10, 0.05)]
)
def test_chi_squared_agrees_with_the_printed_tables(statistic: float, freedom: int, p: float) -> None:
    assert chi_squared_p(statistic, freedom) == pytest.approx(p, rel=0.002)


def test_counts_out_of_proportion_are_found_and_others_are_not() -> None:
    slots = {"control": 5000, "a": 5000}
    assert chi_squared_p(*chi_squared({"control": 5050, "a": 4950}, slots)) > 0.3
    assert chi_squared_p(*chi_squared({"control": 5250, "a": 4750}, slots)) < 1e-6


def test_a_handful_where_few_are_expected_is_no_alarm() -> None:
    slots = {"control": 9899, "a": 100, "b": 1}
    assert chi_squared_p(*chi_squared({"control": 990, "a": 9, "b": 2}, slots)) > 0.3
    assert chi_squared({"control": 3, "a": 1}, {"control": 5000, "a": 5000}) == (0.0, 0)


def test_the_sequential_test_errs_seldom_however_often_it_is_looked_at() -> None:
    """300 experiments without any harm, each looked at 50 times: a fixed test at 5 % would cry wolf in a third."""
    chance, alarms, fixed = random.Random(7), 0, 0
    for _ in range(300):
        total, least, worst = 0.0, 1.0, 0.0
        for look in range(1, 51):
            total += chance.gauss(0, 10)  # a hundred values of variance 1
            mean, variance = total / (look * 100), 1 / (look * 100)
            least = min(least, always_valid_p(mean, variance, 0.1))
            worst = max(worst, mean / math.sqrt(variance))
        alarms += least < 0.05
        fixed += worst > 1.645
    assert alarms <= 15
    assert fixed > 75


def test_the_sequential_test_finds_a_real_harm() -> None:
    mine, reference = Totals(2000, 2220.0, 2484.0), Totals(2000, 2100.0, 2225.0)
    variance = mine.variance_of_mean + reference.variance_of_mean
    assert always_valid_p(mine.mean - reference.mean, variance, 0.03) < 1e-6
    assert always_valid_p(reference.mean - mine.mean, variance, 0.03) == 1.0


@pytest.mark.parametrize(
    ("harm", "variance", "tau", "p"),
    [
        (0.02, 0.0, 0.03, 0.0),  # everybody has the same bad value
        (-0.02, 0.0, 0.03, 1.0),
        (0.02, math.inf, 0.03, 1.0),
        (1e-150, 5e-324, 1e9, 0.0),  # extremes neither divide by nothing nor overflow
        (1e300, 1e-300, 1e9, 0.0),
        (1e-200, 1e-200, 1e-200, 1.0),
    ],
)
def test_the_sequential_test_answers_at_the_edges_too(harm: float, variance: float, tau: float, p: float) -> None:
    assert always_valid_p(harm, variance, tau) == pytest.approx(p)
