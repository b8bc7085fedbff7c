"""Who may see and press what: viewers read, and a private incident's review shows nowhere to an outsider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.catalog.models import Membership
from apps.incidents.queries import url as command_page
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import superuser
from tests.postmortems.conftest import World
from tests.postmortems.test_pages import BACKEND, HTMX, act, browser_of, item_act, page, section, section_url, text_of

SECRET = "Refunds are paid twice"


@pytest.fixture
def hidden(world: World) -> Review:
    """The review, with an overdue item, of an incident that only the team Core and Mona may see."""
    Membership.objects.create(team=world.team, user=world.people["mona"])
    review = world.review(world.resolved(title=SECRET, visibility="private"))
    world.item(review, f"Item of: {SECRET}", owner_id=world.people["cleo"].pk)
    world.wait(days=4)
    return review


# --- a private incident ---


@pytest.mark.parametrize("name", ["ria", "ida"])
def test_an_outsider_gets_404_on_every_page_of_a_private_review(world: World, hidden: Review, name: str) -> None:
    item, summary, browser = hidden.items.get(), section(hidden), browser_of(world, name)
    reads = [
        page(hidden), section_url(summary), act(hidden, "submit"), act(hidden, "add-item"), item_act(item, "finish"),
        reverse("admin:postmortems_review_export", args=[hidden.pk]),
        reverse("admin:postmortems_review_open", args=[hidden.incident_id]),
    ]  # fmt: skip
    assert {url: browser.get(url).status_code for url in reads} == dict.fromkeys(reads, 404)
    writes = [section_url(summary), act(hidden, "submit"), item_act(item, "start"),
              reverse("admin:postmortems_review_preview", args=[hidden.pk])]  # fmt: skip
    assert {url: browser.post(url, {"text": "x"}).status_code for url in writes} == dict.fromkeys(writes, 404)


@pytest.mark.parametrize("name", ["ria", "ida"])
def test_an_outsider_finds_a_private_review_in_no_list_history_panel_or_search(
    world: World, hidden: Review, name: str
) -> None:
    item = hidden.items.get()
    lists = [
        "/admin/",
        "/admin/postmortems/review/",
        "/admin/postmortems/review/list/?q=Refunds",
        "/admin/postmortems/actionitem/?show=all&q=Refunds",
        "/admin/postmortems/actionitem/?show=overdue",
    ]
    for url in lists:
        assert SECRET not in text_of(world, name, url), url
    browser = browser_of(world, name)
    for url in (
        reverse("admin:postmortems_review_history", args=[hidden.pk]),
        reverse("admin:postmortems_actionitem_history", args=[item.pk]),
        reverse("admin:postmortems_actionitem_change", args=[item.pk]),
        command_page(str(hidden.incident_id)),
    ):
        assert SECRET not in browser.get(url, follow=True).content.decode(), url


def test_those_who_may_see_the_incident_see_its_review_everywhere(world: World, hidden: Review) -> None:
    for url in ("/admin/", "/admin/postmortems/review/", "/admin/postmortems/actionitem/?show=people", page(hidden)):
        assert SECRET in text_of(world, "mona", url), url


def test_a_page_that_is_no_number_or_nowhere_is_404(world: World) -> None:
    browser = browser_of(world, "cleo")
    for key in ("999999", "0", "9" * 30, "x", "²"):
        for model in ("review", "actionitem"):
            assert browser.get(f"/admin/postmortems/{model}/{key}/change/", follow=True).status_code in {200, 404}
            assert SECRET not in browser.get(f"/admin/postmortems/{model}/{key}/change/", follow=True).content.decode()
    assert browser.get("/admin/postmortems/review/1/do/nothing/").status_code == 404


# --- what a viewer may do ---


def test_a_viewer_reads_everything_and_is_offered_nothing(world: World) -> None:
    review = world.review()
    world.item(review, owner_id=world.people["cleo"].pk)
    text = text_of(world, "ida", page(review))
    assert "What made it possible, not who." in text
    for offered in ("Write<", "Edit<", "Submit<", "Add an action item", "Owner and reviewer", ">Done<"):
        assert offered not in text, offered


def test_a_viewer_changes_nothing_by_posting(world: World) -> None:
    review = world.review()
    item = world.item(review, owner_id=world.people["cleo"].pk)
    summary, browser = section(review), browser_of(world, "ida")
    before = snapshot(review)
    answer = browser.post(section_url(summary), {"text": "mine", "version": "1"}, headers=HTMX)
    assert "may not write this review" in answer.content.decode()
    sent = {"title": "t", "owner_id": world.people["ida"].pk, "due_on": "2026-06-01", "priority": "P1"}
    for url in (*(act(review, verb) for verb in VERBS), *(item_act(item, verb) for verb in ITEM_VERBS)):
        assert browser.post(url, {"reason": "x", "outcome": "x", **sent}).status_code == 403, url
    assert snapshot(review) == before


VERBS = ("set-people", "submit", "send-back", "mark-reviewed", "close", "reopen", "add-item")
ITEM_VERBS = ("edit", "start", "finish", "drop", "reopen")


def snapshot(review: Review) -> list[Any]:
    rows: list[Any] = list(Review.objects.filter(pk=review.pk).values_list("state", "version", "owner_id"))
    return rows + list(ActionItem.objects.values_list("state", "version")) + [s.text for s in review.sections.all()]


def test_the_owner_of_an_item_may_start_and_finish_but_not_drop_it(world: World) -> None:
    review = world.review()
    item = world.item(review)
    text = text_of(world, "ida", reverse("admin:postmortems_actionitem_change", args=[item.pk]))
    assert ('id="do-finish"' in text, 'id="do-drop"' in text) == (True, False)
    assert browser_of(world, "ida").post(item_act(item, "drop"), {"reason": "x"}).status_code == 403


def test_nobody_is_offered_to_review_their_own(world: World) -> None:
    review = world.submitted()
    operations.set_people(review.pk, reviewer_id=None, actor=world.by("cleo"))
    assert "do-mark-reviewed" not in text_of(world, "cleo", page(review))
    assert "do-mark-reviewed" in text_of(world, "mona", page(review))
    review.owner = world.people["mona"]
    review.save()
    assert "Nobody reviews what they own" in text_of(world, "mona", page(review))


def test_buttons_on_a_page_are_those_that_the_operations_allow(world: World) -> None:
    review = world.reviewed()
    for name, offered in (("mona", True), ("cleo", False), ("ida", False)):
        assert ("do-close" in text_of(world, name, page(review))) is offered
    world.people["root"] = superuser(username="root")
    assert "do-close" in text_of(world, "root", page(review))


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_nobody_comes_in_without_logging_in(world: World, verb: str) -> None:
    review = world.review()
    send: Callable[..., Any] = getattr(Client(), verb.lower())
    for url in (page(review), section_url(section(review)), act(review, "submit"), "/admin/postmortems/review/"):
        assert send(url)["Location"].startswith("/admin/login/")


def test_a_button_needs_the_token_of_its_page(world: World) -> None:
    review = world.review()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(world.people["cleo"], backend=BACKEND)
    assert strict.post(section_url(section(review)), {"text": "forged", "version": "1"}).status_code == 403
    assert strict.post(act(review, "submit")).status_code == 403
