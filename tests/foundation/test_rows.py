"""Writing many rows back with one statement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.engine.models import Timer
from apps.foundation.rows import write_back
from apps.people.models import User

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


def timers(count: int) -> list[Timer]:
    made = [Timer(kind="test", key=str(number), run=1, due_at=AT, try_at=AT) for number in range(count)]
    return Timer.objects.bulk_create(made)


def test_many_rows_are_written_back_by_one_statement_each_three_hundred(
    django_assert_num_queries: Any,
) -> None:
    rows = timers(301)
    for number, row in enumerate(rows):
        row.attempts, row.payload = number, {"places": ["%s", "'", number]}
    with django_assert_num_queries(2):
        write_back(rows, ["attempts", "payload"])
    found = Timer.objects.order_by("attempts").values_list("key", "attempts", "payload")
    assert list(found) == [(str(n), n, {"places": ["%s", "'", n]}) for n in range(301)]


def test_each_type_comes_back_as_it_was_given_also_when_all_are_empty() -> None:
    rows = timers(2)
    write_back(rows, ["fired_at"])
    rows[0].fired_at, rows[0].state, rows[0].last_error = AT, Timer.State.FIRED, "Größe 'x' %"
    write_back(rows, ["fired_at", "state", "last_error"])
    first, second = Timer.objects.order_by("pk")
    assert (first.fired_at, first.state, first.last_error) == (AT, "fired", "Größe 'x' %")
    assert (second.fired_at, second.state, second.last_error) == (None, "pending", "")


def test_fields_that_are_not_named_stay_as_they_are_stored() -> None:
    (row,) = timers(1)
    Timer.objects.update(attempts=7)
    row.key = "moved"
    write_back([row], ["key"])
    assert Timer.objects.values_list("key", "attempts").get() == ("moved", 7)


def test_yes_and_no_and_links_to_other_rows_are_written() -> None:
    user = User.objects.create(username="ann", email="ann@example.com")
    user.is_staff = not user.is_staff
    write_back([user], ["is_staff"])
    assert User.objects.get().is_staff is user.is_staff


def test_a_row_that_is_gone_stays_gone() -> None:
    kept, gone = timers(2)
    Timer.objects.filter(pk=gone.pk).delete()
    kept.attempts = gone.attempts = 3
    write_back([kept, gone], ["attempts"])
    assert list(Timer.objects.values_list("pk", "attempts")) == [(kept.pk, 3)]


def test_what_a_constraint_refuses_leaves_all_rows_as_they_were() -> None:
    rows = timers(301)
    for row in rows:
        row.attempts = 1
    rows[-1].state = Timer.State.FIRED  # without the time it fired
    with pytest.raises(DatabaseError), transaction.atomic():
        write_back(rows, ["attempts", "state"])
    assert not Timer.objects.exclude(attempts=0).exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_text_that_is_too_long_is_refused_and_not_cut_off() -> None:
    (row,) = timers(1)
    row.kind = "x" * 61
    with pytest.raises(DatabaseError), transaction.atomic():
        write_back([row], ["kind"])


def test_nothing_to_write_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        write_back([], ["attempts"])
    assert connection.in_atomic_block
