"""Making integrations and what becomes of their keys: operations, API and admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.alerts.models import Integration, Receipt
from apps.alerts.operations import (
    Settings,
    create_integration,
    pause,
    resume,
    retry_receipt,
    revoke,
    rotate_key,
    update_integration,
)
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
    press(client, f"{ADMIN}{row.pk}/edit/", name="Q", service=api.pk, group_by="@service, team", rate_per_minute="7")
    changed = Integration.objects.get()
    assert (changed.group_by, changed.rate_per_minute) == (["@service", "team"], 7)
    assert Integration.objects.values_list("name", "service").get() == ("Q", api.pk)


@pytest.mark.parametrize("verb", ["pause", "rotate", "revoke"])
def test_buttons_of_the_admin_do_what_they_say_for_managers_only(client: Client, verb: str) -> None:
    row = integration()
    before = ("active", row.key_digest)
    client.force_login(person("responder"))
    press(client, f"{ADMIN}{row.pk}/{verb}/", overlap_seconds="0")
    assert Integration.objects.values_list("state", "key_digest").get() == before
    client.force_login(person("manager"))
    press(client, f"{ADMIN}{row.pk}/{verb}/", overlap_seconds="0")
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


# --- settings and mappings ----------------------------------------------------------------------------------------


def test_settings_are_checked_and_stay_when_they_are_not_given() -> None:
    row = integration()
    update_integration(
        row.pk, name="Q", service_id=None, settings=Settings(rate_per_minute=5, group_by=["@service"]), actor=SYSTEM
    )
    changed = update_integration(row.pk, name="R", service_id=None, actor=SYSTEM)
    assert (changed.name, changed.rate_per_minute, changed.group_by) == ("R", 5, ["@service"])
    with pytest.raises(Invalid) as raised:
        update_integration(row.pk, name="R", service_id=None, settings=Settings(group_by=["@x"]), actor=SYSTEM)
    assert "group_by" in raised.value.fields


def test_the_api_tries_a_mapping_and_saves_it(client: Client) -> None:
    row = integration()
    headers = bearer(person("manager"))
    given = {"mapping": {"title": "event.name"}, "sample": '{"event": {"name": "Disk"}}'}
    tried = client.post(f"{API}{row.pk}/try-mapping/", given, "application/json", headers=headers)
    assert (tried.status_code, tried.json()[0]["title"]) == (200, "Disk")
    wrong = {**given, "mapping": {"title": "event["}}
    refused = client.post(f"{API}{row.pk}/try-mapping/", wrong, "application/json", headers=headers)
    assert [item["field"] for item in refused.json()["errors"]] == ["mapping.title"]
    wanted = {"mapping": given["mapping"]}
    saved = client.put(f"{API}{row.pk}/mapping/", wanted, "application/json", headers=headers)
    assert saved.json()["mapping"] == {"title": "event.name"}
    responder = bearer(person("responder"))
    assert client.put(f"{API}{row.pk}/mapping/", wanted, "application/json", headers=responder).status_code == 403
    assert client.get(f"{API}{row.pk}/load/", headers=responder).json()["taken"] == 0


def test_the_mapping_page_shows_the_result_before_it_can_be_saved(client: Client) -> None:
    row = integration()
    page = f"{ADMIN}{row.pk}/mapping/"
    client.force_login(person("manager"))
    fields = {"sample": '{"a": {"name": "Disk <full>", "tags": "env:prod"}}', "title": "a.name", "labels": "a.tags"}
    assert 'name="save"' not in client.get(page).content.decode()
    tried = client.post(page, {**fields, "try": "1"}).content.decode()
    assert "Disk &lt;full&gt;" in tried
    assert "labels.env" in tried
    assert Integration.objects.get().mapping == {}
    wrong = client.post(page, {**fields, "title": "a.gone", "save": "1"}).content.decode()
    assert "finds nothing here" in wrong
    assert client.post(page, {**fields, "save": "1"}).status_code == 302
    assert Integration.objects.get().mapping == {"title": "a.name", "labels": "a.tags"}
    client.force_login(person("responder"))
    assert client.get(page).status_code == 403


@pytest.mark.parametrize("kind", Integration.Kind.values)
def test_each_kind_shows_its_address_and_something_to_copy(client: Client, kind: str) -> None:
    timed: dict[str, Any] = {"interval_seconds": 60, "grace_seconds": 5} if kind == "heartbeat" else {}
    row = integration(kind, key="secret", **timed)
    client.force_login(person("manager"))
    page = client.get(f"{ADMIN}{row.pk}/change/").content.decode()
    assert page.count("secret") >= 2
    assert "in this minute" in page


def test_the_admin_makes_a_datadog_integration_with_its_mapping(client: Client) -> None:
    client.force_login(person("manager"))
    press(client, f"{ADMIN}new/", name="D", kind="datadog", team=team().pk, service="")
    made = Integration.objects.get()
    assert (made.kind, made.mapping["status"]) == ("generic", "transition")


def test_the_old_key_is_shown_to_go_on_after_a_rotation_with_overlap(client: Client) -> None:
    row = integration()
    client.force_login(person("manager"))
    press(client, f"{ADMIN}{row.pk}/rotate/", overlap_seconds="3600")
    changed = Integration.objects.get()
    assert changed.previous_key_digest == row.key_digest
    assert "works until" in client.get(f"{ADMIN}{row.pk}/change/").content.decode()
