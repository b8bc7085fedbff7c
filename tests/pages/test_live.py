"""The command page in a browser: live, by keyboard, without scripts, and under the content security policy."""

from __future__ import annotations

from typing import Any

import pytest

from apps.incidents.models import Incident
from apps.incidents.operations import acknowledge, post
from tests.factories import actor, incident, named
from tests.pages.conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def command(row: Incident) -> str:
    return f"/admin/incidents/incident/{row.pk}/command/"


def until_live(page: Any) -> None:
    page.wait_for_selector('[data-live-state][data-state="live"]')


def test_a_note_of_somebody_else_appears_by_itself_and_is_announced(open_page: OpenPage) -> None:
    ana, ben, row = named("ana", "commander"), named("ben", "responder"), incident()
    page = open_page(ana, command(row))
    until_live(page)
    post(row.pk, "I see it too", actor=actor(ben))
    page.get_by_text("I see it too").first.wait_for()
    assert page.locator("#timeline-list").get_by_text("I see it too").count() == 1
    assert "I see it too" in page.locator("#announcer").inner_text()


def test_two_tabs_share_one_stream_and_both_are_live(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    first = open_page(ana, command(row))
    until_live(first)
    second = first.context.new_page()
    second.goto(first.url)
    until_live(second)
    post(row.pk, "to both", actor=actor(ana))
    for page in (first, second):
        page.locator("#timeline-list").get_by_text("to both").wait_for()


def test_home_counts_an_acknowledgement_without_being_reloaded(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident("Nobody can log in")
    page = open_page(ana, "/admin/")
    until_live(page)
    assert page.get_by_text("Nobody has acknowledged it.").is_visible()
    acknowledge(row.pk, actor=actor(ana))
    page.get_by_text("All are acknowledged.", exact=True).wait_for()


def test_taking_command_posting_and_resolving_need_no_reload(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, command(row))
    page.evaluate("window.stayed = true")
    page.get_by_role("button", name="Take command").click()
    page.get_by_role("heading", name="You command").wait_for()
    page.get_by_label("What happened, what you see").fill("Rolling back")
    page.keyboard.press("Control+Enter")
    page.locator("#timeline-list").get_by_text("Rolling back").wait_for()
    page.wait_for_function("document.querySelector('#composer textarea').value === ''")  # the stream may be first
    page.locator("#open-resolve").click()
    page.get_by_role("dialog").get_by_label("What ended it").fill("It is back")
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()
    page.get_by_role("heading", name="Resolved").wait_for()
    assert page.evaluate("window.stayed")
    row.refresh_from_db()
    assert row.phase == "resolved"


def test_a_late_answer_takes_away_no_dialog_opened_since(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, command(row))
    held: list[Any] = []
    page.route("**/command/post/", lambda route, _: held.append(route))
    page.get_by_label("What happened, what you see").fill("Rolling back")
    page.keyboard.press("Control+Enter")
    page.locator("#open-resolve").click()
    page.get_by_role("dialog").get_by_label("What ended it").fill("It is back")
    held[0].continue_()
    page.wait_for_function("document.querySelector('#composer textarea').value === ''")
    assert page.get_by_role("dialog").get_by_label("What ended it").input_value() == "It is back"


def test_a_dialog_opens_by_keyboard_and_gives_the_focus_back(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, command(row))
    page.locator("#open-page-in").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog", name="Page somebody in").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert page.evaluate("document.activeElement.id") == "open-page-in"


def test_what_one_is_typing_survives_news(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, command(row))
    until_live(page)
    page.locator("#open-severity").click()
    page.locator("#severity-reason").fill("more regions")
    post(row.pk, "news", actor=actor(ana))
    page.locator("#timeline-list").get_by_text("news").wait_for()
    assert page.locator("#severity-reason").input_value() == "more regions"


def test_a_refusal_is_told_and_the_text_kept(open_page: OpenPage) -> None:
    ana, row = named("ana", "responder"), incident()
    page = open_page(ana, command(row))
    page.get_by_label("What happened, what you see").fill("keep me")
    ana.groups.clear()
    ana.groups.add(named("ben", "viewer").groups.get())
    page.get_by_role("button", name="Post").click()
    page.get_by_role("status").get_by_text("may not respond").wait_for()
    assert page.get_by_label("What happened, what you see").input_value() == "keep me"


def test_everything_works_without_scripts(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, command(row), scripts=False)
    page.locator("#next-acknowledge").click()
    page.locator("#take-commander").click()
    page.locator("#open-resolve").click()
    page.get_by_label("What ended it").fill("It is back")
    page.locator("#dialog-resolve").get_by_role("button", name="Resolve").click()
    row.refresh_from_db()
    assert row.phase == "resolved"


def test_no_page_breaks_the_content_security_policy(open_page: OpenPage) -> None:
    ana, row = named("ana", "commander"), incident()
    page = open_page(ana, "/admin/")
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: spoken.append(str(error)))
    origin = page.url.removesuffix("/admin/")
    for path in (command(row), "/admin/", "/admin/incidents/incident/", "/admin/incidents/incident/declare/"):
        page.goto(origin + path)
        page.wait_for_timeout(300)
    assert spoken == []
