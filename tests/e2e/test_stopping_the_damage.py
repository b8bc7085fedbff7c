"""One click stops the damage, with nothing of it faked: a fault of the game, a real alert, a browser, a real kill.

Purchases fail; who is on the incident presses “Pause payments” with a reason. The game closes its shop within the
step's target, the verification says so, the alert clears, and the timeline holds each step with its time and target.
Then the photo contest is paused and resumed likewise, with a message to its players.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.e2e.mailbox import Mailbox
from tests.e2e.stack import Stack, fetch, free_port, wait_until
from tests.e2e.test_from_alert_to_resolved import DESKTOP, sign_in, the_incident

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHECKOUT, CONTEST = "payments.checkout", "storm-trails"
RESPONDER = "ines"
KILL_TARGETS = [
    ("Pull the kill switch", 8),
    ("The world has heard of it", 80),
    ("Requests succeed", 110),
    ("Tell who is on call", 45),
    ("Close the alert in PagerDuty", 50),
]


@pytest.fixture
def stack() -> Iterator[Stack]:
    mailbox = Mailbox(free_port())
    with Stack(mailbox.port) as made:
        made.manage("setup")
        made.manage("seed_demo")
        made.start_portal()
        made.start_monitoring(json.loads((made.folder / "data/demo/portal.json").read_text())["alertmanager_url"])
        yield made
    mailbox.close()


def test_one_click_stops_the_damage_and_every_step_is_measured(stack: Stack, browser: Any) -> None:
    fetch(f"{stack.world}/break/payment-outage", "POST")
    incident = wait_until(lambda: the_incident(stack), "the alert opens an incident", 40)
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(15_000)
    sign_in(page, stack, RESPONDER)
    page.goto(f"{stack.url}/admin/incidents/incident/{incident['id']}/command/")
    page.get_by_text("live", exact=True).first.wait_for()
    # With a commander the portal only proposes to resolve, and the buttons stay.
    page.get_by_role("button", name=re.compile("take command", re.IGNORECASE)).first.click()

    press(page, "Pause payments", "Nine purchases in ten fail.")
    wait_until(lambda: not switches(stack)[CHECKOUT]["on"], "the game closes its shop", 8)
    ended(page, "Kill switch")
    assert switches(stack)[CHECKOUT]["on"] is False
    the_steps_were_in_time(stack, "flag-kill", KILL_TARGETS)
    the_page_shows_it(stack, page, "flag-kill", [name for name, _ in KILL_TARGETS])
    the_timeline_has_it(stack, incident["id"])
    wait_until(lambda: the_incident(stack)["resolve_proposed_at"], "no purchase fails, so the alert clears", 60)

    page.goto(f"{stack.url}/admin/incidents/incident/{incident['id']}/command/")
    press(page, "Pause the photo contest", "Too much to look at.")
    wait_until(lambda: event(stack)["state"] == "paused", "the contest is paused", 8)
    assert "paused for a moment" in event(stack)["message"]
    assert fetch(f"{stack.world}/events/{CONTEST}/submissions", "POST")[0] == 423
    ended(page, "Pause a live event")
    press(page, "Resume the photo contest", "The queue is short again.")
    wait_until(lambda: event(stack)["state"] == "active", "the contest goes on", 8)
    ended(page, "Resume a live event")
    assert fetch(f"{stack.world}/events/{CONTEST}/submissions", "POST")[0] == 200
    for slug in ("event-pause", "event-resume"):
        assert {row["pace"] for row in measured(stack, slug)} == {"met"}


def press(page: Any, button: str, reason: str) -> None:
    page.get_by_role("region", name="Runbooks and mitigations").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").wait_for()
    dialog.get_by_role("textbox").fill(reason)
    dialog.get_by_role("button", name="Do it now").click()


def ended(page: Any, runbook: str) -> None:
    """The open page hears of the end by itself."""
    rows = page.get_by_role("region", name="Runbooks and mitigations").locator("li", has_text=f"{runbook} #")
    rows.first.get_by_text("Succeeded").wait_for(timeout=60_000)


def switches(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fetch(f"{stack.world}/status")[1])["switches"]["flags"]
    return found


def event(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fetch(f"{stack.world}/events/{CONTEST}")[1])
    return found


def execution_of(stack: Stack, slug: str) -> int:
    rows = stack.query(
        "select e.id from runbooks_execution e join runbooks_runbook r on r.id = e.runbook_id where r.slug = %s", slug
    )
    assert len(rows) == 1
    found: int = rows[0]["id"]
    return found


def measured(stack: Stack, slug: str) -> list[dict[str, Any]]:
    """The steps of the one execution of a runbook, as the API shows them."""
    bearer = {"Authorization": f"Bearer {stack.token('runbooks:read')}"}
    status, text = fetch(f"{stack.url}/api/v1/executions/{execution_of(stack, slug)}/", headers=bearer)
    assert status == 200, text
    found: list[dict[str, Any]] = json.loads(text)["steps"]
    return found


def the_steps_were_in_time(stack: Stack, slug: str, targets: list[tuple[str, int]]) -> None:
    steps = measured(stack, slug)
    assert [(row["name"], row["target_seconds"]) for row in steps] == targets
    for row in steps:
        took = datetime.fromisoformat(row["finished_at"]) - datetime.fromisoformat(row["started_at"])
        assert row["took_seconds"] == pytest.approx(took.total_seconds())
        assert row["took_seconds"] <= row["target_seconds"]
        assert row["pace"] == "met"


def the_page_shows_it(stack: Stack, page: Any, slug: str, names: list[str]) -> None:
    page.goto(f"{stack.url}/admin/runbooks/execution/{execution_of(stack, slug)}/change/")
    shown = page.locator(".p-runbooks-steps").first
    for name in names:
        text = shown.locator("li", has_text=name).first.inner_text()
        assert re.search(r"took [^·]+ · target [^·]+met", text), text


def the_timeline_has_it(stack: Stack, incident_id: int) -> None:
    def told() -> list[str]:
        lines = "select text from incidents_timelineentry where incident_id = %s order by seq"
        return [row["text"] for row in stack.query(lines, incident_id)]

    def complete() -> bool:
        return any("Kill switch" in line and "succeeded in" in line for line in told())

    wait_until(complete, "the end stands on the timeline", 10)
    text = "\n".join(told())
    assert "Asks for Kill switch" in text
    assert "Nine purchases in ten fail." in text
    assert re.search(r"Killed the flag Checkout in production", text)
    assert len(re.findall(r"step \d/5: .+ \(took .+ · target .+: met\)", text)) == 5
    assert "within its target of 10 min" in text
