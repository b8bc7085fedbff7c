"""Due escalations survive killed workers, a flushed or dead broker, and a dead database connection."""

from __future__ import annotations

import time

from benchmarks.rig import Rig, wait_until
from tests.fault.conftest import all_fired, assert_each_paged_once, fired, latest, seed

COUNT = 1000


def start(rig: Rig) -> None:
    for name in ("one", "two"):
        rig.start_worker(name, "timers")
    rig.start_ticker()


def test_each_timer_fires_once_though_a_worker_is_killed_half_way(rig: Rig) -> None:
    start(rig)
    due_at = seed(rig, COUNT, 6)["due_at"]
    wait_until(lambda: fired(rig, due_at) > 0, "the first timers fired")
    rig.kill("one")
    all_fired(rig, due_at, COUNT, 15)
    assert_each_paged_once(rig, COUNT)


def test_each_timer_fires_once_though_redis_is_flushed(rig: Rig) -> None:
    start(rig)
    due_at = seed(rig, COUNT, 6)["due_at"]
    while fired(rig, due_at) < COUNT // 2:
        rig.redis_command(b"FLUSHALL")
        time.sleep(0.02)
    all_fired(rig, due_at, COUNT, 15)
    assert_each_paged_once(rig, COUNT)


def test_timers_fire_within_five_seconds_while_redis_is_stopped(rig: Rig) -> None:
    start(rig)
    due_at = seed(rig, COUNT, 6)["due_at"]
    rig.kill("redis")
    all_fired(rig, due_at, COUNT, 20)
    print(f"with Redis stopped the last of {COUNT} timers was {latest(rig, due_at):.2f} s late")
    assert latest(rig, due_at) <= 5
    assert_each_paged_once(rig, COUNT)


def test_timers_fire_within_ten_seconds_of_a_restart_after_everything_was_killed(rig: Rig) -> None:
    start(rig)
    due_at = seed(rig, COUNT, 1)["due_at"]
    for name in ("one", "two", "ticker", "redis"):
        rig.kill(name)
    wait_until(lambda: rig.value("SELECT now() > %s::timestamptz", due_at), "the timers are due")
    restarted = time.monotonic()
    rig.start_redis()
    start(rig)
    all_fired(rig, due_at, COUNT, 20)
    took = time.monotonic() - restarted
    print(f"after a restart the last of {COUNT} timers fired within {took:.2f} s")
    assert took <= 10
    assert_each_paged_once(rig, COUNT)


def test_each_timer_fires_once_though_the_database_drops_every_connection(rig: Rig) -> None:
    start(rig)
    due_at = seed(rig, COUNT, 6)["due_at"]
    wait_until(lambda: fired(rig, due_at) > 0, "the first timers fired")
    rig.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
        rig.database,
    )
    all_fired(rig, due_at, COUNT, 20)
    assert_each_paged_once(rig, COUNT)
