from __future__ import annotations

from datetime import datetime

from hypothesis import HealthCheck, given, settings

from apps.oncall.schedule import Schedule
from tests.oncall.brute_force import assert_agreement, questions


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(questions())
def test_shifts_agree_with_a_brute_force(asked: tuple[Schedule, datetime, datetime, int]) -> None:
    assert_agreement(*asked)
