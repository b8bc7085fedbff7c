"""Bundle windows: the first page at once, the rest together, something worse at once. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.paging.rules.windows import Window, admit

BEGAN = datetime(2026, 5, 4, 3, tzinfo=UTC)
LENGTH = timedelta(seconds=60)


def told(*pages: tuple[float, int, str]) -> list[float | None]:
    """For each (second, rank, subject): when it is told with others, None for at once."""
    window, found = Window(), []
    for second, rank, subject in pages:
        verdict = admit(window, rank, subject, BEGAN + timedelta(seconds=second), LENGTH)
        window = verdict.window
        until = verdict.gather_until
        found.append(None if until is None else (until - BEGAN).total_seconds())
    return found


def test_the_first_goes_at_once_and_the_rest_at_the_end_of_its_window() -> None:
    assert told((0, 2, "a"), (1, 2, "b"), (59.9, 3, "c")) == [None, 60, 60]


def test_what_was_told_together_opens_the_next_window() -> None:
    assert told((0, 2, "a"), (1, 2, "b"), (61, 2, "c"), (119, 2, "d"), (121, 2, "e")) == [None, 60, 120, 120, 180]


def test_a_window_in_which_nothing_was_gathered_just_ends() -> None:
    assert told((0, 2, "a"), (60, 2, "b")) == [None, None]


def test_a_quiet_minute_after_a_bundle_ends_the_storm() -> None:
    assert told((0, 2, "a"), (1, 2, "b"), (120, 2, "c")) == [None, 60, None]


def test_something_worse_than_all_before_goes_at_once_and_only_it() -> None:
    assert told((0, 2, "a"), (1, 2, "b"), (2, 1, "c"), (3, 1, "d"), (4, 0, "e"), (5, 0, "f")) == [
        None, 60, None, 60, None, 60,
    ]  # fmt: skip


def test_what_was_gathered_counts_when_something_worse_comes_later() -> None:
    assert told((0, 2, "a"), (1, 1, "b"), (61, 1, "c"), (62, 0, "d")) == [None, None, None, None]
    assert told((0, 1, "a"), (1, 1, "b"), (61, 1, "c"), (62, 0, "d")) == [None, 60, 120, None]


def test_a_further_page_about_what_was_told_at_once_is_no_storm() -> None:
    assert told((0, 2, "a"), (5, 2, "a"), (6, 2, "b"), (7, 3, "a")) == [None, None, 60, None]
    assert told((0, 2, "a"), (1, 1, "b"), (2, 1, "a")) == [None, None, 60]


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 4)), max_size=80))
def test_at_most_one_message_for_each_window_besides_what_is_worse(pages: list[tuple[int, int]]) -> None:
    """Any storm of different subjects, compared with windows that are walked through one by one."""
    ordered = [(second, rank, str(number)) for number, (second, rank) in enumerate(sorted(pages))]
    found = told(*ordered)
    ends, worst, gathered = -1, 9, 9
    for (second, rank, _), until in zip(ordered, found, strict=True):
        while ends >= 0 and second >= ends:
            # What was gathered is told at the end, which opens the next window.
            ends, worst, gathered = (ends + 60, gathered, 9) if gathered < 9 else (-1, 9, 9)
        if ends < 0:
            assert until is None
            ends, worst = second + 60, rank
        elif until is None:
            assert rank < worst
        else:
            assert (until, rank >= worst) == (ends, True)
            gathered = min(gathered, rank)
        worst = min(worst, rank)
