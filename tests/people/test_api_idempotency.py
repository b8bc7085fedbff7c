"""A POST with an Idempotency-Key happens once."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from apps.foundation.clock import now
from apps.people.api.idempotency import _claim
from apps.people.crypto import is_keyed_digest
from apps.people.models import ApiToken, ContactPoint, IdempotencyRecord
from apps.people.operations import forget_old_answers
from tests.factories import bearer, person
from tests.people.test_api_authentication import is_problem

pytestmark = [pytest.mark.urls("tests.people.urls")]
TOKENS, POINTS = "/api/v1/tokens/", "/api/v1/contact-points/"
BODY = {"name": "bot", "scopes": ["people:read"]}


def send(client: Client, headers: dict[str, str], key: str = "k1", body: Any = None, url: str = TOKENS) -> Any:
    return client.post(url, body or BODY, "application/json", headers={**headers, "Idempotency-Key": key})


@pytest.mark.django_db
def test_a_repeat_gets_the_stored_answer_and_makes_nothing(client: Client) -> None:
    headers = bearer(person())
    first, again = send(client, headers), send(client, headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ApiToken.objects.filter(name="bot").count() == 1


@pytest.mark.django_db
def test_the_stored_answer_keeps_the_token_sealed(client: Client) -> None:
    text = send(client, bearer(person())).json()["token"]
    assert text not in str(IdempotencyRecord.objects.values().get())


@pytest.mark.django_db
def test_what_is_kept_of_the_body_can_not_be_guessed_without_the_key(client: Client) -> None:
    send(client, bearer(person()))
    kept = IdempotencyRecord.objects.get().request_digest
    told = json.dumps(["POST", TOKENS, BODY], sort_keys=True)
    assert is_keyed_digest(kept, told)
    assert kept != hashlib.sha256(told.encode()).hexdigest()


@pytest.mark.django_db
def test_a_repeat_is_known_again_after_the_secret_key_was_changed(client: Client, settings: Any) -> None:
    headers = bearer(person())
    send(client, headers)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-of-the-portal-that-is-long-enough-for-it"
    assert send(client, headers).headers["Idempotency-Replayed"] == "true"


@pytest.mark.django_db
def test_the_same_key_with_another_body_gets_422(client: Client) -> None:
    headers = bearer(person())
    send(client, headers)
    response = send(client, headers, body={**BODY, "name": "other"})
    assert is_problem(response, 422, "idempotency_key_reused")
    assert not ApiToken.objects.filter(name="other").exists()


@pytest.mark.django_db
def test_keys_belong_to_one_account_and_one_address(client: Client) -> None:
    headers = bearer(person())
    assert send(client, headers).status_code == 201
    assert "Idempotency-Replayed" not in send(client, bearer(person())).headers
    point = {"kind": "email", "address": "a@b.example"}
    assert "Idempotency-Replayed" not in send(client, headers, body=point, url=POINTS).headers


@pytest.mark.django_db
def test_a_refused_request_is_not_stored_and_may_be_repeated(client: Client) -> None:
    headers = bearer(person())
    assert send(client, headers, body={"name": "", "scopes": ["*"]}).status_code == 400
    assert not IdempotencyRecord.objects.exists()
    assert send(client, headers).status_code == 201


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 201, "é"])
def test_a_key_that_is_no_key_gets_400(client: Client, key: str) -> None:
    assert is_problem(send(client, bearer(person()), key=key), 400, "bad_idempotency_key")


@pytest.mark.django_db
def test_answers_are_forgotten_after_a_day(client: Client) -> None:
    headers = bearer(person())
    send(client, headers)
    IdempotencyRecord.objects.update(created_at=now() - timedelta(hours=25))
    assert "Idempotency-Replayed" not in send(client, headers).headers
    assert forget_old_answers(before=now() + timedelta(seconds=1)) == 1
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_same_key_at_once_makes_one_thing_and_the_others_hear_409_or_the_answer() -> None:
    headers = bearer(person())
    answers: list[int] = []
    gate = threading.Barrier(8)

    def call() -> None:
        gate.wait()
        answers.append(
            send(Client(), headers, body={"kind": "email", "address": "a@b.example"}, url=POINTS).status_code
        )
        connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {201, 409}
    assert answers.count(201) >= 1
    assert (ContactPoint.objects.count(), IdempotencyRecord.objects.count()) == (1, 1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_key_that_is_being_worked_on_gets_409_at_once() -> None:
    user = person()
    headers, heard = bearer(user), []
    with transaction.atomic():
        _claim(user.pk, "k1", TOKENS)
        thread = threading.Thread(target=lambda: (heard.append(send(Client(), headers)), connection.close()))
        thread.start()
        thread.join(timeout=10)
    assert is_problem(heard[0], 409, "idempotency_in_flight")
    assert heard[0].headers["Retry-After"] == "1"
    assert send(Client(), headers).status_code == 201
