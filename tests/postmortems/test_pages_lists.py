"""The board, the lists, and the boxes on home and on the command page."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from apps.catalog.models import Membership
from apps.foundation.clock import now
from apps.incidents.queries import url as command_page
from apps.people.models import User
from apps.postmortems import operations
from apps.postmortems.models import Review
from tests.factories import actor, named
from tests.postmortems.conftest import World
from tests.postmortems.test_pages import browser_of, page, text_of

BOARD = "/admin/postmortems/review/"
ITEMS = "/admin/postmortems/actionitem/"


def columns(text: str) -> dict[str, list[str]]:
    """The titles of the cards in each column of the board."""
    found: dict[str, list[str]] = {}
    for part in text.split('<section class="p-postmortems-column')[1:]:
        name = re.search(r'id="column-(\w+)"', part)
        assert name
        found[name.group(1)] = re.findall(r"p-postmortems-card__title\"><a[^>]*>([^<]*)</a>", part)
    return found


def titles(text: str) -> list[str]:
    return re.findall(r'ip-cell-title" href="[^"]*">([^<]*)<', text)


def box(text: str, name: str) -> str:
    """The text of one box on a page."""
    found = re.search(rf'id="panel-{name}">(.*?)</section>', text, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found.group(1))).strip() if found else ""


# --- the board ---


def test_the_board_has_a_column_for_each_state(world: World) -> None:
    for title, move in (
        ("one", None), ("two", world.submitted), ("three", world.reviewed), ("four", world.reviewed),
    ):  # fmt: skip
        review = world.review(world.resolved(title=title))
        if move:
            move(review)
    operations.close(review.pk, actor=world.by("mona"))
    found = columns(text_of(world, "mona", BOARD))
    assert found == {"draft": ["one"], "in_review": ["two"], "reviewed": ["three"], "closed": ["four"]}


def test_reviews_closed_a_month_ago_leave_the_board_and_stay_in_the_list(world: World) -> None:
    review = operations.close(world.reviewed().pk, actor=world.by("mona"))
    world.wait(days=29)
    assert columns(text_of(world, "mona", BOARD))["closed"] == [review.title]
    world.wait(days=2)
    assert columns(text_of(world, "mona", BOARD))["closed"] == []
    assert titles(text_of(world, "mona", f"{BOARD}list/")) == [review.title]


def test_the_next_due_stands_on_top_and_filters_narrow(world: World) -> None:
    first = world.review(world.resolved(title="older"))
    world.wait(hours=30)
    world.review(world.resolved(title="newer"))
    world.wait(hours=20)
    assert columns(text_of(world, "cleo", BOARD))["draft"] == ["older", "newer"]
    assert columns(text_of(world, "cleo", f"{BOARD}?show=overdue"))["draft"] == ["older"]
    operations.set_people(first.pk, owner_id=world.people["ria"].pk, actor=world.by("cleo"))
    assert columns(text_of(world, "ria", f"{BOARD}?show=mine"))["draft"] == ["older"]
    assert columns(text_of(world, "cleo", f"{BOARD}?show=team"))["draft"] == ["older", "newer"]
    assert columns(text_of(world, "ria", f"{BOARD}?show=team"))["draft"] == []


def test_a_card_tells_severity_due_items_and_what_it_asks_of_the_reader(world: World) -> None:
    review = world.review()
    world.item(review, due_at=now() + timedelta(hours=1))
    world.item(review)
    world.wait(hours=2)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text_of(world, "cleo", BOARD)))
    for said in ("P1", review.incident.number, "due in 1 d 22 h", "1 of 2 items overdue", "Yours to write"):
        assert said in text


def test_the_list_is_searched_by_what_was_written(world: World) -> None:
    world.fill(world.review(world.resolved(title="one")))
    world.review(world.resolved(title="two"))
    assert titles(text_of(world, "cleo", f"{BOARD}list/?q=All+about+root-cause")) == ["one"]


# --- the list of items ---


@pytest.fixture
def items(world: World) -> World:
    review = world.review()
    world.item(review, "late", due_at=now() + timedelta(hours=1))
    world.item(review, "mine", owner_id=world.people["cleo"].pk, due_at=now() + timedelta(days=2))
    done = world.item(review, "finished")
    operations.finish_item(done.pk, outcome="so", actor=world.by("cleo"))
    world.wait(hours=2)
    return world


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["late", "mine"]),
        ("?show=mine", ["mine"]),
        ("?show=overdue", ["late"]),
        ("?show=team", ["late", "mine"]),
        ("?show=finished", ["finished"]),
        ("?show=all", ["late", "mine", "finished"]),
    ],
)
def test_items_are_narrowed_and_stand_by_due_date(items: World, query: str, found: list[str]) -> None:
    assert titles(text_of(items, "cleo", ITEMS + query)) == found


def test_a_manager_finds_the_items_of_their_people(items: World) -> None:
    assert titles(text_of(items, "mona", f"{ITEMS}?show=people")) == ["late", "mine"]
    assert titles(text_of(items, "ria", f"{ITEMS}?show=people")) == []


# --- boxes ---


def test_home_shows_what_awaits_me_and_what_is_overdue_of_my_people(items: World) -> None:
    items.submitted(Review.objects.get())
    text = text_of(items, "mona", "/admin/")
    assert "Nobody can log in" in box(text, "reviews")
    assert "Of people I answer for" in box(text, "overdue-items")
    assert "late" in box(text, "overdue-items")
    assert box(text_of(items, "ida", "/admin/"), "overdue-items").startswith("Overdue action items Mine late")


def test_home_shows_the_drafts_that_i_own(world: World) -> None:
    world.review()
    assert "Yours to write" in box(text_of(world, "cleo", "/admin/"), "reviews")
    assert box(text_of(world, "ida", "/admin/"), "reviews") == ""


def test_the_command_page_tells_what_becomes_of_the_review(world: World) -> None:
    made = world.open_incident()
    assert "Opens by itself when" in box(text_of(world, "cleo", command_page(str(made.pk))), "review")
    review = world.review(world.resolve(made))
    text = text_of(world, "cleo", command_page(str(made.pk)))
    assert "Draft due in" in box(text, "review")
    assert page(review) in text


def test_the_review_comes_first_on_the_command_page_once_the_incident_is_resolved(world: World) -> None:
    made, places = world.open_incident(), []
    for _ in ("open", "resolved"):
        panels = re.findall(r'id="panel-([\w-]+)"', text_of(world, "cleo", command_page(str(made.pk))))
        places.append(panels.index("review"))
        world.resolve(made)
    assert places[0] > places[1] == 0


def test_a_voluntary_review_is_opened_from_the_command_page(world: World) -> None:
    made = world.resolved(severity="P4")
    opens = reverse("admin:postmortems_review_open", args=[made.pk])
    assert opens in text_of(world, "ria", command_page(str(made.pk)))
    assert opens not in text_of(world, "ida", command_page(str(made.pk)))
    browser = browser_of(world, "ria")
    assert b"voluntary" in browser.get(opens).content
    assert browser.post(opens).url == page(Review.objects.get())
    assert browser_of(world, "ida").post(opens).status_code in {302, 403}


def test_an_item_without_an_owner_belongs_to_its_team(world: World) -> None:
    lead: User = named("lea", "responder")
    Membership.objects.create(team=world.team, user=lead, role=Membership.Role.LEAD)
    item = world.item(world.review(), owner_id=None, team_id=world.team.pk, due_at=now() + timedelta(hours=1))
    world.people["lea"] = lead
    world.wait(hours=2)
    assert item.title in box(text_of(world, "lea", "/admin/"), "overdue-items")
    assert operations.start_item(item.pk, actor=actor(lead)).state == "in_progress"
