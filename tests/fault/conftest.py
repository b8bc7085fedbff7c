"""A rig of real processes for each test, and how often each fault is tried (FAULT_ROUNDS)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.rig import Rig, wait_until

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
FIRED = "SELECT count(*) FROM engine_timer WHERE due_at = %s AND state = 'fired'"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/fault/" in str(item.path):
            item.add_marker(pytest.mark.fault)
            item.add_marker(pytest.mark.timeout(300))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault_round" in metafunc.fixturenames:
        metafunc.parametrize("fault_round", range(ROUNDS))


@pytest.fixture
def rig(fault_round: int) -> Iterator[Rig]:
    with Rig("fault", MESSAGE_LEASE_SECONDS="3") as found:
        yield found


def seed(rig: Rig, count: int, due_in: float, *more: str) -> dict[str, Any]:
    """Incidents whose next step falls due in `due_in` seconds."""
    told: dict[str, Any] = json.loads(
        rig.run("-m", "benchmarks.seed", "--incidents", str(count), "--due-in", str(due_in), *more)
    )
    return told


def fired(rig: Rig, due_at: str) -> int:
    return int(rig.value(FIRED, due_at))


def all_fired(rig: Rig, due_at: str, count: int, seconds: float) -> None:
    wait_until(lambda: fired(rig, due_at) >= count, f"{count} timers fired", seconds)


def latest(rig: Rig, due_at: str) -> float:
    """How late the last of the timers was, in seconds."""
    return float(
        rig.value(
            "SELECT extract(epoch FROM max(fired_at) - %s::timestamptz) FROM engine_timer WHERE due_at = %s",
            due_at,
            due_at,
        )
    )


def assert_each_paged_once(rig: Rig, count: int) -> None:
    """Every incident's second level was paged, and nobody twice for one step."""
    rows = rig.query(
        "SELECT escalation_id, run, step, user_id, count(*) AS n FROM paging_page WHERE level = 2 GROUP BY 1, 2, 3, 4"
    )
    assert len(rows) == count
    assert {row["n"] for row in rows} == {1}
