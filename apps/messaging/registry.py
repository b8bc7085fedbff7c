"""Guards: what must still be so at the last look before a message is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

CurrentRuns = Callable[[Sequence[str]], dict[str, int]]

_guards: dict[str, CurrentRuns] = {}


def register_guard(kind: str, current_runs: CurrentRuns) -> None:
    """Own the guards of `kind`; called once in `ready()`, a second owner is a programming error.

    `current_runs(keys)` reads the database afresh with one query. A key that it leaves out, or that has
    another run than the message's, makes the message void.
    """
    if _guards.get(kind, current_runs) is not current_runs:
        raise RuntimeError(f"Guard kind {kind!r} has two owners.")
    _guards[kind] = current_runs


def guard(kind: str) -> CurrentRuns | None:
    """Who knows the current runs of `kind`."""
    return _guards.get(kind)
