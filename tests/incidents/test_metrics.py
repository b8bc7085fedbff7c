from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.foundation.clock import ManualClock, use_clock
from apps.incidents.metrics import (
    Times,
    time_to_acknowledge,
    time_to_mitigate,
    time_to_resolve,
    times,
    times_by_incident,
)
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import acknowledge, mark, reopen, resolve
from tests.factories import actor, incident, person

# The example of the NovaCron post-mortem template: detected 14:23, resolved 14:52, 29 minutes.
START = datetime(2025, 11, 10, 14, 23, tzinfo=UTC)


def _at(name: str, seconds: float, cycle: int = 0) -> Milestone:
    return Milestone(name=name, at=START + timedelta(seconds=seconds), cycle=cycle)


def test_times_count_from_detected_in_seconds() -> None:
    found = [_at("detected", 0), _at("acknowledged", 70), _at("mitigated", 420), _at("resolved", 29 * 60)]
    assert time_to_acknowledge(found) == 70
    assert time_to_mitigate(found) == 420
    assert time_to_resolve(found) == 1740


def test_what_is_not_reached_has_no_time() -> None:
    assert times([_at("detected", 0)]) == Times(None, None, None, None, None)
    assert time_to_resolve([_at("resolved", 5)]) is None


def test_cycles_are_measured_apart() -> None:
    found = [_at("detected", 0), _at("resolved", 60), _at("reopened", 500, 1), _at("resolved", 530, 1)]
    assert (time_to_resolve(found), time_to_resolve(found, 1)) == (60, 30)


def test_a_start_that_was_corrected_past_the_end_counts_as_zero() -> None:
    assert time_to_acknowledge([_at("detected", 10), _at("acknowledged", 5)]) == 0


@pytest.mark.django_db
def test_the_verbs_leave_the_milestones_that_the_metrics_need() -> None:
    clock = ManualClock(START)
    with use_clock(clock):
        made, ana = incident(severity="P1"), actor(person("commander"))
        clock.advance(timedelta(seconds=70))
        acknowledge(made.pk, actor=ana)
        clock.advance(timedelta(minutes=10))
        mark(made.pk, "mitigated", actor=ana)
        clock.advance(timedelta(minutes=5))
        resolve(made.pk, actor=ana)
        clock.advance(timedelta(minutes=60))
        reopen(made.pk, actor=ana)
        clock.advance(timedelta(seconds=30))
        resolve(made.pk, actor=ana)
    assert times_by_incident([made.pk])[made.pk] == Times(0, 70, None, 670, 970)
    assert times_by_incident([made.pk], cycle=1)[made.pk].to_resolve == 30


@pytest.mark.django_db
def test_the_day_of_the_number_is_that_of_the_clock() -> None:
    with use_clock(ManualClock(START)):
        assert incident(severity="P4").number == "INC-2025-11-10-001"


@pytest.mark.django_db
def test_times_of_many_incidents_take_one_query() -> None:
    ids = [incident(severity="P4").pk for _ in range(4)]
    with CaptureQueriesContext(connection) as queries:
        assert len(times_by_incident([*ids, 999_999])) == 5
    assert len(queries) == 1
    assert Incident.objects.count() == 4
