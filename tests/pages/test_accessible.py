"""axe-core finds nothing to complain of, in light and in dark, on a wide screen and on a phone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from apps.alerts.models import Alert
from apps.catalog.models import Change
from apps.foundation.clock import now
from apps.incidents.operations import page_in, post, take_role
from apps.paging.links import ack_link
from apps.paging.models import Page
from apps.people.models import User
from tests.factories import actor, answers_for, incident, integration, named, service, team
from tests.pages.conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"runOnly": {"type": "tag", "values": TAGS}}


def complaints(page: Any) -> list[str]:
    page.wait_for_selector("html:not([x-cloak])")  # Alpine has set the theme
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{item['id']}: {node['html'][:160]}" for item in found for node in item["nodes"]]


def busy_world() -> tuple[User, int]:
    """An incident in each state that colours a page, and who sees them all."""
    ana, ben = named("ana", "commander", time_zone="Europe/Berlin"), named("ben", "responder")
    answers_for("primary", ana)
    answers_for("secondary", ben)
    payments = team("Payments", ana)
    login = service("Login", payments)
    row = incident("Nobody can log in", "P0", summary="Since **noon**", service_ids=[login.pk])
    other = incident("The shop is slow", "P2", detected_at=now() - timedelta(hours=2))
    take_role(other.pk, "commander", actor=actor(ana))
    post(other.pk, "It is the `database`\n\n- one\n- two", actor=actor(ana))
    page_in(other.pk, user_id=ben.pk, reason="database", actor=actor(ana))
    incident("A drill", "P3", kind="drill")
    incident("Refunds twice", "P1", visibility="private", team_id=payments.pk)
    source = integration()
    for state in ("firing", "resolved"):
        ended = {"resolved_at": now()} if state == "resolved" else {}
        Alert.objects.create(integration=source, dedup_key=state, title=f"{state} alert", state=state, **ended)
    Change.objects.create(title="Login 4.2", service=login, version="4.2")
    return ana, row.pk


PAGES = {
    "home": "/admin/",
    "incidents": "/admin/incidents/incident/?state=all",
    "command": "/admin/incidents/incident/{row}/command/",
    "severity": "/admin/incidents/incident/{row}/command/?open=severity",
    "record": "/admin/incidents/incident/{row}/change/",
    "declare": "/admin/incidents/incident/declare/?title=Nobody+can+log+in",
    "alerts": "/admin/alerts/alert/",
    "inbox": "/admin/messaging/message/inbox/",
    "device": "/admin/messaging/message/device/",
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_keeps_anybody_out(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    ana, row = busy_world()
    page = open_page(ana, "/admin/", theme=theme, width=width)
    found: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(portal + path.format(row=row))
        if problems := complaints(page):
            found[name] = problems
        if width == 390 and name != "record" and page.evaluate("document.documentElement.scrollWidth") > width:
            found[f"{name} is wider than a phone"] = []
    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_behind_the_link_of_a_page_keeps_nobody_out(open_page: OpenPage, portal: str, theme: str) -> None:
    busy_world()
    address = ack_link(Page.objects.order_by("pk")[0]).removeprefix("http://127.0.0.1:8000")
    page = open_page(None, address[address.index("/ack/") :], theme=theme, width=390)
    assert page.get_by_role("button", name="Acknowledge").is_visible()
    assert complaints(page) == []
