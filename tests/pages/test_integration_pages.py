"""The pages of integrations keep nobody out: each kind with its examples, and the mapping with a result."""

from __future__ import annotations

import os

import pytest

from tests.factories import integration, person
from tests.pages.conftest import OpenPage
from tests.pages.test_accessible import complaints

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_integration_pages_keep_nobody_out(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    beats = integration("heartbeat", interval_seconds=300, grace_seconds=60)
    events, mapped = integration("pagerduty"), integration(mapping={"title": "event.name"})
    page = open_page(person("manager"), "/admin/", theme=theme, width=width)
    found: dict[str, list[str]] = {}
    for row, path in ((beats, "change/"), (events, "change/"), (mapped, "change/"), (mapped, "mapping/")):
        page.goto(f"{portal}/admin/alerts/integration/{row.pk}/{path}")
        if path == "mapping/":
            page.get_by_role("button", name="Try it").click()
            page.get_by_text("The sample is read as 1 alert").wait_for()
        name = f"{row.kind} {path}"
        if shots := os.environ.get("SHOTS"):
            page.screenshot(path=f"{shots}/{row.kind}-{path[:-1]}-{theme}.png", full_page=True)
        if problems := complaints(page):
            found[name] = problems
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found[f"{name} is wider than the screen"] = []
    assert found == {}
