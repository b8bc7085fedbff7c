"""The pages of runbooks in a browser: for everybody, under the content security policy, and live to the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.engine.operations import deliver
from apps.flags.models import Flag
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.worker import run_due
from tests.factories import actor
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints
from tests.runbooks.page_world import MANUAL, World, asked, at_work, command, looked, of_incident, page, work, world

__all__ = ["open_page", "portal", "portal_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def shoot(page: Any, name: str) -> None:
    """A picture for people, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def listening(page: Any) -> list[str]:
    """What the browser complains of, from now on."""
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: spoken.append(str(error)))
    return spoken


def busy() -> tuple[World, dict[str, str]]:
    """A page of each kind in a state that colours it."""
    here = world(more=MANUAL)
    fresh, pending = looked(here), asked(here)
    waiting = at_work(here)
    work()
    unknown = asked(here)
    StepRun.objects.create(
        execution=unknown, position=1, order=1, slug="x", name="Reload the servers", kind="http_request",
        state="unknown", idempotency_key="k", error="The worker died with it.",
    )  # fmt: skip
    Execution.objects.filter(pk=unknown.pk).update(state="unknown")
    return here, {
        "command": command(here),
        "kill": of_incident(here, f"kill/{here.flag.pk}/"),
        "use": of_incident(here, f"use/{here.button.pk}/"),
        "choose": f"/admin/runbooks/dryrun/new/?incident={here.incident.pk}",
        "parameters": f"/admin/runbooks/dryrun/new/?runbook={here.runbook.pk}&incident={here.incident.pk}",
        "dry-run": f"/admin/runbooks/dryrun/{fresh.pk}/change/",
        "waiting": page(waiting),
        "unknown": page(unknown),
        "pending": page(pending),
        "settle": page(unknown, f"settle/{unknown.steps.get().pk}"),
        "bypass": page(pending, "bypass"),
        "approval": f"/admin/approvals/approvalrequest/{pending.approval_id}/change/",
        "executions": "/admin/runbooks/execution/",
        "mitigations": "/admin/runbooks/mitigation/",
    }


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_keeps_anybody_out_or_breaks_a_rule(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    here, pages = busy()
    shown = open_page(here.ana, "/admin/", theme=theme, width=width)
    spoken = listening(shown)
    found: dict[str, list[str]] = {}
    for name, path in pages.items():
        shown.goto(portal + path)
        if problems := complaints(shown):
            found[name] = problems
        if (
            width == 390
            and name not in {"mitigations", "approval"}
            and shown.evaluate("document.documentElement.scrollWidth") > width
        ):
            found[f"{name} is wider than a phone"] = []
        shoot(shown, f"{name}-{theme}-{width}")
    assert found == {}
    assert spoken == []


@pytest.mark.timeout(300)
def test_from_a_dry_run_to_the_end_with_a_second_person(open_page: OpenPage) -> None:
    here = world(more=MANUAL)
    ana = open_page(here.ana, command(here))
    spoken = listening(ana)
    ana.get_by_role("link", name="Dry run of Economy rollback").click()
    ana.get_by_label("Area").fill("market")
    ana.get_by_role("button", name="Show what it would do").click()
    ana.get_by_role("heading", name="4 values would change").wait_for()
    ana.get_by_role("button", name="Request approval").click()
    dialog = ana.get_by_role("dialog")
    dialog.get_by_label("Why").fill("Swords cost nothing")
    dialog.get_by_role("button", name="Request approval").click()
    ana.get_by_role("heading", name="A second person must approve it").wait_for()
    approve(ApprovalRequest.objects.get().pk, reason="looks right", actor=actor(here.max))
    ana.locator("#start").wait_for()  # the page has noticed by itself
    ana.evaluate("window.stayed = true")
    ana.locator("#start").click()
    ana.get_by_role("dialog").get_by_role("button", name="Start now").click()
    ana.get_by_role("heading", name="At work").wait_for()
    ana.evaluate("window.stayed = true")
    assert run_due()
    ana.get_by_text("1 of 2 steps done", exact=True).wait_for()
    assert run_due()
    ana.get_by_role("button", name="Finish this step").click()
    ana.get_by_role("dialog").get_by_role("radio", name="Done The next step").check()
    assert ana.evaluate("window.stayed")
    shoot(ana, "finish-dialog")
    ana.get_by_role("dialog").get_by_role("button", name="Say so").click()
    ana.get_by_text("2 of 2 steps done", exact=True).wait_for()
    while run_due():
        pass
    ana.get_by_role("heading", name="Done: every step succeeded").wait_for()
    assert ana.locator("#execution-live[hx-trigger]").count() == 0
    shoot(ana, "done")
    assert spoken == []


def test_a_kill_on_the_command_page_needs_no_reload_and_gives_the_focus_back(open_page: OpenPage) -> None:
    here = world()
    shown = open_page(here.ana, command(here))
    spoken = listening(shown)
    shown.evaluate("window.stayed = true")
    kill = shown.get_by_role("button", name="Kill Payments checkout in Production")
    kill.focus()
    shown.keyboard.press("Enter")
    dialog = shown.get_by_role("dialog")
    dialog.get_by_text("Nobody can pay.").wait_for()
    assert complaints(shown) == []
    shoot(shown, "kill-dialog")
    shown.keyboard.press("Escape")
    assert shown.evaluate("document.activeElement.id") == f"kill-{here.flag.pk}"
    kill.click()
    dialog.get_by_label("Why").fill("double charges")
    dialog.get_by_role("button", name="Kill it").click()
    shown.get_by_role("button", name="Bring back Payments checkout in Production").wait_for()
    assert Flag.objects.get().state == "killed"
    assert shown.evaluate("window.stayed")
    assert spoken == []


def test_what_one_types_in_a_question_survives_news_and_the_fold_stays_open(open_page: OpenPage) -> None:
    from apps.incidents.operations import post
    from tests.runbooks.page_world import flag

    here = world()
    flag("lobby.chat", here.core, here.production)
    shown = open_page(here.ana, command(here))
    shown.wait_for_selector('[data-live-state][data-state="live"]')
    shown.locator("#other-flags summary").click()
    shown.get_by_role("button", name="Economy back to the baseline").click()
    shown.get_by_role("dialog").get_by_label("Why").fill("half a sen")
    shown.get_by_role("dialog").get_by_role("button", name="Ask for approval").focus()
    post(here.incident.pk, "news", actor=actor(here.ana))
    shown.locator("#timeline-list").get_by_text("news").wait_for()
    assert shown.locator("#ask-reason").input_value() == "half a sen"
    assert shown.locator("#other-flags").get_attribute("open") is not None


def test_an_execution_appears_on_the_command_page_of_somebody_else_by_itself(open_page: OpenPage) -> None:
    here = world()
    shown = open_page(here.max, command(here))
    shown.wait_for_selector('[data-live-state][data-state="live"]')
    at_work(here)
    deliver()
    shown.get_by_role("link", name="Economy rollback #").first.wait_for()
    work()
    shown.locator("#incident-executions").get_by_text("Succeeded").wait_for()


def test_everything_works_without_scripts(open_page: OpenPage) -> None:
    here = world(approval="none")
    shown = open_page(here.ana, command(here), scripts=False)
    shown.locator(f"#use-{here.button.pk}").click()
    shown.get_by_label("Why").fill("it loses money")
    shown.get_by_role("button", name="Do it now").click()
    assert Execution.objects.get().state == "running"
    shown.locator(f"#kill-{here.flag.pk}").click()
    shown.get_by_label("Why").fill("double charges")
    shown.get_by_role("button", name="Kill it").click()
    assert Flag.objects.get().state == "killed"
