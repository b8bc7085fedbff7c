"""`flag_change` of flags that a second person guards, that were disabled, and that a sub-runbook changed too."""

from __future__ import annotations

from typing import Any

import pytest

from apps.flags.operations import disable, edit_flag
from apps.runbooks.steps.base import Outcome, StepContext
from tests.runbooks.rehearsal import FAILS, SCRIPT, begun, run, runbook
from tests.runbooks.rehearsal import step as rehearsed
from tests.runbooks.test_flow import run_all, sub
from tests.runbooks.test_more_steps import _FLAG, again_flag, flag, on
from tests.runbooks.test_steps import preview_problems, step
from tests.runbooks.writing import PORTAL, context

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def test_the_dry_run_tells_that_a_second_person_must_approve_what_is_served() -> None:
    made = flag(needs_approval=True)
    asked: dict[str, Any] = {**_FLAG, "do": "serve"}
    assert "second person" in preview_problems(step("flag_change", **asked, serve="off"), context(looking=True))
    assert preview_problems(step("flag_change", **asked, serve="on"), context(looking=True)) == ""
    assert preview_problems(step("flag_change", do="kill", **_FLAG), context(looking=True)) == ""
    assert made.needs_approval


def test_a_flag_that_was_disabled_is_so_again_when_its_kill_is_undone() -> None:
    made = flag()
    disable(made.pk, reason="not ready", actor=PORTAL)
    SCRIPT.on("two", FAILS)
    assert run(begun(runbook(on("kill"), rehearsed("two")))).state == "undone"
    assert again_flag(made).state == "disabled"


def test_what_a_sub_runbook_did_to_a_flag_counts_as_looked_at() -> None:
    made = flag()
    execution = begun(runbook(sub(runbook(on("serve", serve="off"))), on("serve", serve="on")))
    run_all()
    execution.refresh_from_db()
    assert (execution.state, execution.state_detail) == ("succeeded", "")
    assert (again_flag(made).definition["serve"], again_flag(made).version) == ("on", 3)


def test_what_somebody_did_to_the_flag_after_the_sub_runbook_stays() -> None:
    made = flag()

    def renamed(_: StepContext) -> Outcome:
        edit_flag(made.pk, name="Till", actor=PORTAL)
        return Outcome("succeeded")

    SCRIPT.on("one", renamed)
    execution = begun(runbook(sub(runbook(on("serve", serve="off"))), rehearsed("one"), on("serve", serve="on")))
    run_all()
    execution.refresh_from_db()
    assert "was changed after this was looked at" in execution.state_detail
