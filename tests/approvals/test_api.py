"""Approvals over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.people.models import User
from tests.approvals.conftest import Question
from tests.factories import bearer, named, person

pytestmark = pytest.mark.django_db
API = "/api/v1/approvals/"


def send(user: User, path: str = "", body: Any = None, *, method: str = "post", **headers: str) -> Any:
    call = getattr(Client(), method)
    kwargs = {} if method == "get" else {"data": {} if body is None else body, "content_type": "application/json"}
    return call(f"{API}{path}", headers={**bearer(user), **headers}, **kwargs)


def test_a_second_person_approves_by_token(question: Question) -> None:
    request = question.ask()
    read = send(question.aron, f"{request.pk}/", method="get")
    assert (read.json()["state"], read.json()["subject"]["kind"]) == ("pending", "incident")
    answer = send(question.aron, f"{request.pk}/approve/", {"reason": "seen"}, **{"If-Match": read["ETag"]})
    assert (answer.status_code, answer.json()["state"], answer.json()["decided_by"]) == (
        200,
        "approved",
        question.aron.pk,
    )
    stale = send(question.aron, f"{request.pk}/approve/", **{"If-Match": read["ETag"]})
    assert stale.status_code == 412


def test_own_requests_are_refused_also_by_the_token_of_a_service_account(question: Question) -> None:
    owner = named("owner", "commander", "approver")
    robot = named("robot", "approver", kind=User.Kind.SERVICE, owner=owner)
    request = question.ask(by=owner)
    for user in (owner, robot):
        answer = send(user, f"{request.pk}/approve/")
        assert (answer.status_code, answer.json()["code"]) == (403, "own_approval")


@pytest.mark.parametrize("verb", ["approve", "refuse", "withdraw", "bypass"])
def test_who_may_not_hears_so_before_the_body_is_looked_at(question: Question, verb: str) -> None:
    request = question.ask()
    assert send(person("viewer"), f"{request.pk}/{verb}/", {"nonsense": 1}).status_code == 403
    assert send(person("viewer"), f"999999/{verb}/", {"nonsense": 1}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "a\x00b"}, {"reason": 1}, {"reason": "x", "y": 1}, []])
def test_a_bad_refusal_is_a_clear_problem(question: Question, body: Any) -> None:
    answer = send(question.aron, f"{question.ask().pk}/refuse/", body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


def test_a_decision_twice_is_409_and_a_private_thing_404(question: Question) -> None:
    request, other = question.ask(), named("other", "approver")
    assert send(other, f"{request.pk}/refuse/", {"reason": "no"}).json()["state"] == "refused"
    assert send(question.aron, f"{request.pk}/approve/").json()["code"] == "already_decided"
    question.incident.visibility = "private"
    question.incident.save()
    assert send(other, f"{request.pk}/", method="get").status_code == 404
    assert send(other, method="get").json()["results"] == []


def test_the_list_filters_and_costs_the_same_for_many(question: Question) -> None:
    question.ask({"number": 0})
    headers = bearer(question.aron)
    url = f"{API}?waiting=true&subject_kind=incident&subject_key={question.incident.pk}"
    assert len(Client().get(url, headers=headers).json()["results"]) == 1
    assert Client().get(f"{API}?waiting=false", headers=headers).json()["results"] == []
    with CaptureQueriesContext(connection) as one:
        Client().get(API, headers=headers)
    for number in range(6):
        question.ask({"number": number})
    with CaptureQueriesContext(connection) as many:
        Client().get(API, headers=headers)
    assert len(many) == len(one)


def test_a_token_needs_the_scope(question: Question) -> None:
    request = question.ask()
    url = f"{API}{request.pk}/approve/"
    answer = Client().post(url, {}, content_type="application/json", headers=bearer(question.aron, "approvals:read"))
    assert answer.status_code == 403
    answer = Client().post(url, {}, content_type="application/json", headers=bearer(question.aron, "approvals:write"))
    assert answer.status_code == 200
