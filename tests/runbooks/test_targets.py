"""Every step against its own target: on the page, in the log, over the API, on the command line and in the figures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from apps.engine.operations import deliver
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.models import TimelineEntry
from apps.runbooks.documents import problems_of
from apps.runbooks.management.terminal import dry_run_lines, ending
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.statistics import statistics_of
from apps.runbooks.steps.base import Outcome, StepContext
from apps.runbooks.timing import span_text
from tests.factories import incident
from tests.runbooks.page_world import get, page
from tests.runbooks.rehearsal import FAILS, SCRIPT, Act, begun, commander, run, runbook, step
from tests.runbooks.writing import text_of

pytestmark = pytest.mark.django_db
WAIT = {"kind": "wait", "with": {"seconds": 1}}


@pytest.fixture
def clock() -> ManualClock:
    SCRIPT.clear()
    made = ManualClock(now())
    SCRIPT.on("quick", taking(made, 1.2))
    SCRIPT.on("slow", taking(made, 45))
    return made


def taking(clock: ManualClock, seconds: float) -> Act:
    """A step that succeeds after so long."""

    def act(_: StepContext) -> Outcome:
        clock.advance(timedelta(seconds=seconds))
        return Outcome("succeeded")

    return act


def done(clock: ManualClock, *names: str, about: int | None = None) -> Execution:
    """An execution of steps that may take half a minute each, done."""
    with use_clock(clock):
        return run(begun(runbook(*(step(name, target="30s") for name in names)), incident_id=about))


def test_targets_of_steps_that_no_longer_fit_the_runbooks_own_are_refused_at_its_line() -> None:
    fits = text_of({**WAIT, "target": "20m"}, {**WAIT, "target": 600}, target="30m")
    assert problems_of(fits) == []
    (problem,) = problems_of(fits.replace("20m", "21m"))
    assert (problem.line, problem.path) == (3, "target")
    assert problem.message == "The targets of the steps make up 31 min, more than the runbook's own of 30 min."
    assert "greater than or equal to 1" in problems_of(text_of({**WAIT, "target": "0s"}))[0].message


def test_the_page_tells_of_each_step_what_it_took_and_whether_that_was_in_time(clock: ManualClock) -> None:
    execution = done(clock, "quick", "slow", "untimed")
    shown = " ".join(get(commander(), page(execution)).content.decode().split())
    assert 'took 1.2 s · target 30 s <span class="p-runbooks-pace ip-ok"><span class="ip-icon"' in shown
    assert 'took 45 s · target 30 s <span class="p-runbooks-pace ip-danger"><span class="ip-icon"' in shown
    assert ">timer</span>met</span>" in shown
    assert ">timer_off</span>missed</span>" in shown


def test_a_step_at_work_for_longer_than_its_target_is_shown_so_before_it_ends(clock: ManualClock) -> None:
    with use_clock(clock):
        execution = begun(runbook({**WAIT, "slug": "w", "name": "W", "with": {"seconds": 60}, "target": "30s"}))
        run(execution)
        clock.advance(timedelta(seconds=40))
        shown = get(commander(), page(execution)).content.decode()
    assert "40 s so far · target 30 s" in shown
    assert "timer_off</span>over it" in shown


def test_a_failed_step_has_missed_its_target_and_one_without_a_target_has_none(clock: ManualClock) -> None:
    SCRIPT.on("broken", FAILS)
    with use_clock(clock):
        broken = step("broken", target="1h", on_failure="continue")
        run(begun(runbook(step("free"), broken, step("quick", target="1s"), target="2h")))
    paces = dict(StepRun.objects.values_list("slug", "pk"))
    found = {slug: StepRun.objects.get(pk=pk).pace.value for slug, pk in paces.items()}
    assert found == {"free": "", "broken": "missed", "quick": "missed"}


def test_the_timeline_the_log_and_the_api_tell_the_same(clock: ManualClock) -> None:
    about = incident()
    execution = done(clock, "quick", "slow", about=about.pk)
    with use_clock(clock):
        while deliver():
            pass
    lines = TimelineEntry.objects.filter(incident=about).values_list("text", flat=True)
    assert any("step 1/2: Quick (took 1.2 s · target 30 s: met)" in line for line in lines)
    assert any("step 2/2: Slow (took 45 s · target 30 s: missed)" in line for line in lines)
    assert execution.log.filter(text="Done. It took 45 s · target 30 s: missed.").exists()
    client = Client()
    client.force_login(commander(), backend="django.contrib.auth.backends.ModelBackend")
    steps = client.get(f"/api/v1/executions/{execution.pk}/").json()["steps"]
    told = [(row["took_seconds"], row["target_seconds"], row["pace"]) for row in steps]
    assert told == [(1.2, 30, "met"), (45.0, 30, "missed")]


def test_the_command_line_shows_targets_before_and_times_after(clock: ManualClock) -> None:
    execution = done(clock, "quick", "slow")
    assert "     Target: 30 s" in list(dry_run_lines(execution.dry_run))
    assert ending(execution).splitlines() == [
        "  1. Quick: took 1.2 s · target 30 s: met",
        "  2. Slow: took 45 s · target 30 s: missed",
        "Succeeded after 0 min 46 s (target 30 min: met).",
    ]


def test_the_statistics_count_what_was_missed_by_the_whole_and_by_each_step(clock: ManualClock) -> None:
    with use_clock(clock):
        made = runbook(step("quick", target="30s"), step("slow", target="30s"), target="1m")
        SCRIPT.on("slow", taking(clock, 45), taking(clock, 45), taking(clock, 1))
        for _ in range(3):
            run(begun(made))
        SCRIPT.on("slow", FAILS)
        run(begun(made))
    found = statistics_of(made)
    assert (found.aimed, found.on_time) == (4, 3)
    assert [(row.slug, row.measured, row.missed) for row in found.steps] == [("quick", 4, 0), ("slow", 4, 3)]
    assert dict(found.rows())["Steps within theirs"] == "62 % of 8"
    shown = get(commander(), f"/admin/runbooks/runbook/{made.pk}/change/").content.decode()
    assert "Steps against their targets" in shown
    assert "3 of 4" in shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.01, "under 0.1 s"), (1.24, "1.2 s"), (30, "30 s"), (59.96, "1 min"), (247, "4 min 7 s"), (7500, "2 h 5 min")],
)
def test_measured_durations_are_told_as_finely_as_they_matter(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
