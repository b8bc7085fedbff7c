"""The way of a real alert, with nothing of it faked: Prometheus, Alertmanager, SMTP and a browser.

The world breaks, the first on-call person is paged and does not answer, the second is paged on time, acknowledges
by the link in her mail, takes command, the world heals, the portal proposes to resolve, and she does.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.mailbox import Mail, Mailbox
from tests.e2e.stack import ROOT, Stack, fetch, free_port, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHIPPED_PACK = ROOT / "apps" / "policies" / "packs" / "e-novacron.yaml"
LEVEL_2_AFTER_SECONDS = 6
LEVEL_3_AFTER_SECONDS = 45
FIRST_ON_CALL = ("marco", "yuki")
SECOND_ON_CALL = "ines"
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
    return yaml.safe_dump(pack, sort_keys=False, allow_unicode=True)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox(free_port())
    yield made
    made.close()


@pytest.fixture
def stack(tmp_path: Path, mailbox: Mailbox) -> Iterator[Stack]:
    made = Stack(tmp_path, mailbox.port)
    made.create_database()
    try:
        made.manage("setup")
        made.manage("seed_demo")
        (tmp_path / "pack.yaml").write_text(quick_pack(), encoding="utf-8")
        made.manage("policy", "import", str(tmp_path / "pack.yaml"), "--activate", "--reason", "shorter delays")
        made.start_portal()
        made.start_monitoring(json.loads((tmp_path / "data" / "demo" / "portal.json").read_text())["alertmanager_url"])
        yield made
    finally:
        made.close()
        print(made.logs())  # pytest shows it with a failure


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
    mail = mailbox.to(SECOND_ON_CALL)[0]
    a_scanner_acknowledges_nothing(stack, mail.acknowledge_link)
    she_acknowledges_on_her_phone(stack, browser, mail)
    page.get_by_text("Acknowledged by Ines Okafor").first.wait_for(timeout=3_000)  # the open page hears of it by itself
    she_takes_command(stack, page)
    fetch(f"{stack.world}/heal", "POST")
    wait_until(lambda: the_incident(stack)["resolve_proposed_at"], "the portal proposes to resolve", 40)
    she_resolves(stack, page)
    the_timeline_is_complete_and_in_order(stack)
    assert {mail.to.split("@")[0] for mail in mailbox.mails} <= {*FIRST_ON_CALL, SECOND_ON_CALL}


def show_the_world_break(stack: Stack, browser: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    page.goto(stack.world)
    page.get_by_role("button", name="Break it: bad config").click()
    page.get_by_role("status").get_by_text("Broken").wait_for()
    screenshot(page, "world")
    page.close()


def the_next_level_is_paged_on_time(stack: Stack, mailbox: Mailbox) -> None:
    first = mailbox.wait_for(*FIRST_ON_CALL, seconds=30)
    incident = the_incident(stack)
    assert incident["severity"] == "P0"
    assert incident["number"] in first.subject + first.text
    second = mailbox.wait_for(SECOND_ON_CALL, seconds=LEVEL_2_AFTER_SECONDS + 5)
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
        "select seq, kind, text, at from incidents_timelineentry where incident_id = %s order by seq", incident["id"]
    )
    assert [row["seq"] for row in told] == list(range(1, len(told) + 1))
    assert [row["at"] for row in told] == sorted(row["at"] for row in told)
    kinds = [row["kind"] for row in told]
    wanted = ["declared", "paged", "paged", "acknowledged", "role", "post", "resolve_proposed", "resolved"]
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
