"""Who is on call: 90 days of 10 people in 3 layers with 20 overrides, and who is on now.

Targets: 90 days in 20 ms, now in 2 ms; twice the window costs about twice, a rotation's age nothing. No answer is
kept between two questions: the pure function holds none, and each round asks for another window. Processor time
counts, so that a busy machine says the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from time import process_time
from types import SimpleNamespace

from apps.oncall.schedule import (
    Cadence,
    Cover,
    Layer,
    Place,
    Restriction,
    Schedule,
    clocks,
    people_on,
    shifts,
)

LONG_AGO = datetime(1990, 1, 1, tzinfo=UTC)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ROUNDS = 30
WINDOW_MS, NOW_MS = 20.0, 2.0


def rotation(starts_on: date) -> Schedule:
    """Ten people in each of three layers: daily in Chicago, nights in Berlin, weekly on weekends in Sydney."""
    people = tuple(Place(user, user, LONG_AGO, None, user) for user in range(10))
    nights, weekends = Restriction(starts=time(20), ends=time(8)), Restriction(frozenset({5, 6}))
    layers = (
        Layer("America/Chicago", time(9), starts_on, people, Cadence.DAILY, layer_id=1),
        Layer("Europe/Berlin", time(9), starts_on, people, Cadence.DAILY, 1, 0, 1, (nights,), layer_id=2, priority=1),
        Layer("Australia/Sydney", time(9), starts_on, people, restrictions=(weekends,), layer_id=3, priority=2),
    )
    covers = tuple(
        Cover(100 + number, begins, begins + timedelta(hours=30), begins, number, number % 10 if number % 2 else None)
        for number in range(20)
        for begins in [BEGIN + timedelta(days=4.3) * number]
    )
    return Schedule(layers, covers)


def milliseconds(ask: Callable[[int], object], *, cold: bool) -> float:
    """The median of asking; `cold` also forgets what is known about the wall clocks."""
    found = []
    for number in range(ROUNDS):
        if cold:
            clocks.wall_clock.cache_clear()
        begun = process_time()
        ask(number)
        found.append((process_time() - begun) * 1000)
    return statistics.median(found)


def main() -> int:
    """Measure, print and compare with the targets."""
    young, old = rotation(date(2026, 1, 5)), rotation(date(1990, 1, 1))
    shift_count = len(shifts(young, BEGIN, BEGIN + timedelta(days=90)))

    def window(schedule: Schedule, days: int) -> Callable[[int], object]:
        return lambda number: shifts(
            schedule, BEGIN + timedelta(seconds=number), BEGIN + timedelta(days=days, seconds=number)
        )

    def at_once(schedule: Schedule) -> Callable[[int], object]:
        return lambda number: people_on(schedule, BEGIN + timedelta(days=number, seconds=number))

    found = SimpleNamespace(
        warm=milliseconds(window(young, 90), cold=False),
        cold=milliseconds(window(young, 90), cold=True),
        twice=milliseconds(window(young, 180), cold=True),
        old=milliseconds(window(old, 90), cold=True),
        now=milliseconds(at_once(young), cold=True),
        now_old=milliseconds(at_once(old), cold=True),
    )
    print(f"90 days, {shift_count} shifts      {found.warm:6.2f} ms (target {WINDOW_MS:.0f})")
    print(f"with cold wall clocks    {found.cold:6.2f} ms (target {WINDOW_MS:.0f})")
    print(f"180 days                 {found.twice:6.2f} ms: {found.twice / found.cold:.2f} times as much")
    print(f"36 years old, 90 days    {found.old:6.2f} ms: {found.old / found.cold:.2f} times as much")
    print(f"who is on now            {found.now:6.2f} ms, 36 years old {found.now_old:.2f} ms (target {NOW_MS:.0f})")
    met = found.cold <= WINDOW_MS and max(found.now, found.now_old) <= NOW_MS
    linear = found.twice <= 3 * found.cold and found.old <= 2 * found.cold
    return 0 if met and linear else 1


if __name__ == "__main__":
    raise SystemExit(main())
