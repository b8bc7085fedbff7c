"""A target ends at the milestone that the pack names, strictly below its limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.foundation.actor import Actor
from apps.incidents.admin.clocks import clocks_of, stops_reached
from apps.incidents.metrics import RESOLVED
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import mark
from apps.incidents.policy import lifecycle, severities
from apps.postmortems.figures.spans import cycles_of
from tests.factories import incident, novacron

pytestmark = pytest.mark.django_db
STOP = ("target: 15m}", "target: 15m, stop: mitigated}")


def mitigated(after: timedelta) -> Incident:
    found = incident()
    Incident.objects.filter(pk=found.pk).update(detected_at=found.detected_at - timedelta(hours=1))
    found.refresh_from_db()
    mark(found.pk, "mitigated", at=found.detected_at + after, actor=Actor.system())
    found.refresh_from_db()
    return found


@pytest.mark.parametrize(("seconds", "said"), [(899, "Met 15 min"), (900, "Missed 15 min")])
def test_the_clock_stands_still_at_its_milestone(seconds: int, said: str) -> None:
    novacron(STOP)
    found = mitigated(timedelta(seconds=seconds))
    target = clocks_of(found, found.declared_at)[-1]
    assert (target.name, target.mode) == (said, "still")


def test_the_figures_of_a_review_measure_the_target_there() -> None:
    version = novacron(STOP)
    found = mitigated(timedelta(minutes=14))
    clocks = severities(version.pk).get("P1").clocks
    (cycle,) = cycles_of(Milestone.objects.filter(incident=found), 0, lifecycle(version.pk), clocks)
    met = {figure.slug: figure.met for figure in cycle.figures}
    assert (met["mitigated"], met[RESOLVED]) == (True, None)


def test_many_clocks_are_one_query_and_none_where_packs_stop_at_the_resolution(
    django_assert_num_queries: Any,
) -> None:
    novacron()
    plain = [incident(), incident()]
    with django_assert_num_queries(0):
        assert stops_reached(plain) == {}
    novacron(STOP)
    stopped = [incident(), incident()]
    with django_assert_num_queries(1):
        assert stops_reached([*plain, *stopped]) == {}
