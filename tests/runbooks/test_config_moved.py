"""A configuration, or its baseline, that moves while somebody still thinks about putting it back."""

from __future__ import annotations

from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.engine.operations import deliver
from apps.foundation.errors import Conflict
from apps.runbooks.operations.executing import execute
from apps.state.models import ConfigDocument
from apps.state.operations import edit_config, set_baseline
from tests.factories import actor, named
from tests.runbooks.rehearsal import FAILS, SCRIPT, asked, begun, commander, run, runbook
from tests.runbooks.rehearsal import step as rehearsed
from tests.runbooks.writing import PORTAL
from tests.state.making import again, held_here

pytestmark = pytest.mark.django_db
ASKS = {"slug": "ask", "name": "Ask", "kind": "approval", "with": {"asks": "Give it all back?", "within": "10m"}}


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


@pytest.fixture
def broken() -> ConfigDocument:
    """At version 2, whose baseline is version 1."""
    return changed(held_here({"rate": 1}), 9)


def changed(document: ConfigDocument, rate: int) -> ConfigDocument:
    revision = again(document).revision
    edit_config(document.pk, {"rate": rate}, expected_revision=revision, note="by hand", actor=PORTAL)
    return again(document)


def vouched(document: ConfigDocument) -> None:
    assert document.head is not None
    set_baseline(document.pk, document.head.pk, reason="better", actor=PORTAL)


def back(document: ConfigDocument, **more: Any) -> dict[str, Any]:
    return {"slug": "back", "name": "Back", "kind": "config_restore", "with": {"document": document.slug}, **more}


def answered() -> None:
    approve(ApprovalRequest.objects.get(state="pending").pk, reason="Fine.", actor=actor(named("ada", "approver")))
    deliver()


@pytest.mark.parametrize("moves", [vouched, lambda document: changed(document, 10)], ids=["baseline", "live"])
def test_what_moves_while_an_approval_is_pending_voids_it_and_says_what(broken: ConfigDocument, moves: Any) -> None:
    execution = asked(runbook(back(broken), approval="required"))
    answered()
    moves(broken)
    version = again(broken).head
    with pytest.raises(Conflict) as refused:
        execute(execution.pk, actor=actor(commander()))
    assert refused.value.code == "plan_changed"
    request = ApprovalRequest.objects.get()
    assert (request.state, again(broken).head) == ("void", version)
    execution.refresh_from_db()
    assert f"(config {broken.slug})" in execution.state_detail


def test_a_baseline_that_moved_while_a_step_asked_is_not_put_back(broken: ConfigDocument) -> None:
    execution = run(begun(runbook(ASKS, back(broken))))
    newer = changed(broken, 10)
    vouched(newer)
    edit_config(broken.pk, {"rate": 9}, expected_revision=again(broken).revision, note="again", actor=PORTAL)
    head = again(broken).head
    answered()
    execution = run(execution)
    said = execution.steps.get(slug="back").error
    assert "was version 1 when this was approved, and version 3 is it now: the approval is void" in said
    assert (execution.state, again(broken).head) == ("failed", head)


def test_restoring_over_a_newer_version_is_refused(broken: ConfigDocument) -> None:
    execution = run(begun(runbook(ASKS, back(broken))))
    head = changed(broken, 10).head
    answered()
    execution = run(execution)
    assert "was changed in the meantime: look at what is live now" in execution.steps.get(slug="back").error
    assert (execution.state, again(broken).head) == ("failed", head)


def test_an_authors_own_undoing_goes_over_what_its_step_left(broken: ConfigDocument) -> None:
    changed(broken, 10)
    SCRIPT.on("after", FAILS)
    to_baseline = {"kind": "config_restore", "with": {"document": broken.slug}}
    step = {**back(broken, compensate=to_baseline), "with": {"document": broken.slug, "version": 2}}
    execution = run(begun(runbook(step, rehearsed("after"))))
    assert (execution.state, again(broken).head.content) == ("undone", {"rate": 1})
