"""Odd input is refused with a reason; pages, tags and unknown addresses."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.people.models import ContactPoint
from apps.people.operations import add_contact_point
from tests.factories import actor, bearer, person
from tests.people.test_api_authentication import is_problem

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.people.urls")]
POINTS = "/api/v1/contact-points/"


def post(client: Client, body: bytes | str, headers: dict[str, str], content_type: str = "application/json") -> Any:
    return client.post(POINTS, body, content_type, headers=headers)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b'{"kind": NaN}',
        b'{"kind": Infinity}',
        b'{"kind": 1e999}',
        b'{"kind": "email", "address": "a\\u0000@b.example"}',
        b'{"kind": "email", "address": "\\ud800@b.example"}',
        b'{"kind": "\xff"}',
        b'{"user": ' + b"9" * 5000 + b"}",
        b'{"user": 9223372036854775808}',
        b'{"a": ' * 40 + b"1" + b"}" * 40,
        b"[" * 200_000,
        b'{"kind": "email", "address": "a@b.example", "adress": "typo"}',
        b'{"kind": "email", "address": 5}',
        b'{"kind": ["email"], "address": "a@b.example"}',
        b'{"kind": "email", "address": "a@b.example", "user": true}',
        b'{"kind": "email", "address": "a@b.example", "user": "1"}',
    ],
)
def test_bad_bodies_get_400_that_says_why_and_nothing_is_written(client: Client, body: bytes) -> None:
    response = post(client, body, bearer(person()))
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["detail"]
    assert not ContactPoint.objects.exists()


def test_a_body_over_a_mebibyte_gets_413(client: Client) -> None:
    assert is_problem(post(client, b'{"a": "' + b"x" * 2**20 + b'"}', bearer(person())), 413, "too_large")
    assert is_problem(post(client, b'{"a": "' + b"x" * 2**22 + b'"}', bearer(person())), 413, "too_large")


def test_another_content_type_gets_415(client: Client) -> None:
    assert is_problem(post(client, "kind=email", bearer(person()), "text/plain"), 415, "unsupported_media_type")


def test_fields_at_fault_are_named(client: Client) -> None:
    response = post(client, b'{"kind": "pigeon"}', bearer(person()))
    assert is_problem(response, 400, "invalid")
    assert {error["field"] for error in response.json()["errors"]} == {"kind", "address"}


def test_a_refusal_of_the_operation_is_a_problem_too(client: Client) -> None:
    headers, other = bearer(person()), person()
    body = f'{{"kind": "email", "address": "a@b.example", "user": {other.pk}}}'
    assert is_problem(post(client, body, headers), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    ["99999999/", "999999999999999999/", "99999999999999999999999/", "x/", "%00/", "1%27/", "nowhere/at%0Aall", "-1/"],
)
def test_what_is_not_there_gets_a_json_404(client: Client, path: str) -> None:
    assert is_problem(client.get(POINTS + path, headers=bearer(person())), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/", "/api", "/api/v2/users/", "/api/v1/nothing/"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_unknown_routes_get_a_json_404_in_every_way(client: Client, path: str, method: str) -> None:
    assert is_problem(getattr(client, method)(path), 404, "not_found")


def test_a_forgotten_slash_is_a_redirect_that_keeps_method_and_body(client: Client) -> None:
    response = client.post("/api/v1/tokens?x=1", {}, "application/json")
    assert response.status_code == 308
    assert response.headers["Location"] == "/api/v1/tokens/?x=1"


def test_a_wrong_method_gets_405_with_the_allowed_ones(client: Client) -> None:
    response = client.put("/api/v1/users/", headers=bearer(person()))
    assert is_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


def test_pages_follow_each_other_without_gap_or_repeat(client: Client) -> None:
    user = person()
    made = [add_contact_point(user.pk, "email", f"a{i}@b.example", actor=actor(user)).pk for i in range(5)]
    headers, url, seen = bearer(user), f"{POINTS}?limit=2", []
    while url:
        page = client.get(url, headers=headers).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=x",
        "limit=-1",
        "limit=201",
        "cursor=x",
        "cursor=cD1hYmM%3D",
        "cursor=cD0A",
        "kind=",
        "kind=email&kind=email",
    ],
)
def test_a_made_up_limit_or_cursor_gets_400(client: Client, query: str) -> None:
    assert client.get(f"{POINTS}?{query}", headers=bearer(person())).status_code == 400


def test_a_filter_of_the_wrong_type_gets_400(client: Client) -> None:
    headers = bearer(person("viewer"))
    assert client.get("/api/v1/users/?kind=alien", headers=headers).status_code == 400
    assert client.get("/api/v1/users/?is_active=yes", headers=headers).status_code == 400
    assert client.get("/api/v1/users/?is_active=true", headers=headers).status_code == 200
    assert client.get("/api/v1/users/?group=%00", headers=headers).status_code == 400
    assert client.get(f"{POINTS}?user=99999999999999999999", headers=headers).status_code in {200, 400}


def test_who_has_the_current_version_gets_304_and_a_stale_one_gets_412(client: Client) -> None:
    user = person()
    point = add_contact_point(user.pk, "email", "a@b.example", actor=actor(user))
    headers, url = bearer(user), f"{POINTS}{point.pk}/"
    etag = client.get(url, headers=headers).headers["ETag"]
    assert client.get(url, headers={**headers, "If-None-Match": etag}).status_code == 304
    stale = client.delete(url, headers={**headers, "If-Match": '"old"'})
    assert is_problem(stale, 412, "precondition_failed")
    assert (
        client.post(f"{url}disable/", {}, "application/json", headers={**headers, "If-Match": etag}).status_code == 200
    )
    assert client.get(url, headers={**headers, "If-None-Match": etag}).status_code == 200
    assert client.delete(url, headers={**headers, "If-Match": "*"}).status_code == 204
