"""`kill -9` of workers in the middle of every kind of step: nothing is lost, nothing happens twice, nobody is too late.

Each test kills five workers in each kind of step it has; FAULT_ROUNDS repeats the tests.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from benchmarks.private import SERVER
from benchmarks.rig import Rig, wait_until
from tests.fault.receiver import Receiver, receiving

KILLS = 5
LEASE_SECONDS = 2
RESUME_WITHIN_SECONDS = LEASE_SECONDS + 15
STATE = "SELECT state FROM runbooks_execution WHERE id = %s"
HOLDER = "SELECT worker FROM runbooks_execution WHERE id = %s AND lease_until IS NOT NULL"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def rig(receiver: Receiver) -> Iterator[Rig]:
    """One for all tests of this module: they look at executions of their own."""
    allowed = f"127.0.0.1:{receiver.port}"
    with Rig("executions", RUNBOOK_LEASE_SECONDS=str(LEASE_SECONDS), EGRESS_ALLOW=allowed) as found:
        yield found


def seed(rig: Rig, receiver: Receiver, *kinds: str) -> dict[str, int]:
    """Executions at work that no worker has seen yet, by the kind of their only step."""
    for name in ("workers", "celery", "ticker"):
        rig.kill(name)
    told: dict[str, int] = json.loads(
        rig.run("-m", "tests.fault.executions", f"http://127.0.0.1:{receiver.port}", *kinds)
    )
    receiver.calls.clear()
    return told


def start(rig: Rig, slots: int) -> None:
    rig.spawn("workers", sys.executable, "-m", "tests.fault.workers", str(slots))


def holder(rig: Rig, execution: int) -> str:
    """Who has the lease of a step now, as `name:process id`."""
    rows = rig.query(HOLDER, execution)
    return str(rows[0]["worker"]) if rows else ""


def kill_holder(rig: Rig, execution: int) -> float:
    """`kill -9` of the process that is at this execution; when that was."""
    os.kill(int(holder(rig, execution).rpartition(":")[2]), signal.SIGKILL)
    return time.monotonic()


def written(rig: Rig, execution: int) -> dict[str, int]:
    """The versions of configuration documents that the step of an execution made, by origin."""
    rows = rig.query(
        "SELECT origin, count(*) AS n FROM state_configversion WHERE effect_key LIKE "
        "(SELECT idempotency_key FROM runbooks_steprun WHERE execution_id = %s) || '%%' GROUP BY 1",
        execution,
    )
    return {row["origin"]: row["n"] for row in rows}


def is_over(rig: Rig, execution: int) -> bool:
    return rig.value(STATE, execution) in {"succeeded", "undone", "failed", "cancelled", "unknown"}


@dataclass
class Watched:
    """One execution whose request is held; each time it comes in, the worker behind it is killed."""

    execution: int
    method: str
    path: str
    kills: int = KILLS
    seen: int = 0
    killed_at: float = 0.0
    took: list[float] = field(default_factory=list)

    def look(self, rig: Rig, receiver: Receiver) -> None:
        calls = receiver.of(self.method, self.path)
        if len(calls) <= self.seen:
            return
        self.seen = len(calls)
        if self.killed_at:
            self.took.append(calls[-1].at - self.killed_at)
        if self.kills == 0:
            receiver.let_go(self.method, self.path)
            return
        self.kills -= 1
        self.killed_at = kill_holder(rig, self.execution)


def watch(rig: Rig, receiver: Receiver, watched: dict[str, Watched]) -> None:
    """Kill who is at work in each of these executions until all are over; AssertionError after 150 s."""
    until = time.monotonic() + 150
    while not all(is_over(rig, item.execution) for item in watched.values()):
        assert time.monotonic() < until, {name: (item.kills, item.took) for name, item in watched.items()}
        for item in watched.values():
            item.look(rig, receiver)
        time.sleep(0.03)


def test_requests_and_checks_go_on_under_one_key_though_five_workers_are_killed_in_each(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    made = seed(rig, receiver, "put", "health", "metric", "there")
    paths = {"put": ("PUT", "/put"), "health": ("GET", "/health"), "metric": ("GET", "/metrics")}
    paths["there"] = ("PUT", "/config")
    watched = {name: Watched(made[name], *path) for name, path in paths.items()}
    for method, path in paths.values():
        receiver.hold(method, path)
    start(rig, len(watched) + 2)
    watch(rig, receiver, watched)
    for name, item in watched.items():
        assert rig.value(STATE, item.execution) == "succeeded", name
        assert (len(item.took), len(receiver.of(item.method, item.path))) == (KILLS, KILLS + 1), name
        assert max(item.took) <= RESUME_WITHIN_SECONDS, name
    for name in ("put", "there"):
        keys = {call.key for call in receiver.of(*paths[name])}
        stored = rig.value("SELECT idempotency_key FROM runbooks_steprun WHERE execution_id = %s", made[name])
        assert keys == {stored}, name
    assert receiver.document["document"] == {"drop_rate": 1}
    assert written(rig, made["there"]) == {"backup": 1, "restored": 1}
    figures = {name: f"{max(item.took):.1f} s" for name, item in watched.items()}
    print(f"after each of {KILLS} kills the step went on within {figures} (lease {LEASE_SECONDS} s)")


def test_hooks_waits_events_and_sub_runbooks_go_on_though_five_workers_are_killed_in_each(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    paths = {
        "hook": ("POST", "/hook"),
        "until": ("GET", "/until"),
        "resolve": ("POST", "/v2/enqueue"),
        "pause": ("POST", "/events/running/pause"),
        "resume": ("POST", "/events/sleeping/resume"),
        "sub": ("GET", "/below"),
    }
    receiver.begin_again()
    made = seed(rig, receiver, *paths)
    watched = {name: Watched(made[name], *path) for name, path in paths.items()}
    for method, path in paths.values():
        receiver.hold(method, path)
    start(rig, len(watched) + 2)
    watch(rig, receiver, watched)
    for name, item in watched.items():
        assert rig.value(STATE, item.execution) == "succeeded", name
        # The sub-runbook asks a sixth time for its plan, then once more in its own step.
        more = 1 if name == "sub" else 0
        assert len(receiver.of(item.method, item.path)) == KILLS + 1 + more, name
        assert max(item.took[:KILLS]) <= RESUME_WITHIN_SECONDS, name
    for name in ("hook", "resolve", "pause", "resume"):
        stored = rig.value("SELECT idempotency_key FROM runbooks_steprun WHERE execution_id = %s", made[name])
        assert {call.key for call in receiver.of(*paths[name])} == {stored}, name
    below = (
        "SELECT below.state FROM runbooks_execution below JOIN runbooks_steprun step ON step.id = below.parent_step_id "
        "WHERE step.execution_id = %s"
    )
    rows = rig.query(below, made["sub"])
    assert [row["state"] for row in rows] == ["succeeded"]
    figures = {name: f"{max(item.took[:KILLS]):.1f} s" for name, item in watched.items()}
    print(f"after each of {KILLS} kills the step went on within {figures} (lease {LEASE_SECONDS} s)")


def test_what_must_not_happen_twice_is_sent_once_and_ends_unknown(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    names = [f"post{fault_round}-{number}" for number in range(KILLS)]
    made = seed(rig, receiver, *names)
    for name in names:
        receiver.hold("POST", f"/{name}")
    start(rig, KILLS + 1)
    wait_until(lambda: len(receiver.calls) == KILLS, "every request came in", 90)
    killed = {name: kill_holder(rig, made[name]) for name in names}
    took: dict[str, float] = {}

    def all_unknown() -> bool:
        for name in names:
            if name not in took and rig.value(STATE, made[name]) == "unknown":
                took[name] = time.monotonic() - killed[name]
        return len(took) == KILLS

    wait_until(all_unknown, "each waits for a person", 60)
    for name in names:
        receiver.let_go("POST", f"/{name}")
    time.sleep(LEASE_SECONDS + 2)
    assert [len(receiver.of("POST", f"/{name}")) for name in names] == [1] * KILLS
    assert max(took.values()) <= RESUME_WITHIN_SECONDS
    told = "SELECT count(*) FROM messaging_message WHERE channel = 'inbox' AND dedupe_key LIKE %s"
    assert [rig.value(told, f"execution:{made[name]}:unknown:%") for name in names] == [1] * KILLS
    print(f"{KILLS} requests whose worker was killed were sent once, and unknown after {max(took.values()):.1f} s")


class Blockade:
    """While it stands nobody can publish an event, so that a transaction stops between its effect and its commit."""

    def __init__(self, rig: Rig) -> None:
        self.connection = psycopg.connect(f"{SERVER}/{rig.database}")
        self._waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'engine_event'::regclass AND NOT granted"

    def put_up(self) -> None:
        self.connection.execute("LOCK TABLE engine_event IN SHARE MODE")

    def waiting(self) -> int:
        row = self.connection.execute(self._waiting).fetchone()
        return int(row[0]) if row else 0

    def lift(self) -> None:
        self.connection.rollback()


def killed_before_commit(rig: Rig, made: dict[str, int], blockade: Blockade | None = None) -> list[float]:
    """Kill whoever is at each of these five times, between effect and commit; after how long each went on."""
    blockade = blockade or Blockade(rig)
    took: list[float] = []
    killed_at = 0.0
    blockade.put_up()
    start(rig, len(made) + 1)
    for round_ in range(KILLS):
        wait_until(lambda: blockade.waiting() == len(made), "each stands before its commit", 40)
        if round_:
            took.append(time.monotonic() - killed_at)
        killed_at = max(kill_holder(rig, execution) for execution in made.values())
        blockade.lift()
        blockade.put_up()
    wait_until(lambda: blockade.waiting() == len(made), "each stands before its commit again", 40)
    took.append(time.monotonic() - killed_at)
    blockade.lift()
    return took


def test_internal_effects_happen_once_though_five_workers_are_killed_between_effect_and_commit(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    made = seed(rig, receiver, "notify", "here", "manual", "flag", "apply", "approval")
    took = killed_before_commit(rig, made)
    wait_until(lambda: rig.value(STATE, made["manual"]) == "waiting", "a person is waited for", 20)
    done = ("notify", "here", "flag", "apply")
    wait_until(lambda: all(is_over(rig, made[name]) for name in done), "all are done", 20)
    assert {rig.value(STATE, made[name]) for name in done} == {"succeeded"}
    asked = "SELECT count(*) FROM approvals_approvalrequest WHERE subject_kind = 'execution' AND subject_key = %s"
    wait_until(lambda: rig.value(asked, str(made["approval"])) == 1, "somebody is asked", 20)
    assert rig.value("SELECT count(*) FROM engine_event WHERE kind = 'flags.killed'") == fault_round + 1
    assert written(rig, made["apply"]) == {"edited": 1}
    sent = "SELECT count(*) FROM messaging_message WHERE channel = 'inbox' AND title = 'The world is well'"
    assert rig.value(sent) == fault_round + 1
    assert written(rig, made["here"]) == {"backup": 1, "restored": 1}
    assert rig.value("SELECT count(*) FROM engine_event WHERE kind = 'runbooks.waiting'") == fault_round + 1
    attempts = rig.query("SELECT attempts FROM runbooks_steprun WHERE execution_id = ANY(%s)", list(made.values()))
    assert [row["attempts"] for row in attempts] == [KILLS + 1] * len(made)
    assert max(took) <= RESUME_WITHIN_SECONDS
    step = rig.value("SELECT id FROM runbooks_steprun WHERE execution_id = %s", made["manual"])
    rig.run("-m", "tests.fault.executions", "--finish", str(step))
    wait_until(lambda: is_over(rig, made["manual"]), "the manual step is finished", 20)
    print(f"internal effects were there once; after each of {KILLS} kills it went on within {max(took):.1f} s")


def test_a_variant_is_killed_once_though_five_workers_are_killed_between_effect_and_commit(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    # By itself: two changes of flags wait for each other, so that only one of them would come before its commit.
    made = seed(rig, receiver, "variant")
    took = killed_before_commit(rig, made)
    wait_until(lambda: is_over(rig, made["variant"]), "it is done", 20)
    assert rig.value(STATE, made["variant"]) == "succeeded"
    assert rig.value("SELECT count(*) FROM engine_event WHERE kind = 'flags.variant_killed'") == fault_round + 1
    assert max(took) <= RESUME_WITHIN_SECONDS
    print(f"the variant was killed once; after each of {KILLS} kills it went on within {max(took):.1f} s")


def test_a_wait_ends_at_its_time_though_celery_and_ticker_are_killed_meanwhile(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    execution = seed(rig, receiver, "wait")["wait"]
    start(rig, 1)
    state = "SELECT state FROM runbooks_steprun WHERE execution_id = %s"
    wait_until(lambda: rig.value(state, execution) == "waiting", "it waits", 60)
    due = rig.value("SELECT extract(epoch FROM due_at)::float FROM runbooks_execution WHERE id = %s", execution)
    rig.kill("workers")
    for _ in range(KILLS):
        rig.start_worker("celery", "executions")
        rig.start_ticker()
        time.sleep(1)
        rig.kill("celery")
        rig.kill("ticker")
    restarted = time.time()
    rig.start_worker("celery", "executions")
    rig.start_ticker()
    wait_until(lambda: is_over(rig, execution), "the wait is over", 60)
    ended = rig.value("SELECT extract(epoch FROM finished_at)::float FROM runbooks_execution WHERE id = %s", execution)
    print(f"the wait ended {ended - due:.1f} s after its time")
    assert rig.value(STATE, execution) == "succeeded"
    assert ended >= due
    assert ended - max(due, restarted) <= RESUME_WITHIN_SECONDS


def test_a_worker_that_was_stopped_beyond_its_lease_comes_back_too_late(
    rig: Rig, receiver: Receiver, fault_round: int
) -> None:
    execution = seed(rig, receiver, "put")["put"]
    receiver.hold("PUT", "/put")
    start(rig, 2)
    wait_until(lambda: len(receiver.of("PUT", "/put")) == 1, "the first worker has sent it", 60)
    stopped = int(holder(rig, execution).rpartition(":")[2])
    os.kill(stopped, signal.SIGSTOP)
    frozen_at = time.monotonic()
    wait_until(lambda: len(receiver.of("PUT", "/put")) == 2, "another worker took over", RESUME_WITHIN_SECONDS)
    took = time.monotonic() - frozen_at
    receiver.let_go("PUT", "/put")
    wait_until(lambda: is_over(rig, execution), "it is done", 40)
    os.kill(stopped, signal.SIGCONT)
    refused = "SELECT count(*) FROM runbooks_logline WHERE execution_id = %s AND text LIKE %s"
    wait_until(lambda: rig.value(refused, execution, "%was refused%") == 1, "the late write is refused and told", 20)
    outcome = rig.value("SELECT outcome FROM runbooks_steprun WHERE execution_id = %s", execution)
    assert outcome["json"]["serial"] == 2
    assert rig.value(STATE, execution) == "succeeded"
    assert len({call.key for call in receiver.of("PUT", "/put")}) == 1
    print(f"another worker took over after {took:.1f} s; the write of the one that came back was refused")
