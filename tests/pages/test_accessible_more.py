"""axe-core finds nothing to complain of on the pages behind the first ones: one browser page visits them all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.messaging.connections import create_connection
from apps.messaging.models import Connection, Destination
from apps.paging.operations import plan_maintenance
from tests.factories import answers_for, superuser
from tests.pages.conftest import OpenPage
from tests.pages.test_accessible import complaints
from tests.runbooks.page_world import asked, world

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SYSTEM = Actor.system()
# The column of boxes that delete rows has no heading in Unfold's own template.
UNFOLDS_OWN = "empty-table-header"
TOO_WIDE = """[...document.querySelectorAll("body *")]
    .filter(each => !each.children.length && each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 160))"""


def addresses() -> dict[str, str]:
    """A row of each kind that has a page, and where that is."""
    here = world()
    answers_for("primary", here.ana)
    dry_run = asked(here)
    at = now()
    window = plan_maintenance(starts_at=at, ends_at=at + timedelta(hours=1), reason="upgrade", actor=SYSTEM)
    slack = create_connection("Slack", Connection.Kind.SLACK, token="xoxb-1", signing_secret="s", actor=SYSTEM)
    Destination.objects.create(kind="slack", name="#alerts", target="C1", connection=slack)
    return {
        "approval": f"/admin/approvals/approvalrequest/{dry_run.approval_id}/change/",
        "approvals": "/admin/approvals/approvalrequest/",
        "flag": f"/admin/flags/flag/{here.flag.pk}/change/",
        "config": f"/admin/state/configdocument/{here.document.pk}/change/",
        "maintenance": "/admin/paging/maintenancewindow/",
        "window": f"/admin/paging/maintenancewindow/{window.pk}/change/",
        "connections": "/admin/messaging/connection/",
        "connection": f"/admin/messaging/connection/{slack.pk}/change/",
        "why": f"/admin/paging/escalationrun/why/incident/{here.incident.pk}/",
        "type": f"/admin/incidents/incident/{here.incident.pk}/command/?open=type",
    }


@pytest.mark.timeout(300)
def test_no_page_behind_the_first_ones_keeps_anybody_out(open_page: OpenPage, portal: str) -> None:
    pages = addresses()
    page = open_page(superuser(), "/admin/", width=1280)
    found: list[str] = []
    for theme, width in (("light", 1280), ("dark", 390)):
        page.context.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 900})
        for name, path in pages.items():
            answer = page.goto(portal + path)
            assert (name, answer.status) == (name, 200)
            found += [f"{name}, {theme}: {problem}" for problem in complaints(page) if UNFOLDS_OWN not in problem]
            if width == 390 and page.evaluate("document.documentElement.scrollWidth") > width:
                found += [f"{name} is wider than a phone: {part}" for part in page.evaluate(TOO_WIDE)]
    assert not found, "\n".join(found)
