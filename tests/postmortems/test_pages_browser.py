"""In a browser: nobody is kept out, nothing that is typed is lost, and a review is written and submitted."""

from __future__ import annotations

from typing import Any

import pytest

from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import actor, novacron
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints
from tests.postmortems.pages_world import Busy, busy, write

__all__ = ["open_page", "portal", "portal_server"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def world(transactional_db: None) -> Busy:
    novacron()
    return busy()


def address(review: Review) -> str:
    return f"/admin/postmortems/review/{review.pk}/change/"


def section(page: Any, slug: str) -> Any:
    return page.locator(f"#section-{slug}")


def begin(page: Any, slug: str) -> Any:
    """Open a section; its box."""
    page.locator(f"#edit-{slug}").click()
    box = page.locator(f"#text-{slug}")
    box.wait_for()
    return box


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_of_reviews_keeps_anybody_out_or_breaks_the_policy_of_scripts(
    open_page: OpenPage, portal: str, world: Busy, theme: str, width: int
) -> None:
    page = open_page(world.cleo, "/admin/", theme=theme, width=width)
    found: dict[str, list[str]] = {}
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: spoken.append(str(error)))
    first = world.draft.sections.get(slug="summary").pk
    for path in (
        "/admin/",
        "/admin/postmortems/review/",
        "/admin/postmortems/review/list/",
        f"{address(world.draft)}?edit={first}",
        address(world.waiting),
        f"/admin/postmortems/review/{world.draft.pk}/do/add-item/",
        "/admin/postmortems/actionitem/",
        f"/admin/postmortems/actionitem/{world.overdue.pk}/change/",
        f"/admin/incidents/incident/{world.draft.incident_id}/command/",
    ):
        page.goto(portal + path)
        if problems := complaints(page):
            found[path] = problems
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found[f"{path} is wider than the window"] = []
    assert (found, spoken) == ({}, [])


def test_a_person_writes_a_section_adds_an_item_and_submits(open_page: OpenPage, world: Busy) -> None:
    write(world.draft, world.cleo, "worked-well", "to-improve", "preventive")
    page = open_page(world.cleo, address(world.draft))
    page.evaluate("window.stayed = true")
    assert page.get_by_role("link", name="“Lessons Learned” is empty").is_visible()
    begin(page, "lessons").fill("Staging needs **production's** load.")
    page.locator("#preview-lessons strong").wait_for()
    page.keyboard.press("Control+Enter")
    section(page, "lessons").locator(".p-postmortems-written strong").wait_for()
    page.get_by_role("heading", name="Ready to be submitted").wait_for()
    page.locator("#do-add-item").click()
    dialog = page.get_by_role("dialog", name="New action item")
    dialog.get_by_label("What is to be done").fill("Replay production's load in staging")
    dialog.get_by_label("Owner").select_option(label="Ida")
    dialog.get_by_role("button", name="Add").click()
    page.locator("#items").get_by_role("link", name="Replay production's load in staging", exact=True).wait_for()
    assert page.evaluate("window.stayed")
    page.locator("#do-submit").click()
    page.get_by_role("dialog", name="Submit for review?").get_by_role("button", name="Submit").click()
    page.get_by_role("heading", name="In review", exact=True).wait_for()
    world.draft.refresh_from_db()
    assert world.draft.state == "in_review"
    assert ActionItem.objects.get(title__startswith="Replay").owner == world.ida


def test_both_texts_are_shown_when_somebody_else_was_faster(open_page: OpenPage, world: Busy) -> None:
    page = open_page(world.cleo, address(world.draft))
    begin(page, "summary").fill("Mine")
    row = world.draft.sections.get(slug="summary")
    operations.edit_section(row.pk, "Theirs", actor=actor(world.mona))
    section(page, "summary").get_by_role("button", name="Save").click()
    page.get_by_text("Mona saved this section while you were writing.").wait_for()
    assert page.get_by_label("Saved by Mona").input_value() == "Theirs"
    assert page.get_by_label("Yours: Summary").input_value() == "Mine"
    page.get_by_role("button", name="Both into the box").click()
    page.wait_for_function("document.getElementById('text-summary').value === 'Theirs\\n\\nMine'")
    section(page, "summary").get_by_role("button", name="Save").click()
    section(page, "summary").locator(".p-postmortems-written").wait_for()
    row.refresh_from_db()
    assert row.text == "Theirs\n\nMine"


def test_what_was_typed_survives_a_failed_save_and_a_reload(open_page: OpenPage, world: Busy) -> None:
    page = open_page(world.cleo, address(world.draft))
    begin(page, "lessons").fill("Do not lose me")
    page.route("**/section/**", lambda route: route.abort())
    section(page, "lessons").get_by_role("button", name="Save").click()
    page.get_by_text("What you typed is kept").wait_for()
    assert page.locator("#text-lessons").input_value() == "Do not lose me"
    page.unroute("**/section/**")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    begin(page, "lessons")
    page.get_by_role("button", name="Put it back").click()
    assert page.locator("#text-lessons").input_value() == "Do not lose me"
    section(page, "lessons").get_by_role("button", name="Save").click()
    section(page, "lessons").locator(".p-postmortems-written").wait_for()
    assert world.draft.sections.get(slug="lessons").text == "Do not lose me"


def test_who_was_logged_out_meanwhile_keeps_the_text(open_page: OpenPage, world: Busy) -> None:
    page = open_page(world.cleo, address(world.draft))
    begin(page, "lessons").fill("Do not lose me")
    page.context.clear_cookies(name="sessionid")
    section(page, "lessons").get_by_role("button", name="Save").click()
    page.get_by_text("You are logged out").wait_for()
    assert page.locator("#text-lessons").input_value() == "Do not lose me"


def test_the_board_and_dialogs_are_used_by_keyboard(open_page: OpenPage, world: Busy) -> None:
    page = open_page(world.mona, "/admin/postmortems/review/")
    page.get_by_role("link", name="The shop is slow").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")
    page.locator("#do-send-back").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Send it back").wait_for()
    assert page.evaluate("document.activeElement.id") == "f-reason"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.id === 'do-send-back'")


def test_a_review_is_written_and_submitted_without_scripts(open_page: OpenPage, world: Busy) -> None:
    write(world.draft, world.cleo, "worked-well", "to-improve")
    page = open_page(world.cleo, address(world.draft), scripts=False)
    page.locator("#edit-lessons").click()
    page.locator("#text-lessons").fill("It works")
    page.get_by_role("button", name="Save").click()
    page.locator("#do-submit").click()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("heading", name="In review", exact=True).wait_for()
    world.draft.refresh_from_db()
    assert world.draft.state == "in_review"
