"""The way of a real alert, with nothing of it faked: Prometheus, Alertmanager, SMTP and a browser.

A config breaks the world, the first on-call person is paged and does not answer, the second is paged on time,
acknowledges by the link in her mail, takes command, kills a switch, looks at what the rollback would do, asks for it; a
second person approves, it is executed, the world is healthy, the portal proposes to resolve, and she does. The review
stands there with every event, and a promise that is not kept reaches the manager.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from tests.e2e.mailbox import PAGE, Mail, Mailbox
from tests.e2e.stack import ROOT, Stack, fetch, free_port, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(540)]

SHIPPED_PACK = ROOT / "apps" / "policies" / "packs" / "e-novacron.yaml"
LEVEL_2_AFTER_SECONDS = 6
LEVEL_3_AFTER_SECONDS = 120
ITEM_DUE_SECONDS = 5
RESPONSE = ["flags.killed", "runbooks.requested", "approvals.approved", "runbooks.started", "runbooks.finished"]
FIRST_ON_CALL = ("marco", "yuki")
SECOND_ON_CALL = "ines"
APPROVER = "sofia"
MANAGER = "omar"
SWITCH = "events.world-boss"
DRY_RUN = re.compile("dry run.*economy", re.IGNORECASE)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1360, "height": 900}
IMAGES = ROOT / "docs" / "images"


def quick_pack() -> str:
    """The shipped pack with its delays shortened; whoever acknowledges ends the path, so that this shows."""
    pack = yaml.safe_load(SHIPPED_PACK.read_text(encoding="utf-8"))
    pack["escalation"]["until"] = "acknowledged"
    delays = [0, LEVEL_2_AFTER_SECONDS, LEVEL_3_AFTER_SECONDS, 3600, 7200]
    for level, seconds in zip(pack["escalation"]["path"], delays, strict=True):
        level["after"] = f"{seconds}s"
    pack["review"]["escalate_after"] = "2s"
    return yaml.safe_dump(pack, sort_keys=False, allow_unicode=True)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox(free_port())
    yield made
    made.close()


@pytest.fixture
def stack(mailbox: Mailbox) -> Iterator[Stack]:
    with Stack(mailbox.port) as made:
        made.manage("setup")
        made.manage("seed_demo")
        (made.folder / "pack.yaml").write_text(quick_pack(), encoding="utf-8")
        made.manage("policy", "import", str(made.folder / "pack.yaml"), "--activate", "--reason", "shorter delays")
        made.start_portal()
        made.start_monitoring(json.loads((made.folder / "data/demo/portal.json").read_text())["alertmanager_url"])
        yield made


def screenshot(page: Any, name: str, *, full: bool = False) -> None:
    """Keep a picture for the tour, when asked to; the files in the repository change only then."""
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.wait_for_function("!document.querySelector('#toasts > *')")
        page.screenshot(path=str(IMAGES / f"{name}.png"), full_page=full)


def the_incident(stack: Stack) -> dict[str, Any]:
    rows = stack.query("select * from incidents_incident where source <> 'demo' order by id")
    assert len(rows) <= 1, "one alert opened several incidents"
    return rows[0] if rows else {}


def pages(stack: Stack, incident: dict[str, Any]) -> list[dict[str, Any]]:
    return stack.query(
        "select p.*, u.username from paging_page p join people_user u on u.id = p.user_id"
        " where subject_kind = 'incident' and subject_key = %s order by p.id",
        str(incident["id"]),
    )


def sign_in(page: Any, stack: Stack, username: str) -> None:
    page.goto(f"{stack.url}/admin/login/")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", (stack.folder / "data" / "admin-password").read_text().strip())
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.url}/admin/")


def test_an_alert_becomes_the_right_page_at_the_right_second(stack: Stack, mailbox: Mailbox, browser: Any) -> None:
    show_the_world_break(stack, browser)
    the_next_level_is_paged_on_time(stack, mailbox)
    page = she_opens_the_incident(stack, browser)
    mail = mailbox.to(SECOND_ON_CALL, about=PAGE)[0]
    a_scanner_acknowledges_nothing(stack, mail.acknowledge_link)
    she_acknowledges_on_her_phone(stack, browser, mail)
    page.get_by_text("Acknowledged by Ines Okafor").first.wait_for(timeout=3_000)  # the open page hears of it by itself
    she_takes_command(stack, page)
    she_kills_a_switch(stack, page)
    she_sees_what_the_rollback_would_do(stack, page)
    she_asks_for_it(page)
    another_approves(stack, browser, mailbox)
    she_starts_it_and_the_world_heals(stack, page)
    wait_until(lambda: the_incident(stack)["resolve_proposed_at"], "the portal proposes to resolve", 40)
    she_resolves(stack, page)
    the_timeline_is_complete_and_in_order(stack)
    paged = {mail.to.split("@")[0] for mail in mailbox.mails if mail.acknowledges}
    assert paged <= {*FIRST_ON_CALL, SECOND_ON_CALL}
    the_review_has_every_event_and_true_figures(stack, page)
    an_overdue_promise_reaches_the_manager(stack, page, mailbox)


def show_the_world_break(stack: Stack, browser: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.goto(stack.world)
    page.get_by_role("button", name="Break it: bad config").click()
    page.get_by_role("status").get_by_text("Broken").wait_for()
    screenshot(page, "world")
    page.close()


def the_next_level_is_paged_on_time(stack: Stack, mailbox: Mailbox) -> None:
    first = mailbox.wait_for(*FIRST_ON_CALL, about=PAGE, seconds=30)
    incident = the_incident(stack)
    assert incident["severity"] == "P0"
    assert incident["number"] in first.subject + first.text
    second = mailbox.wait_for(SECOND_ON_CALL, about=PAGE, seconds=LEVEL_2_AFTER_SECONDS + 5)
    called = pages(stack, incident)
    assert [(row["level"], row["username"] in FIRST_ON_CALL) for row in called] == [(1, True), (2, False)]
    for mail, row in zip((first, second), called, strict=True):
        made_late = (row["created_at"] - row["due_at"]).total_seconds()
        mail_late = mail.at - row["due_at"].timestamp()
        assert 0 <= made_late <= 1.5, f"the page was made {made_late:.2f} s after it was due"
        assert mail_late <= 2.5, f"the mail came {mail_late:.2f} s after it was due"
    assert abs((called[1]["due_at"] - called[0]["due_at"]).total_seconds() - LEVEL_2_AFTER_SECONDS) < 0.01


def a_scanner_acknowledges_nothing(stack: Stack, link: str) -> None:
    for method in ("GET", "HEAD", "GET"):
        assert fetch(link, method)[0] == 200
    incident = the_incident(stack)
    assert incident["acknowledged_at"] is None
    assert all(row["link_used_at"] is None for row in pages(stack, incident))


def she_opens_the_incident(stack: Stack, browser: Any) -> Any:
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(10_000)
    sign_in(page, stack, SECOND_ON_CALL)
    page.get_by_text("live", exact=True).first.wait_for()
    screenshot(page, "home")
    page.goto(f"{stack.url}/admin/incidents/incident/{the_incident(stack)['id']}/command/")
    page.get_by_text("live", exact=True).first.wait_for()
    page.get_by_role("region", name="Escalation").get_by_text("Omar Haddad").wait_for()  # whom the next level reaches
    page.get_by_role("region", name="What changed").get_by_text("Game config v2").wait_for()
    screenshot(page, "escalating")
    return page


def she_acknowledges_on_her_phone(stack: Stack, browser: Any, mail: Mail) -> None:
    link = mail.acknowledge_link
    phone = browser.new_context(viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)
    page = phone.new_page()
    if mail.html:
        page.set_content(mail.html)
        screenshot(page, "mail")
    page.goto(link)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    screenshot(page, "acknowledge")
    page.get_by_role("button", name=re.compile("acknowledge", re.IGNORECASE)).tap()
    wait_until(lambda: the_incident(stack)["acknowledged_at"], "the acknowledgement is recorded", 5)
    page.wait_for_load_state()
    screenshot(page, "acknowledged")
    page.goto(link)
    assert page.get_by_role("button", name=re.compile("^acknowledge", re.IGNORECASE)).count() == 0, (
        "the link works once"
    )
    phone.close()
    rows = stack.query(
        "select a.via, u.username from paging_acknowledgement a join people_user u on u.id = a.user_id"
        " where subject_key = %s",
        str(the_incident(stack)["id"]),
    )
    assert [(row["via"], row["username"]) for row in rows] == [("link", SECOND_ON_CALL)]


def she_takes_command(stack: Stack, page: Any) -> None:
    page.get_by_role("button", name=re.compile("take command", re.IGNORECASE)).first.click()
    incident_id = the_incident(stack)["id"]
    held = (
        "select u.username from incidents_roleassignment r join people_user u on u.id = r.user_id"
        " where r.role = 'commander' and incident_id = %s"
    )
    assert wait_until(lambda: stack.query(held, incident_id), "the role is recorded", 5) == [
        {"username": SECOND_ON_CALL}
    ]
    page.get_by_role("textbox", name="What happened").fill(
        "The drop rate is 500 % since config v2. Putting the last healthy config back."
    )
    page.get_by_role("button", name="Post").click()
    page.get_by_text("Putting the last healthy config back").first.wait_for()
    screenshot(page, "command")
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        page.evaluate("document.documentElement.classList.add('dark')")
        screenshot(page, "command-dark")
        page.evaluate("document.documentElement.classList.remove('dark')")


def she_kills_a_switch(stack: Stack, page: Any) -> None:
    asks = {"Authorization": f"Bearer {stack.token('flags:read')}"}
    path = f"{stack.url}/ofrep/v1/evaluate/flags/{SWITCH}"
    assert json.loads(fetch(path, "POST", {"context": {}}, asks)[1])["value"] is True
    switches = page.get_by_role("region", name="Kill switches")
    switches.get_by_text("All others").click()
    switches.locator("li", has_text="World boss").filter(has_text="Production").get_by_role("button").click()
    page.get_by_role("dialog").get_by_role("textbox").wait_for()
    screenshot(page, "kill")
    page.get_by_role("dialog").get_by_role("textbox").fill("No boss while the economy is broken.")
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^kill", re.IGNORECASE)).click()
    page.get_by_text("No boss while the economy is broken.").first.wait_for()
    killed = wait_until(lambda: switched_off(path, asks), "every web process answers false", 2)
    assert killed["value"] is False
    wait_until(lambda: SWITCH in obeyed(stack), "the game lives without it", 5)


def obeyed(stack: Stack) -> list[str]:
    """The kill switches that the game knows to be off."""
    flags = json.loads(fetch(f"{stack.world}/status")[1])["switches"]["flags"]
    return [key for key, flag in flags.items() if not flag["on"]]


def switched_off(path: str, headers: dict[str, str]) -> Any:
    answer = json.loads(fetch(path, "POST", {"context": {}}, headers)[1])
    return answer if answer["value"] is False else None


def she_sees_what_the_rollback_would_do(stack: Stack, page: Any) -> None:
    before = fetch(f"{stack.world}/requests")[1]
    page.get_by_role("region", name="Runbooks and mitigations").get_by_role("link", name=DRY_RUN).click()
    page.get_by_role("button", name="Show what it would do").click()
    page.get_by_role("heading", name="1 value would change").wait_for()
    shown = page.locator("main, #main, body").first.inner_text()
    for piece in ("economy.drop_rate", "5", "0.05", "/cache/invalidate", "/server/reload"):
        assert piece in shown, f"{piece} is not shown: {shown}"
    screenshot(page, "dry-run", full=True)
    assert fetch(f"{stack.world}/requests")[1] == before, "a dry run asks for nothing that changes anything"
    assert fetch(f"{stack.world}/health")[0] == 503


def she_asks_for_it(page: Any) -> None:
    page.get_by_role("button", name="Request approval").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("The drop rate of v2 makes a third of all requests fail.")
    page.get_by_role("dialog").get_by_role("button", name=re.compile("request", re.IGNORECASE)).click()
    page.get_by_text("Waits for approval").first.wait_for()


def another_approves(stack: Stack, browser: Any, mailbox: Mailbox) -> None:
    mail = mailbox.wait_for(APPROVER, about="/approvalrequest/", seconds=10)
    found = re.search(rf"{re.escape(stack.url)}/admin/\S+", mail.text)
    assert found, f"no link to decide in: {mail.text}"
    theirs = browser.new_context(viewport=DESKTOP)
    page = theirs.new_page()
    page.set_default_timeout(10_000)
    sign_in(page, stack, APPROVER)
    page.goto(found.group())
    page.get_by_text("economy.drop_rate").first.wait_for()
    screenshot(page, "approve", full=True)
    page.get_by_role("button", name="Approve", exact=True).click()
    rows = "select state from approvals_approvalrequest order by id desc limit 1"
    wait_until(lambda: stack.query(rows)[0]["state"] == "approved", "the approval is recorded", 8)
    theirs.close()


def she_starts_it_and_the_world_heals(stack: Stack, page: Any) -> None:
    page.reload()
    page.get_by_role("button", name=re.compile("^start", re.IGNORECASE)).first.click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^start", re.IGNORECASE)).click()
    page.get_by_text("Running").first.wait_for()
    screenshot(page, "executing", full=True)
    page.get_by_text("Succeeded").first.wait_for(timeout=60_000)  # the open page hears of it by itself
    screenshot(page, "executed", full=True)
    assert fetch(f"{stack.world}/health")[0] == 200
    steps = stack.query(
        "select kind, state, outcome_at, idempotency_key from runbooks_steprun order by execution_id, position"
    )
    assert {row["state"] for row in steps} == {"succeeded"}
    assert [row["outcome_at"] for row in steps] == sorted(row["outcome_at"] for row in steps)
    asked = json.loads(fetch(f"{stack.world}/requests")[1])["requests"]
    keys = {row["idempotency_key"] for row in steps}
    assert {entry["path"] for entry in asked if entry["idempotency_key"] in keys} == {
        "/config",
        "/cache/invalidate",
        "/server/reload",
    }
    page.goto(f"{stack.url}/admin/incidents/incident/{the_incident(stack)['id']}/command/")


def she_resolves(stack: Stack, page: Any) -> None:
    proposal = page.get_by_text(re.compile("alerts? (have )?cleared|propose", re.IGNORECASE)).first
    proposal.wait_for(timeout=8_000)  # the open page hears of it by itself
    screenshot(page, "proposed")
    page.get_by_role("button", name=re.compile("^resolve", re.IGNORECASE)).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("The last healthy config is live again; no error for a minute.")
    dialog.get_by_role("button", name=re.compile("^resolve", re.IGNORECASE)).click()
    wait_until(lambda: the_incident(stack)["resolved_at"], "the incident is resolved", 8)
    page.get_by_text(re.compile("resolved by", re.IGNORECASE)).first.wait_for()
    page.reload()
    screenshot(page, "resolved", full=True)


def the_timeline_is_complete_and_in_order(stack: Stack) -> None:
    incident = the_incident(stack)
    told = stack.query(
        "select seq, kind, text, at, data from incidents_timelineentry where incident_id = %s order by seq",
        incident["id"],
    )
    assert [row["seq"] for row in told] == list(range(1, len(told) + 1))
    assert [row["at"] for row in told] == sorted(row["at"] for row in told)
    kinds = [row["data"].get("event") or row["kind"] for row in told]
    wanted = ["declared", "paged", "paged", "acknowledged", "role", "post", *RESPONSE, "resolved"]
    assert "resolve_proposed" in kinds  # while the runbook still watches, or after it
    rest = iter(kinds)
    assert all(kind in rest for kind in wanted), f"{wanted} are not in this order in {kinds}"
    milestones = stack.query(
        "select name, at from incidents_milestone where incident_id = %s order by at", incident["id"]
    )
    names = [row["name"] for row in milestones]
    assert names.index("acknowledged") < names.index("resolved")
    # Refires while she worked paged nobody again, and the level after hers was never reached.
    assert [row["level"] for row in pages(stack, incident)] == [1, 2]
    remaining = LEVEL_3_AFTER_SECONDS + 2 - (time.time() - incident["declared_at"].timestamp())
    time.sleep(max(remaining, 0))
    assert [row["level"] for row in pages(stack, incident)] == [1, 2]


def the_review_has_every_event_and_true_figures(stack: Stack, page: Any) -> None:
    incident = the_incident(stack)
    review = wait_until(
        lambda: stack.query("select * from postmortems_review where incident_id = %s", incident["id"]),
        "the review is opened",
        10,
    )[0]
    assert review["state"] == "draft"
    page.goto(f"{stack.url}/admin/postmortems/review/{review['id']}/change/")
    page.get_by_role("heading", name="Root Cause").first.wait_for()
    screenshot(page, "review", full=True)
    bearer = {"Authorization": f"Bearer {stack.token('reviews:write')}"}
    computed = json.loads(fetch(f"{stack.url}/api/v1/reviews/{review['id']}/computed/", headers=bearer)[1])
    told = stack.query(
        "select text, at, seq from incidents_timelineentry where incident_id = %s order by at, seq", incident["id"]
    )
    shown = [row["text"] for row in computed["timeline"]]
    assert shown[: len(told)] == [row["text"] for row in told][: len(shown)]
    assert len(shown) >= len(told) - 1  # the line that tells of the review itself may come in between
    took = (incident["resolved_at"] - incident["detected_at"]).total_seconds()
    figures = {row["slug"]: row["seconds"] for row in computed["figures"]}
    assert abs(figures["resolved"] - took) < 1


def an_overdue_promise_reaches_the_manager(stack: Stack, page: Any, mailbox: Mailbox) -> None:
    review = stack.query("select id from postmortems_review order by id desc limit 1")[0]
    owner = stack.query("select id from people_user where username = %s", "marco")[0]
    before = len(mailbox.to(MANAGER))
    bearer = {"Authorization": f"Bearer {stack.token('reviews:write')}"}
    item = {
        "review": review["id"],
        "title": "Check drop rates before a config goes live",
        "owner": owner["id"],
        "priority": "P1",
        "due_at": datetime.fromtimestamp(time.time() + ITEM_DUE_SECONDS, UTC).isoformat(),
    }
    status, answer = fetch(f"{stack.url}/api/v1/action-items/", "POST", item, bearer)
    assert status == 201, answer
    wait_until(lambda: len(mailbox.to(MANAGER)) > before, "the owner's manager is told", ITEM_DUE_SECONDS + 15)
    mails = [mail for mail in mailbox.mails if item["title"] in mail.subject + mail.text]
    assert [mail.to.split("@")[0] for mail in mails][-2:] == ["marco", MANAGER]
    page.reload()
    page.get_by_text("manager told").first.wait_for()
    screenshot(page, "overdue", full=True)
