"""The schedule against a brute force, on many more cases than the suite has time for: 1,000 a round."""

from __future__ import annotations

from datetime import datetime

from hypothesis import HealthCheck, given, seed, settings

from apps.oncall.schedule import Schedule
from tests.oncall.brute_force import assert_agreement, questions

CASES = 1000


def test_who_is_on_call_agrees_with_a_brute_force(fault_round: int) -> None:
    @seed(fault_round)
    @settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(questions())
    def agree(asked: tuple[Schedule, datetime, datetime, int]) -> None:
        assert_agreement(*asked)

    agree()
    print(f"round {fault_round}: {CASES} random schedules agree")  # what `make fault` tells
