"""Reviews, sections and action items over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.foundation.clock import now
from apps.postmortems.models import ActionItem, Review
from tests.factories import bearer
from tests.postmortems.conftest import World

API = "/api/v1"


class Caller:
    """One person with a token."""

    def __init__(self, world: World, name: str, *scopes: str) -> None:
        self.client = Client()
        self.headers = bearer(world.people[name], *scopes)

    def get(self, path: str) -> Any:
        return self.client.get(f"{API}{path}", headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(f"{API}{path}", body or {}, "application/json", headers={**self.headers, **headers})

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.patch(f"{API}{path}", body, "application/json", headers={**self.headers, **headers})


def test_a_review_goes_its_way_over_the_api(world: World) -> None:
    review = world.review()
    cleo, mona = Caller(world, "cleo"), Caller(world, "mona")
    for section in cleo.get(f"/reviews/{review.pk}/").json()["sections"]:
        done = cleo.patch(f"/review-sections/{section['id']}/", {"text": "Written."})
        assert (done.status_code, done.json()["version"]) == (200, 2)
    assert cleo.post(f"/reviews/{review.pk}/submit/").json()["state"] == "in_review"
    assert [row["id"] for row in mona.get("/reviews/?awaiting_me=true").json()["results"]] == [review.pk]
    assert mona.post(f"/reviews/{review.pk}/send-back/", {"reason": "Why?"}).json()["state"] == "draft"
    cleo.post(f"/reviews/{review.pk}/submit/")
    assert mona.post(f"/reviews/{review.pk}/mark-reviewed/").json()["reviewed_by"]["name"] == "Mona"
    assert mona.post(f"/reviews/{review.pk}/close/").json()["state"] == "closed"
    assert mona.post(f"/reviews/{review.pk}/reopen/", {"reason": "More"}).json()["state"] == "draft"


def test_a_review_is_opened_for_an_incident_once(world: World) -> None:
    made = world.resolved(severity="P4")
    cleo = Caller(world, "cleo")
    first, again = (cleo.post("/reviews/", {"incident": made.pk}) for _ in range(2))
    assert (first.status_code, again.status_code, first.json()["id"]) == (201, 201, again.json()["id"])
    assert Caller(world, "ida").post("/reviews/", {"incident": "x"}).status_code == 403
    assert cleo.post("/reviews/", {"incident": 10**12}).status_code == 404


def test_an_etag_guards_a_section_against_words_unseen(world: World) -> None:
    section = world.review().sections.get(slug="summary")
    cleo, ria = Caller(world, "cleo"), Caller(world, "ria")
    tag = cleo.get(f"/review-sections/{section.pk}/").headers["ETag"]
    assert cleo.patch(f"/review-sections/{section.pk}/", {"text": "One"}, **{"If-Match": tag}).status_code == 200
    assert ria.patch(f"/review-sections/{section.pk}/", {"text": "Two"}, **{"If-Match": tag}).status_code == 412


def test_the_owner_does_not_review_and_the_problem_says_why(world: World) -> None:
    world.join("cleo", "manager")
    review = world.submitted()
    answer = Caller(world, "cleo").post(f"/reviews/{review.pk}/mark-reviewed/")
    assert (answer.status_code, answer.json()["code"]) == (403, "own_review")


def test_people_are_named_and_what_is_left_out_stays(world: World) -> None:
    review = world.review()
    cleo = Caller(world, "cleo")
    given = cleo.post(f"/reviews/{review.pk}/people/", {"reviewer": world.people["mona"].pk}).json()
    assert (given["owner"]["name"], given["reviewer"]["name"]) == ("Cleo", "Mona")
    assert cleo.post(f"/reviews/{review.pk}/people/", {"owner": None}).json()["owner"] is None
    assert cleo.post(f"/reviews/{review.pk}/people/", {"boss": 1}).status_code == 400


def test_the_computed_parts_and_the_export_are_there(world: World) -> None:
    review = world.review()
    cleo = Caller(world, "cleo")
    found = cleo.get(f"/reviews/{review.pk}/computed/").json()
    assert (found["frozen_at"], found["figures"][-1]["text"]) == (None, "29 minutes")
    text = cleo.get(f"/reviews/{review.pk}/export/")
    assert text.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert text.headers["Content-Disposition"].endswith('filename="2026-05-04-nobody-can-log-in.md"')
    assert text.content.decode().startswith("# Incident Post-Mortem: Nobody can log in")
    for accepted in ("text/markdown", "application/json", "*/*"):
        again = cleo.client.get(f"{API}/reviews/{review.pk}/export/", headers={**cleo.headers, "Accept": accepted})
        assert again.content == text.content
    assert "Cleo" not in cleo.get(f"/reviews/{review.pk}/export/?anonymised=true").content.decode()
    wrong = cleo.get(f"/reviews/{review.pk}/export/?anonymised=maybe")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid")


def test_an_item_is_promised_moved_and_finished(world: World) -> None:
    review = world.review()
    cleo, ida = Caller(world, "cleo"), Caller(world, "ida")
    due = (now() + timedelta(days=3)).isoformat()
    body = {"review": review.pk, "title": "Alert", "owner": world.people["ida"].pk, "priority": "P0", "due_at": due}
    made = cleo.post("/action-items/", body)
    assert (made.status_code, made.json()["owner"]["name"]) == (201, "Ida")
    path = f"/action-items/{made.json()['id']}/"
    later = (now() + timedelta(days=5)).isoformat()
    assert cleo.patch(path, {"due_at": later}).json()["version"] == 2
    assert ida.patch(path, {"due_at": later}).status_code == 403
    assert ida.post(f"{path}start/").json()["state"] == "in_progress"
    assert ida.post(f"{path}finish/", {"outcome": "Live"}).json()["state"] == "done"
    assert cleo.post(f"{path}reopen/", {}).json()["state"] == "open"
    assert cleo.post(f"{path}drop/", {"reason": "Gone"}).json()["state"] == "dropped"


@pytest.mark.parametrize(
    "changed",
    [
        {"due_at": "2020-01-01T00:00:00Z"},
        {"due_at": "9999-12-31T23:59:59Z"},
        {"due_at": None},
        {"priority": "P9"},
        {"owner": 10**19},
        {"owner": True},
        {"title": "a\u0000b"},
        {"title": {"a": 1}},
        {"link": "ftp://x"},
        {"colour": "red"},
    ],
)
def test_what_can_not_be_promised_is_a_clear_400(world: World, changed: dict[str, Any]) -> None:
    item = world.item(world.review())
    answer = Caller(world, "cleo").patch(f"/action-items/{item.pk}/", changed)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_lists_are_narrowed(world: World) -> None:
    review = world.review()
    item = world.item(review)
    world.item(review, "Later", due_at=now() + timedelta(days=30))
    world.wait(days=3)
    ida, mona = Caller(world, "ida"), Caller(world, "mona")
    assert [row["id"] for row in ida.get("/action-items/?mine=true&overdue=true").json()["results"]] == [item.pk]
    assert [row["id"] for row in mona.get("/action-items/?answered_by_me=true").json()["results"]] == [item.pk]
    assert len(ida.get(f"/action-items/?open=true&review={review.pk}").json()["results"]) == 2
    assert len(ida.get("/reviews/?overdue=true").json()["results"]) == 1
    assert ida.get("/reviews/?state=nonsense").status_code == 400


def test_a_private_incidents_review_is_nowhere_for_strangers(world: World) -> None:
    review = world.review(world.resolved(visibility="private"))
    item = world.item(review, owner_id=world.people["cleo"].pk)
    ria = Caller(world, "ria")
    section = review.sections.first()
    assert section is not None
    for path in (
        f"/reviews/{review.pk}/",
        f"/reviews/{review.pk}/export/",
        f"/reviews/{review.pk}/computed/",
        f"/action-items/{item.pk}/",
        f"/review-sections/{section.pk}/",
    ):
        assert ria.get(path).status_code == 404, path
    assert ria.post(f"/reviews/{review.pk}/submit/", {"x": 1}).status_code == 404
    for path in ("/reviews/", "/action-items/", f"/review-sections/?review={review.pk}"):
        assert ria.get(path).json()["results"] == []


def test_a_token_needs_the_scope(world: World) -> None:
    review = world.review()
    reader = Caller(world, "cleo", "reviews:read")
    assert reader.get(f"/reviews/{review.pk}/").status_code == 200
    assert reader.post(f"/reviews/{review.pk}/submit/").status_code == 403
    assert Caller(world, "cleo", "incidents:read").get("/reviews/").status_code == 403


def test_lists_need_as_many_queries_for_many_rows_as_for_one(world: World) -> None:
    cleo = Caller(world, "cleo")
    counts: list[list[int]] = []
    for _ in range(2):
        for number in range(3):
            world.item(world.review(world.resolved(title=f"Incident {number}")))
        cleo.get("/reviews/")
        found = []
        for path in ("/reviews/", "/action-items/", "/review-sections/"):
            with CaptureQueriesContext(connection) as queries:
                assert cleo.get(path).status_code == 200
            found.append(len(queries))
        counts.append(found)
    assert counts[0] == counts[1]
    assert (Review.objects.count(), ActionItem.objects.count()) == (6, 6)


def test_an_account_names_its_manager(world: World) -> None:
    found = Caller(world, "ida").get(f"/users/{world.people['ida'].pk}/").json()
    assert found["manager"] == world.people["mona"].pk
