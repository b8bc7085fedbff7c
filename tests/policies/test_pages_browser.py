"""The pages of policies in a browser: for everybody, and with each mistake at its line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from apps.policies import operations
from tests.factories import actor, answers_for, incident, named, novacron, novacron_text, person, team
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints
from tests.policies.shipped import loaded

__all__ = ["open_page", "portal", "portal_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CHANGED = ("target: 5m", "target: 4m")


def shoot(page: Any, name: str) -> None:
    """A picture for people, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def written(page: Any, text: str) -> None:
    page.locator("#id_text").fill(text)
    page.get_by_role("button", name="Check").click()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_keeps_anybody_out(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    first, boss = novacron(), person("manager")
    answers_for("primary", named("ana"), team("Core"))
    incident("Nobody can pay")
    waiting = operations.import_pack(novacron_text(CHANGED), note="faster", actor=actor(boss))
    season = operations.import_pack(loaded("a").text, actor=actor(boss))
    shown, found = open_page(boss, "/admin/", theme=theme, width=width), {}
    for name, path in {
        "pack": f"policypack/{first.pack_id}/change/",
        "version": f"policyversion/{season.pk}/change/",
        "waiting": f"policyversion/{waiting.pk}/change/",
        "editor": f"policypack/{first.pack_id}/edit/",
    }.items():
        shown.goto(f"{portal}/admin/policies/{path}")
        found[name] = complaints(shown)
        shoot(shown, f"{name}-{theme}-{width}")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, name
    for name, text in {
        "diff": novacron_text(CHANGED),
        "wrong": novacron_text(("SRE, after: 5m", "SRE, after: soon")),
    }.items():
        written(shown, text)
        found[name] = complaints(shown)
        shoot(shown, f"{name}-{theme}-{width}")
    assert not any(found.values()), found


@pytest.mark.timeout(400)
def test_a_mistake_leads_to_its_line(open_page: OpenPage, portal: str) -> None:
    version, text = novacron(), novacron_text(("SRE, after: 5m", "SRE, after: soon"))
    shown = open_page(person("manager"), f"/admin/policies/policypack/{version.pack_id}/edit/")
    written(shown, text)
    line = text[: text.index("after: soon")].count("\n") + 1
    assert shown.locator(".ip-code__wrong").inner_text() == str(line)
    shown.get_by_role("link", name=f"Line {line}, column").click()
    chosen = "el => el.value.slice(el.selectionStart, el.selectionEnd)"
    assert shown.locator("#id_text").evaluate(chosen).startswith("soon")
