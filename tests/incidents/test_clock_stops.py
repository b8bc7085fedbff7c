"""A target ends at the milestone that the pack names, strictly below its limit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.admin.clocks import clocks_of, stops_reached, target_clock
from apps.incidents.metrics import RESOLVED
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import change_severity, mark, mark_condition, reopen, resolve, snooze
from apps.incidents.policy import lifecycle, severities
from apps.incidents.queries import cycle_starts, subject_of
from apps.paging.models import EscalationRun
from apps.paging.operations import settle_target
from apps.postmortems.figures.spans import cycles_of
from tests.factories import answers_for, incident, named, novacron

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


@pytest.mark.parametrize("before", ["P1", "P4"])
def test_a_new_severity_calls_nobody_for_a_clock_that_stands_already(before: str) -> None:
    novacron(("target: 5m}", "target: 5m, stop: mitigated}"))
    boss = named("boss")
    answers_for("manager", boss)
    clock = ManualClock(now())
    with use_clock(clock):
        found = incident(severity=before)
        clock.advance(timedelta(minutes=2))
        mark(found.pk, "mitigated", actor=Actor.system())
        clock.advance(timedelta(minutes=8))
        change_severity(found.pk, "P0", actor=Actor.system())
    assert boss.pages.count() == 0
    assert all("target_met" in run.conditions for run in EscalationRun.objects.exclude(state="acknowledged"))


def test_the_clocks_of_an_incident_that_opens_again_begin_anew_on_its_page_as_in_paging() -> None:
    novacron()
    clock = ManualClock(now())
    with use_clock(clock):
        found = incident(severity="P0")
        clock.advance(timedelta(hours=1))
        resolve(found.pk, actor=Actor.system())
        clock.advance(timedelta(hours=1))
        again = reopen(found.pk, actor=Actor.system())
        clock.advance(timedelta(seconds=30))
        since, answer, target = clocks_of(again, now())
        card = target_clock(again, cycle_starts([again])[again.pk], now())
    run = EscalationRun.objects.get(track="page")
    assert [each.at for each in (answer, target)] == [at.isoformat() for at in (run.response_at, run.target_at) if at]
    assert (since.text, answer.text, target.text, card) == ("2:00:30", "0:30", "4:30", target)


def test_a_clock_that_runs_on_wakes_nobody_who_lets_it_rest() -> None:
    novacron()
    found, nobody = incident(severity="P1"), Actor.system()
    mark_condition(found.pk, "several_services", actor=nobody)
    settle_target(subject_of(found), met=True, actor=nobody)
    snooze(found.pk, until=now() + timedelta(hours=1), actor=nobody)
    settle_target(subject_of(found), met=False, actor=nobody)
    assert {run.state for run in EscalationRun.objects.all()} == {"snoozed"}
