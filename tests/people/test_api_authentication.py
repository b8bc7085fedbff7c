"""Who gets in, and what they are told otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.foundation.clock import ManualClock, now, use_clock
from apps.people.models import ApiToken
from tests.factories import bearer, person, token

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.people.urls")]
ME, USERS, TOKENS = "/api/v1/me/", "/api/v1/users/", "/api/v1/tokens/"


def is_problem(response: Any, status: int, code: str) -> bool:
    body = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert set(body) >= {"type", "title", "status", "detail", "code", "errors"}
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    return True


def test_nobody_gets_401_with_the_way_to_log_in(client: Client) -> None:
    response = client.get(ME)
    assert is_problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="incident portal"'


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer ptk_nope", "Bearer " + "x" * 5000, "Bearer \xff"])
def test_a_wrong_token_gets_401_even_with_a_session(client: Client, header: str) -> None:
    client.force_login(person("viewer"))
    response = client.get(ME, headers={"Authorization": header})
    assert is_problem(response, 401, "invalid_token")
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_a_token_gets_in_and_its_use_is_noted_once_a_minute(client: Client) -> None:
    made, text = token(person("viewer"))
    clock = ManualClock(now())
    with use_clock(clock):
        for seconds, expected in ((0, 0), (59, 0), (1, 60)):
            clock.advance(timedelta(seconds=seconds))
            assert client.get(ME, headers={"Authorization": f"Bearer {text}"}).status_code == 200
            used = ApiToken.objects.get(pk=made.pk).last_used_at
            assert used == clock() - timedelta(seconds=clock().timestamp() - used.timestamp())
            assert (used - made.created_at).total_seconds() // 60 == expected // 60
    assert made.history.count() == 1


@pytest.mark.parametrize("fault", ["expired", "revoked", "closed"])
def test_a_token_that_ended_gets_401(client: Client, fault: str) -> None:
    user = person("viewer")
    made, text = token(user)
    if fault == "closed":
        user.is_active = False
        user.save()
    else:
        setattr(made, "expires_at" if fault == "expired" else "revoked_at", now())
        made.save()
    assert is_problem(client.get(ME, headers={"Authorization": f"Bearer {text}"}), 401, "invalid_token")


def test_a_token_of_the_wrong_scope_gets_403_that_names_the_scope(client: Client) -> None:
    user = person("viewer")
    response = client.get(USERS, headers=bearer(user, "incidents:write"))
    assert is_problem(response, 403, "scope_missing")
    assert "people:read" in response.json()["detail"]
    assert client.get(USERS, headers=bearer(user, "people:write")).status_code == 200


def test_a_token_for_reading_does_not_write(client: Client) -> None:
    headers = bearer(person("viewer"), "people:read")
    response = client.post(TOKENS, {"name": "x", "scopes": ["people:read"]}, "application/json", headers=headers)
    assert is_problem(response, 403, "scope_missing")
    assert ApiToken.objects.count() == 1


def test_an_account_without_the_permission_gets_403_that_names_it(client: Client) -> None:
    headers = bearer(person("responder"))
    response = client.post("/api/v1/service-accounts/", {"username": "bot"}, "application/json", headers=headers)
    assert is_problem(response, 403, "permission_missing")
    assert "people.manage_service_accounts" in response.json()["detail"]


def test_a_session_writes_only_with_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("viewer"))
    assert client.get(ME).status_code == 200
    response = client.post(TOKENS, {"name": "x", "scopes": ["*"]}, "application/json")
    assert is_problem(response, 403, "permission_denied")


def test_me_says_who_and_what_one_may(client: Client) -> None:
    user = person("responder")
    body = client.get(ME, headers=bearer(user, "incidents:read", "people:read")).json()
    assert body["username"] == user.username
    assert body["groups"] == ["responder"]
    assert "incidents.respond_incident" in body["permissions"]
    assert body["scopes"] == ["incidents:read", "people:read"]


def test_without_the_permission_one_sees_only_oneself(client: Client) -> None:
    lonely, colleague = person(), person("viewer")
    assert [row["id"] for row in client.get(USERS, headers=bearer(lonely)).json()["results"]] == [lonely.pk]
    assert is_problem(client.get(f"{USERS}{colleague.pk}/", headers=bearer(lonely)), 404, "not_found")
    assert client.get(f"{USERS}{lonely.pk}/", headers=bearer(colleague)).status_code == 200
