"""`manage.py mitigate`: the press of the page and the API, from a terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from guardian.shortcuts import assign_perm

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.runbooks.management import following
from apps.runbooks.models import DryRun, Execution, Mitigation
from tests.factories import actor, incident, named, person
from tests.runbooks.rehearsal import SCRIPT, commander, runbook, step

pytestmark = pytest.mark.django_db
WHY = ("--reason", "drops are gone")


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def button(**more: object) -> Mitigation:
    return Mitigation.objects.create(
        slug="heal", name="Heal the world", runbook=runbook(step("one", with_target="world"), **more)
    )


def mitigate(*arguments: str, slug: str = "heal", name: str = "cora") -> tuple[int, str]:
    """The exit code, and everything it said."""
    out = StringIO()
    commander()
    try:
        call_command("mitigate", slug, "--as", name, *arguments, stdout=out)
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}"
    return 0, out.getvalue()


def test_a_dry_run_shows_what_the_button_would_do_and_starts_nothing() -> None:
    button()
    code, said = mitigate("--dry-run", *WHY)
    assert (code, "1. One (Rehearsed)\n     Would do one." in said) == (0, True)
    assert (DryRun.objects.count(), Execution.objects.count(), SCRIPT.calls) == (1, 0, [])


def test_a_press_does_every_step_for_the_incident_and_keeps_the_reason() -> None:
    button()
    about = incident()
    code, said = mitigate("--force", "--incident", about.number, *WHY)
    execution = Execution.objects.get()
    assert (code, execution.state, execution.incident_id) == (0, "succeeded", about.pk)
    assert (execution.reason, SCRIPT.names) == ("drops are gone", ["one"])
    assert "Succeeded after 0 min" in said


def test_without_a_reason_a_button_or_somebody_to_confirm_it_is_code_2() -> None:
    button()
    assert "reason" in mitigate("--force")[1]
    assert mitigate("--force")[0] == 2
    assert "Known: heal" in mitigate("--force", *WHY, slug="nonsense")[1]
    assert mitigate("--force", "--incident", "INC-0", *WHY)[0] == 2
    assert "--force" in mitigate(*WHY)[1]
    assert Execution.objects.count() == 0


def test_only_whoever_may_press_the_button_may_do_it_here() -> None:
    heal, rob = button(), named("rob", "responder")
    code, said = mitigate("--force", *WHY, name="rob")
    assert (code, "may press. Known: none" in said) == (2, True)
    assign_perm("runbooks.use_mitigation", rob, heal)
    assert mitigate("--force", *WHY, name="rob")[0] == 0
    assert Execution.objects.get().requested_by == rob


def test_it_waits_for_the_approval_and_starts_then(monkeypatch: pytest.MonkeyPatch) -> None:
    button(approval="required")

    def somebody_approves(_: float) -> None:
        approve(ApprovalRequest.objects.get().pk, actor=actor(person("approver")))

    monkeypatch.setattr(following.time, "sleep", somebody_approves)
    code, said = mitigate("--force", *WHY)
    assert (code, "Approved." in said, SCRIPT.names) == (0, True, ["one"])


def test_without_a_decision_it_is_code_4_and_an_emergency_goes_on() -> None:
    button(approval="required")
    assert mitigate("--force", "--wait", "0s", *WHY)[0] == 4
    assert SCRIPT.calls == []
    assert mitigate("--force", "--bypass", "nobody is awake", *WHY)[0] == 0
    assert Execution.objects.order_by("pk").last().state == "succeeded"  # type: ignore[union-attr]  # there are two


def test_what_changed_since_it_was_shown_is_not_pressed() -> None:
    button()

    def looked() -> None:
        SCRIPT.target = "two" if DryRun.objects.exists() else "one"

    SCRIPT.looked = looked
    code, said = mitigate("--force", *WHY)
    assert (code, Execution.objects.count(), SCRIPT.calls) == (3, 0, [])
    assert "look again" in said
