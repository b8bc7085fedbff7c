"""The game world: what its state promises, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.demo.world.game import FAULTS, World, WorldError
from apps.demo.world.metrics import render
from apps.demo.world.rules import RULES, prometheus_rules


class Ticking:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def world(tmp_path: Path, clock: Ticking) -> World:
    return World(tmp_path / "world.json", clock)


def test_a_healthy_world_fires_no_rule(world: World, clock: Ticking) -> None:
    for _ in range(600):
        clock.at += 7
        assert not [rule.name for rule in RULES if rule.fires(world.signals())]


@pytest.mark.parametrize(
    ("fault", "alert"),
    [("bad-config", "GameErrorsHigh"), ("payment-outage", "PaymentsFailing"), ("event-overload", "GameLatencyHigh")],
)
def test_each_fault_fires_its_own_rule_all_the_time(world: World, clock: Ticking, fault: str, alert: str) -> None:
    world.break_it(fault)
    assert world.faults() == [fault]
    for _ in range(300):
        clock.at += 7
        assert [rule.name for rule in RULES if rule.fires(world.signals())] == [alert]


def test_healing_ends_every_fault_and_the_config_is_the_last_healthy_one(world: World) -> None:
    for fault in FAULTS:
        world.break_it(fault)
    world.heal()
    assert world.faults() == []
    assert world.config()["version"] == 3
    assert world.config()["document"]["economy"]["drop_rate"] == 0.05


def test_breaking_twice_and_healing_twice_change_nothing_more(world: World) -> None:
    world.break_it("bad-config")
    world.break_it("bad-config")
    assert world.config()["version"] == 2
    world.heal()
    world.heal()
    assert world.config()["version"] == 3


def test_a_config_change_of_an_old_version_is_refused_with_the_current_one(world: World) -> None:
    document = world.config()["document"]
    world.put_config(document | {"message_of_the_day": "a"}, expected_version=1, author="x", note="")
    with pytest.raises(WorldError) as refused:
        world.put_config(document | {"message_of_the_day": "b"}, expected_version=1, author="y", note="")
    assert (refused.value.status, refused.value.body["version"]) == (409, 2)


def test_a_restart_keeps_config_faults_and_counters(world: World, clock: Ticking, tmp_path: Path) -> None:
    clock.at += 30
    world.break_it("payment-outage")
    again = World(tmp_path / "world.json", clock)
    assert again.faults() == ["payment-outage"]
    assert again.counters() == world.counters()


def test_a_damaged_state_file_gives_a_fresh_world(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{ half", encoding="utf-8")
    assert World(tmp_path / "world.json").config()["version"] == 1


def test_counters_only_grow_and_the_histogram_adds_up(world: World, clock: Ticking) -> None:
    before = world.counters()
    for _ in range(50):
        clock.at += 3
        after = world.counters()
        assert all(after[name] >= value for name, value in before.items())
        before = after
    requests = before["requests_ok"] + before["requests_error"]
    assert before["duration_le_10.0"] <= requests
    assert before["duration_le_0.025"] < before["duration_le_0.25"]


def test_every_rule_reads_a_metric_that_is_exported(world: World) -> None:
    text = render(world)
    rules = prometheus_rules()
    for rule in RULES:
        assert f"\n{rule.metric} " in text
        assert f"expr: {rule.metric} > {rule.limit:g}" in rules
