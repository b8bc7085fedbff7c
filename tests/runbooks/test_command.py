"""`manage.py rollback`: exit codes, output, and that it needs nobody else."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, refuse
from apps.demo.world.game import World
from apps.runbooks.management import following
from apps.runbooks.models import DryRun, Execution, Runbook
from tests.demo.test_world_http import port, world
from tests.factories import actor, incident, person
from tests.runbooks.rehearsal import FAILS, MAYBE, SCRIPT, commander, runbook, step
from tests.runbooks.test_library import text_of
from tests.runbooks.writing import runbook as written

__all__ = ["port", "world"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def book(*steps: dict[str, Any], **more: Any) -> Runbook:
    return runbook(*(steps or (step("one"), step("two"))), command="economy", **more)


def rollback(*arguments: str, name: str = "economy") -> tuple[int, str]:
    """The exit code, and everything it said."""
    out = StringIO()
    commander()
    try:
        call_command("rollback", name, "--as", "cora", *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def test_a_dry_run_shows_every_step_and_starts_nothing() -> None:
    book()
    code, said = rollback("--dry-run")
    assert code == 0
    assert "1. One (Rehearsed)\n     Would do one." in said
    assert (DryRun.objects.count(), Execution.objects.count(), SCRIPT.calls) == (1, 0, [])


def test_without_workers_it_does_every_step_and_shows_the_log() -> None:
    book()
    code, said = rollback("--force", "--reason", "drops are gone")
    assert code == 0
    assert "[1. One] Done." in said
    assert "Succeeded after 0 min" in said
    assert Execution.objects.get().reason == "drops are gone"
    assert SCRIPT.names == ["one", "two"]


def test_a_failure_is_code_1_and_what_was_done_is_undone() -> None:
    book(step("one", with_undo="yes"), step("two"))
    SCRIPT.on("two", FAILS)
    code, said = rollback("--force")
    assert (code, SCRIPT.names[-1]) == (1, "undo one")
    assert "[undo 1. Undo: One] Done." in said


def test_wrong_usage_is_code_2() -> None:
    book()
    assert rollback("--force", name="nonsense")[0] == 2
    assert "Known: economy" in rollback("--force", name="nonsense")[1]
    assert rollback("--force", "--incident", "INC-0")[0] == 2
    assert rollback("--force", "--param", "world")[0] == 2
    assert rollback("--force", "--param", "world=eu")[0] == 2
    assert rollback("--force", "--wait", "soon")[0] == 2
    with pytest.raises(CommandError) as found:
        call_command("rollback", "economy", "--as", "nobody")
    assert found.value.returncode == 2


def test_without_a_terminal_it_wants_force() -> None:
    book()
    code, said = rollback()
    assert (code, Execution.objects.count()) == (2, 0)
    assert "--force" in said


def test_a_failed_preflight_is_code_3() -> None:
    hidden = {"name": "{{ secret.missing }}"}
    book({"slug": "one", "name": "One", "kind": "rehearsed", "with": hidden})
    code, said = rollback("--force")
    assert (code, Execution.objects.count()) == (3, 0)
    assert "PROBLEM: One:" in said


def test_it_waits_for_the_approval_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    book(approval="required")

    def somebody_approves(_: float) -> None:
        approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))

    monkeypatch.setattr(following.time, "sleep", somebody_approves)
    code, said = rollback("--force")
    assert code == 0
    assert f"/admin/approvals/approvalrequest/{ApprovalRequest.objects.get().pk}/change/\n" in said
    assert "Approved." in said


def test_refused_or_undecided_is_code_4(monkeypatch: pytest.MonkeyPatch) -> None:
    book(approval="required")
    code, said = rollback("--force", "--wait", "0s")
    assert code == 4
    assert "The request stands" in said
    first = ApprovalRequest.objects.get()

    def somebody_refuses(_: float) -> None:
        request = ApprovalRequest.objects.exclude(pk=first.pk).get()
        refuse(request.pk, reason="no", actor=actor(person("approver")))

    monkeypatch.setattr(following.time, "sleep", somebody_refuses)
    assert rollback("--force")[0] == 4
    assert SCRIPT.calls == []


def test_in_an_emergency_it_goes_on_without() -> None:
    book(approval="required")
    assert rollback("--force", "--bypass", "nobody is awake")[0] == 0
    assert ApprovalRequest.objects.get().state == "bypassed"


def test_an_unknown_outcome_is_code_5_and_says_where_to_decide() -> None:
    book(step("one", idempotent=False))
    SCRIPT.on("one", MAYBE)
    code, said = rollback("--force")
    assert code == 5
    assert "/admin/runbooks/execution/" in said


def test_it_is_about_an_incident_and_takes_parameters() -> None:
    about = incident()
    schema = {
        "type": "object",
        "properties": {"world": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["world"],
    }
    book(parameters=schema)
    code, _ = rollback("--force", "--incident", about.number, "--param", "world=7", "--param", "count=3")
    execution = Execution.objects.get()
    assert (code, execution.incident_id) == (0, about.pk)
    assert execution.parameters == {"world": "7", "count": 3}


def test_ctrl_c_leaves_it_to_the_workers() -> None:
    import signal

    def interrupted(_: object) -> Any:
        signal.raise_signal(signal.SIGINT)
        return FAILS.__class__("succeeded")

    book()
    SCRIPT.on("one", interrupted)
    code, said = rollback("--force")
    execution = Execution.objects.get()
    assert (code, execution.state, SCRIPT.names) == (130, "running", ["one"])
    assert "The workers go on with it" in said


@pytest.mark.django_db(transaction=True)
def test_it_works_with_connections_of_its_own() -> None:
    book()
    assert rollback("--force")[0] == 0


# --- event_pause, event_resume ------------------------------------------------------------------------------------


def switch(verb: str, *arguments: str) -> tuple[int, str]:
    """The exit code of `event_pause storm-trails` and the like, and everything it said."""
    out = StringIO()
    commander()
    try:
        call_command(verb, *arguments, "--as", "cora", stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def test_an_event_is_paused_and_resumed_by_its_name(port: int, world: World, settings: Any) -> None:
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    for slug in ("event-pause", "event-resume"):
        written(text_of(slug, port), slug=slug)
    code, said = switch("event_pause", "storm-trails", "--dry-run")
    assert (code, world.event("storm-trails")["state"]) == (0, "active")
    assert '~ events.storm-trails.state: "active" → "paused"' in said
    code, said = switch("event_pause", "storm-trails", "--force", "--param", "message=Back soon.")
    assert (code, world.event("storm-trails")["state"]) == (0, "paused")
    assert ("Succeeded after 0 min" in said, world.event("storm-trails")["message"]) == (True, "Back soon.")
    assert switch("event_resume", "storm-trails", "--force")[0] == 0
    assert world.event("storm-trails")["state"] == "active"
    code, said = switch("event_pause", "nothing", "--force")
    assert (code, "no event `nothing`" in said) == (3, True)
    assert switch("event_pause", "a b", "--force")[0] == 2
