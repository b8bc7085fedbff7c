"""How many queries the pages of runbooks need does not grow with what they show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from apps.runbooks.models import Execution, LogLine, Mitigation, StepRun
from tests.factories import team
from tests.pages.test_queries import queries
from tests.runbooks.page_world import World, asked, command, flag, looked, of_incident, page, world

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return world()


def _grows(here: World, path: str, fill: Callable[[int], None], most: int) -> None:
    fill(3)
    few = queries(here.ana, path)
    fill(27)
    many = queries(here.ana, path)
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert len(many) <= most


def _more(first: Execution, count: int) -> None:
    """Finished executions like this one, each with three steps."""
    for number in range(count):
        made = Execution.objects.create(
            runbook=first.runbook,
            runbook_version=first.runbook_version,
            incident=first.incident,
            dry_run=first.dry_run,
            content_hash=first.content_hash,
            state="failed",
            requested_by_name="Ana",
            started_at=first.requested_at,
            finished_at=first.requested_at,
        )
        for place in (1, 2, 3):
            StepRun.objects.create(
                execution=made,
                position=place,
                order=place,
                slug=f"s{place}",
                name="Step",
                kind="wait",
                idempotency_key=f"{made.pk}-{place}-{number}",
            )


def test_the_panels_need_as_many_queries_for_30_rows_as_for_3(here: World) -> None:
    first = asked(here)

    def fill(count: int) -> None:
        _more(first, count)
        other = team(f"Team {count}")
        for number in range(count):
            own = [here.shop] if number % 2 else []
            flag(f"f{count}.{number}", other, here.production, *own)
            slug = f"m{count}-{number}"
            Mitigation.objects.create(slug=slug, name=slug, runbook=here.runbook)
            looked(here)

    _grows(here, command(here), fill, most=60)


def test_the_live_part_of_a_panel_needs_few_queries(here: World) -> None:
    first = asked(here)
    _grows(here, of_incident(here, "executions/"), lambda count: _more(first, count), most=14)


def test_the_list_needs_as_many_queries_for_30_executions_as_for_3(here: World) -> None:
    first = asked(here)
    _grows(here, "/admin/runbooks/execution/", lambda count: _more(first, count), most=30)


def test_an_execution_needs_as_many_queries_for_30_steps_and_lines_as_for_3(here: World) -> None:
    execution = asked(here)
    done = {"n": 0}

    def fill(count: int) -> None:
        for _ in range(count):
            done["n"] += 1
            StepRun.objects.create(
                execution=execution, position=done["n"], order=done["n"], slug="s", name="Step", kind="wait",
                idempotency_key=f"k{done['n']}",
            )  # fmt: skip
            LogLine.objects.create(execution=execution, text="line")

    _grows(here, page(execution), fill, most=30)


def test_the_list_of_dry_runs_needs_as_many_queries_for_30_as_for_3(here: World) -> None:
    def fill(count: int) -> None:
        for _ in range(count):
            looked(here)

    _grows(here, "/admin/runbooks/dryrun/", fill, most=30)


def test_the_list_of_buttons_needs_as_many_queries_for_30_as_for_3(here: World) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            slug = f"m{count}-{number}"
            Mitigation.objects.create(slug=slug, name=slug, runbook=here.runbook)

    _grows(here, "/admin/runbooks/mitigation/", fill, most=30)
