"""Making integrations and what becomes of their keys: operations, API and admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.alerts.models import Integration, Receipt
from apps.alerts.operations import create_integration, pause, resume, retry_receipt, revoke, rotate_key
from apps.catalog.models import Membership
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.people.crypto import digest
from tests.factories import actor, bearer, integration, person, receipt, service, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
API = "/api/v1/integrations/"
ADMIN = "/admin/alerts/integration/"


def lead_of(some: Any) -> Any:
    user = person("responder")
    Membership.objects.create(team=some, user=user, role="lead")
    return user


def test_a_manager_makes_one_whose_address_opens_it() -> None:
    made, address = create_integration("Prometheus", "alertmanager", team_id=team().pk, actor=actor(person("manager")))
    key = address.rstrip("/").rsplit("/", 1)[1]
    assert (made.key_digest, made.state, "/in/alertmanager/" in address) == (digest(key), "active", True)
    assert key not in made.key_encrypted


def test_a_lead_makes_one_for_the_own_team_only() -> None:
    own = team("Own")
    lead = actor(lead_of(own))
    create_integration("x", "generic", team_id=own.pk, actor=lead)
    with pytest.raises(Forbidden):
        create_integration("x", "generic", team_id=team("Other").pk, actor=lead)


@pytest.mark.parametrize(
    ("name", "kind", "more", "error"),
    [
        ("", "generic", {}, Invalid),
        ("x" * 121, "generic", {}, Invalid),
        ("x", "pager", {}, Invalid),
        ("x", "generic", {"service_id": 99999}, Invalid),
        ("x", "generic", {"team_id": 99999}, NotFound),
    ],
)
def test_wrong_input_is_refused(name: str, kind: str, more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        create_integration(name, kind, **{"team_id": team().pk, "actor": SYSTEM, **more})


def test_a_new_key_replaces_the_old_one_each_time() -> None:
    row = integration()
    seen = {row.key_digest}
    for _ in range(2):
        changed, _address = rotate_key(row.pk, actor=SYSTEM)
        seen.add(changed.key_digest)
    assert len(seen) == 3


def test_states_move_and_repeats_change_nothing() -> None:
    row = integration()
    for verb, state in (
        (pause, "paused"),
        (pause, "paused"),
        (resume, "active"),
        (revoke, "revoked"),
        (revoke, "revoked"),
    ):
        assert verb(row.pk, actor=SYSTEM).state == state
    assert list(row.history.values_list("state", flat=True)) == ["revoked", "active", "paused", "active"]


@pytest.mark.parametrize("verb", [pause, resume, rotate_key])
def test_a_revoked_one_stays_revoked(verb: Any) -> None:
    with pytest.raises(Conflict):
        verb(integration(state="revoked").pk, actor=SYSTEM)


@pytest.mark.parametrize("verb", [pause, resume, revoke, rotate_key])
def test_a_responder_may_not_change_one(verb: Any) -> None:
    with pytest.raises(Forbidden):
        verb(integration().pk, actor=actor(person("responder")))


def test_neither_key_nor_digest_is_in_the_history() -> None:
    made, _ = create_integration("x", "generic", team_id=team().pk, actor=SYSTEM)
    columns = {field.name for field in made.history.model._meta.get_fields()}
    assert not columns & {"key_digest", "key_encrypted"}


def test_a_rejected_receipt_is_handled_again_and_a_done_one_is_not() -> None:
    row = receipt(integration(), b"x", state="rejected", error="why")
    responder = actor(person("responder"))
    assert retry_receipt(row.pk, actor=responder).state == "new"
    assert retry_receipt(row.pk, actor=responder).state == "new"
    Receipt.objects.update(state="done")
    with pytest.raises(Conflict):
        retry_receipt(row.pk, actor=responder)


def test_an_auditor_reads_receipts_but_retries_none() -> None:
    row = receipt(integration(), b"x", state="rejected")
    with pytest.raises(Forbidden):
        retry_receipt(row.pk, actor=actor(person("auditor")))


# --- API ----------------------------------------------------------------------------------------------------------


def test_the_api_shows_the_key_to_managers_only(client: Client) -> None:
    row = integration(key="secret")
    seen = {
        group: client.get(f"{API}{row.pk}/", headers=bearer(person(group))).json()["address"]
        for group in ("viewer", "manager")
    }
    assert "secret" in seen["manager"]
    assert "secret" not in seen["viewer"]


def test_the_api_makes_edits_and_moves_one(client: Client) -> None:
    headers = bearer(person("manager"))
    made = client.post(API, {"name": "P", "kind": "generic", "team": team().pk}, "application/json", headers=headers)
    assert made.status_code == 201
    path = f"{API}{made.json()['id']}/"
    edited = client.patch(path, {"name": "Q"}, "application/json", headers=headers)
    assert (edited.status_code, edited.json()["name"]) == (200, "Q")
    for verb, state in (("pause", "paused"), ("resume", "active"), ("rotate-key", "active"), ("revoke", "revoked")):
        answer = client.post(f"{path}{verb}/", headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (200, state)


def test_the_api_refuses_those_who_may_not(client: Client) -> None:
    row = integration()
    headers = bearer(person("responder"))
    new = {"name": "P", "kind": "generic", "team": 1}
    assert client.post(API, new, "application/json", headers=headers).status_code == 403
    for verb in ("pause", "resume", "rotate-key", "revoke"):
        assert client.post(f"{API}{row.pk}/{verb}/", headers=headers).status_code == 403
    assert client.get(API, headers=bearer(person("manager"), "incidents:read")).status_code == 403
    assert client.get(API).status_code == 401


def test_the_api_lists_receipts_without_bodies_and_retries_one(client: Client) -> None:
    row = receipt(integration(), {"title": 1}, state="rejected", error="title: wrong")
    headers = bearer(person("responder"))
    listed = client.get("/api/v1/receipts/?state=rejected", headers=headers).json()["results"]
    assert [(item["id"], "body" in item) for item in listed] == [(row.pk, False)]
    assert client.get(f"/api/v1/receipts/{row.pk}/", headers=headers).json()["body"] == '{"title": 1}'
    assert client.post(f"/api/v1/receipts/{row.pk}/retry/", headers=headers).json()["state"] == "new"
    assert client.get("/api/v1/receipts/", headers=bearer(person("viewer"))).status_code == 403


# --- admin --------------------------------------------------------------------------------------------------------


def test_the_admin_page_shows_address_and_snippet_to_managers_only(client: Client) -> None:
    row = integration("alertmanager", key="secret")
    page = {}
    for group in ("manager", "viewer"):
        client.force_login(person(group))
        page[group] = client.get(f"{ADMIN}{row.pk}/change/").content.decode()
    assert "/in/alertmanager/secret/" in page["manager"]
    assert "webhook_configs" in page["manager"]
    assert "secret" not in page["viewer"]


def press(client: Client, path: str, **fields: Any) -> Any:
    """Send one of Unfold's dialogs, as its button does."""
    return client.post(path, {"_form_submitted": "True", **fields}, headers={"HX-Request": "true"})


def test_the_admin_makes_one_and_shows_its_address(client: Client) -> None:
    client.force_login(person("manager"))
    answer = press(client, f"{ADMIN}new/", name="P", kind="generic", team=team().pk, service="")
    assert Integration.objects.get().name == "P"
    assert "/in/generic/" in client.get(answer.headers["HX-Redirect"]).content.decode()


def test_the_admin_edits_one(client: Client) -> None:
    row, api = integration(), service("api")
    client.force_login(person("manager"))
    press(client, f"{ADMIN}{row.pk}/edit/", name="Q", service=api.pk)
    assert Integration.objects.values_list("name", "service").get() == ("Q", api.pk)


@pytest.mark.parametrize("verb", ["pause", "rotate", "revoke"])
def test_buttons_of_the_admin_do_what_they_say_for_managers_only(client: Client, verb: str) -> None:
    row = integration()
    before = ("active", row.key_digest)
    client.force_login(person("responder"))
    press(client, f"{ADMIN}{row.pk}/{verb}/")
    assert Integration.objects.values_list("state", "key_digest").get() == before
    client.force_login(person("manager"))
    press(client, f"{ADMIN}{row.pk}/{verb}/")
    assert Integration.objects.values_list("state", "key_digest").get() != before


def test_a_receipt_that_waits_can_be_read_and_handled_again_in_the_admin(client: Client) -> None:
    row = receipt(integration(), {"title": "<b>x</b>"}, state="rejected", error="why")
    client.force_login(person("responder"))
    page = client.get(f"/admin/alerts/receipt/{row.pk}/change/").content.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    press(client, f"/admin/alerts/receipt/{row.pk}/retry/")
    row.refresh_from_db()
    assert row.state == "new"


def test_nothing_of_alerts_can_be_added_or_deleted_by_hand(client: Client) -> None:
    row = integration()
    client.force_login(person("manager"))
    for path in ("integration/add/", "alert/add/", "receipt/add/", f"integration/{row.pk}/delete/"):
        assert client.post(f"/admin/alerts/{path}", {"post": "yes"}).status_code == 403
