"""The steps that take and restore snapshots: each asks once, though workers are killed between effect and commit."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from apps.runbooks import steps as registry
from benchmarks.rig import Rig, free_port, wait_until
from tests.fault.executions import CHANGED, step_of
from tests.fault.test_executions import (
    KILLS,
    LEASE_SECONDS,
    RESUME_WITHIN_SECONDS,
    STATE,
    Blockade,
    is_over,
    killed_before_commit,
)

REQUESTS = ["put", "health", "metric", "there", "hook", "until", "resolve", "pause", "resume", "sub"]
NAMES = [*REQUESTS, "notify", "manual", "flag", "apply", "approval", "variant", "wait", "take", "back"]


def fetched(url: str) -> dict[str, Any]:
    """JSON; nothing while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found
    except OSError:
        return {}


class Gate(Blockade):
    """While it stands nobody who has made a snapshot or a restore comes to its commit."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self._waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    def put_up(self) -> None:
        self.connection.execute("SELECT pg_advisory_xact_lock(4711)")


@pytest.fixture(scope="module")
def world() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def rig(world: str) -> Iterator[Rig]:
    """With the demo world beside it, which has players."""
    allowed = world.removeprefix("http://")
    with Rig("entities", RUNBOOK_LEASE_SECONDS=str(LEASE_SECONDS), EGRESS_ALLOW=allowed) as found:
        options = ["--port", world.rpartition(":")[2], "--data-dir", str(found.folder / "world"), "--no-alerts"]
        found.spawn("world", sys.executable, "-m", "apps.demo.world", *options)
        wait_until(lambda: fetched(f"{world}/health"), "the world answers", 20)
        found.query(
            "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END'"
        )
        for table in ("state_snapshot", "state_restoreitem"):
            found.query(f"CREATE TRIGGER gate AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gate()")
        yield found


def test_snapshots_are_taken_and_restored_once_though_five_workers_are_killed_between_effect_and_commit(
    rig: Rig, world: str, fault_round: int
) -> None:
    for name in ("workers", "bulk", "ticker"):
        rig.kill(name)
    made: dict[str, int] = json.loads(rig.run("-m", "tests.fault.executions", world, "take", "back"))
    took = killed_before_commit(rig, made, Gate(rig))
    keys = {
        row["kind"]: row["idempotency_key"]
        for row in rig.query(
            "SELECT kind, idempotency_key FROM runbooks_steprun WHERE execution_id = ANY(%s)", list(made.values())
        )
    }
    rig.start_worker("bulk", "bulk")
    rig.start_ticker()
    wait_until(lambda: all(is_over(rig, execution) for execution in made.values()), "both are done", 60)
    assert {rig.value(STATE, execution) for execution in made.values()} == {"succeeded"}
    snapshots = "SELECT count(*) FROM state_snapshot WHERE effect_key = %s"
    restores = "SELECT count(*) FROM state_entityrestore WHERE effect_key = %s"
    assert rig.value(snapshots, keys["snapshot_take"]) == 1
    assert rig.value(restores, keys["snapshot_restore"]) == 1
    attempts = rig.query("SELECT attempts FROM runbooks_steprun WHERE execution_id = ANY(%s)", list(made.values()))
    assert [row["attempts"] for row in attempts] == [KILLS + 1] * len(made)
    assert fetched(f"{world}/players/entities/{CHANGED}")["document"]["gold"] < 1_000_000
    assert max(took) <= RESUME_WITHIN_SECONDS
    print(f"one snapshot and one restore; after each of {KILLS} kills it went on within {max(took):.1f} s")


def test_every_kind_of_step_is_among_those_whose_workers_are_killed() -> None:
    tried = {str(step_of(name, "http://127.0.0.1", "0")["kind"]) for name in NAMES}
    assert tried == {kind.name for kind in registry.kinds()}
