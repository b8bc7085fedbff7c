"""The pages of snapshots, diffs and restores in a browser: in both themes, on a phone, and from a click to the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.people.models import User
from apps.state.entities import operations
from apps.state.entities.models import EntityRestore, Snapshot
from apps.state.entities.operations.working import run_due
from tests.factories import named
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints
from tests.runbooks.test_pages_browser import listening, shoot
from tests.state.herd import PORTAL, Herd, compared, confirmed, planned, running, source_of, taken

__all__ = ["open_page", "portal", "portal_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DUPED = 9_999_999
LISTS = {"snapshots", "diffs", "restores", "sources"}  # tables that scroll inside of themselves


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(60)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


@pytest.fixture
def mia() -> User:
    return named("mia", "manager")


def busy(herd: Herd) -> dict[str, str]:
    """A page of each kind in each state that colours it."""
    source, other = source_of(herd), source_of(herd)
    before = taken(source)
    for number in range(3, 9):
        herd.change(f"p{number:06}", gold=DUPED, bag={"a-rather-long-name-of-a-place": ["x" * 300]})
    del herd.rows["p000020"]
    herd.rows["zz"] = {"id": "zz", "version": 1, "document": {"gold": 1}}
    diff = compared(before, taken(source))
    done = confirmed(planned(before, "p000003", "p000020", "nobody"))
    ready = planned(before, "p000004", "p000005")
    stopped = operations.take_snapshot(other.pk, actor=PORTAL)
    operations.stop_snapshot(stopped.pk, reason="the game is too busy", actor=PORTAL)
    waiting = operations.take_snapshot(other.pk, actor=PORTAL)
    pages = {
        "source": f"entitysource/{source.pk}/change/",
        "source-busy": f"entitysource/{other.pk}/change/",
        "snapshot": f"snapshot/{before.pk}/change/",
        "snapshot-waiting": f"snapshot/{waiting.pk}/change/",
        "snapshot-stopped": f"snapshot/{stopped.pk}/change/",
        "diff": f"snapshotdiff/{diff.pk}/change/",
        "diff-filtered": f"snapshotdiff/{diff.pk}/change/?path=gold&delta=1000",
        "restore-ready": f"entityrestore/{ready.pk}/change/",
        "restore-done": f"entityrestore/{done.pk}/change/",
        "sources": "entitysource/",
        "snapshots": "snapshot/",
        "diffs": "snapshotdiff/",
        "restores": "entityrestore/",
    }
    return {name: f"/admin/state/{path}" for name, path in pages.items()}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)])
def test_no_page_keeps_anybody_out_or_breaks_a_rule(
    open_page: OpenPage, portal: str, herd: Herd, theme: str, width: int
) -> None:
    pages, mia = busy(herd), named("mia", "manager")
    shown = open_page(mia, "/admin/", theme=theme, width=width)
    spoken, found = listening(shown), dict[str, list[str]]()
    for name, path in pages.items():
        shown.goto(portal + path)
        if problems := complaints(shown):
            found[name] = problems
        wide = shown.evaluate("document.documentElement.scrollWidth")
        if width == 390 and name not in LISTS and wide > width:
            found[f"{name} is {wide} wide on a phone"] = []
        shoot(shown, f"{name}-{theme}-{width}")
    assert found == {}
    assert spoken == []


@pytest.mark.timeout(300)
def test_a_snapshot_is_taken_and_stopped_and_the_page_follows(open_page: OpenPage, herd: Herd, mia: User) -> None:
    source = source_of(herd)
    shown = open_page(mia, f"/admin/state/entitysource/{source.pk}/change/")
    spoken = listening(shown)
    shown.get_by_role("button", name="Take a snapshot").click()
    shown.goto(shown.url.replace(f"entitysource/{source.pk}", f"snapshot/{Snapshot.objects.get().pk}"))
    shown.get_by_text("waits for a worker").wait_for()
    shown.get_by_role("button", name="Stop it").click()
    shown.get_by_text("Nothing of it is kept.").first.wait_for()
    assert Snapshot.objects.get().state == "stopped"
    assert shown.locator("#p-job[hx-trigger]").count() == 0
    assert shown.get_by_role("button", name="Stop it").count() == 0
    assert spoken == []


@pytest.mark.timeout(300)
def test_two_that_are_ticked_in_a_diff_go_back_after_a_dry_run(open_page: OpenPage, herd: Herd, mia: User) -> None:
    before = taken(source_of(herd))
    for number in (3, 4, 5):
        herd.change(f"p{number:06}", gold=DUPED)
    diff = compared(before, taken(before.source))
    shown = open_page(mia, f"/admin/state/snapshotdiff/{diff.pk}/change/")
    spoken = listening(shown)
    shown.get_by_role("textbox", name="Place").fill("gold")
    shown.get_by_role("button", name="Filter").click()
    shown.get_by_role("heading", name="Scope: 3 entities of 3").wait_for()
    for key in ("p000003", "p000005"):
        shown.get_by_role("checkbox", name=key).check()
    shown.get_by_role("button", name="Put the ticked back: dry run…").click()
    shown.get_by_text("looked at; waits for a worker").wait_for()
    assert run_due()
    shown.get_by_text("2 would change").wait_for()  # the page has noticed by itself
    assert herd.writes == []
    shown.get_by_label("Reason").fill("dupes")
    shown.get_by_role("button", name="Put 2 back").click()
    shown.get_by_text("waits for a worker").wait_for()
    assert run_due()
    shown.get_by_text("2 restored").wait_for()
    assert [herd.rows[f"p{number:06}"]["document"]["gold"] for number in (3, 4, 5)] == [103, DUPED, 105]
    assert EntityRestore.objects.get().confirmed_by_name == "Mia"
    assert spoken == []


def test_the_way_back_works_without_scripts(open_page: OpenPage, herd: Herd, mia: User) -> None:
    before = taken(source_of(herd))
    herd.change("p000003", gold=DUPED)
    shown = open_page(mia, f"/admin/state/snapshot/{before.pk}/change/", scripts=False)
    shown.get_by_label("Ids, one in a line").fill("p000003")
    shown.get_by_role("button", name="Dry run…").click()
    assert run_due()
    shown.reload()
    shown.get_by_label("Reason").fill("dupes")
    shown.get_by_role("button", name="Put 1 back").click()
    assert run_due()
    assert herd.rows["p000003"]["document"]["gold"] == 103
