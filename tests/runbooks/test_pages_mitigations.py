"""Buttons: made and granted on their admin page, pressed over the API, and seen by those who may."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.incidents.models import Incident
from apps.runbooks.models import Execution, Mitigation, MitigationUserPermission
from apps.runbooks.operations.grants import grant_mitigation
from tests.factories import bearer, named
from tests.runbooks.page_world import SYSTEM, World, command, get, of_incident, post, world

pytestmark = pytest.mark.django_db
LIST = "/admin/runbooks/mitigation/"
API = "/api/v1/mitigations/"


@pytest.fixture
def here(db: None) -> World:
    return world()


def form(here: World, **other: Any) -> dict[str, Any]:
    inlines = {
        f"{name}-{field}": value
        for name in ("mitigationuserpermission_set", "mitigationgrouppermission_set")
        for field, value in (("TOTAL_FORMS", "0"), ("INITIAL_FORMS", "0"))
    }
    named_fields = {"name": "Soft", "slug": "soft", "description": "", "runbook": here.runbook.pk, "position": "3"}
    return {**inlines, **named_fields, "parameters": '{"mode": "soft"}', **other}


def send(user: Any, path: str, body: Any) -> Any:
    return Client().post(path, body, content_type="application/json", headers=bearer(user))


def test_a_manager_makes_a_button_and_grants_it_to_one_person(here: World) -> None:
    mia, rob = named("mia", "manager"), named("rob", "responder")
    permission = Permission.objects.get(codename="use_mitigation")
    prefix = "mitigationuserpermission_set"
    granted = {f"{prefix}-TOTAL_FORMS": "1", f"{prefix}-0-user": rob.pk, f"{prefix}-0-permission": permission.pk}
    assert post(mia, f"{LIST}add/", **form(here, **granted)).status_code == 302
    made = Mitigation.objects.get(slug="soft")
    assert (made.parameters, made.position) == ({"mode": "soft"}, 3)
    assert MitigationUserPermission.objects.get().user == rob
    assert f"use/{made.pk}/" in get(rob, command(here)).content.decode()
    assert f"use/{here.button.pk}/" not in get(rob, command(here)).content.decode()


@pytest.mark.parametrize("parameters", ['{"mode": "wild"}', '{"other": 1}', "[1]", "{", '{"area": "\\u0000"}'])
def test_parameters_that_do_not_fit_are_refused(here: World, parameters: str) -> None:
    mia = named("mia", "manager")
    assert post(mia, f"{LIST}add/", **form(here, parameters=parameters)).status_code in {200, 302}
    assert not Mitigation.objects.filter(slug="soft").exists()


def test_an_edit_and_a_deletion_go_through_operations(here: World) -> None:
    mia = named("mia", "manager")
    path = f"{LIST}{here.button.pk}/"
    answer = post(mia, f"{path}change/", **form(here, name="Renamed", parameters="{}"))
    here.button.refresh_from_db()
    assert answer.status_code == 302
    assert (here.button.name, here.button.slug) == ("Renamed", "economy-back")
    post(mia, f"{path}delete/", post="yes")
    assert not Mitigation.objects.exists()


def test_viewers_read_buttons_and_change_none(here: World) -> None:
    path = f"{LIST}{here.button.pk}/change/"
    assert get(here.vic, LIST).status_code == get(here.vic, path).status_code == 200
    assert post(here.vic, path, **form(here)).status_code == 403
    assert post(here.vic, f"{LIST}add/", **form(here)).status_code == 403


def test_a_granted_responder_may_press_and_steer_what_they_began(transactional_db: None) -> None:
    here = world(approval="none")
    rob = named("rob", "responder")
    assert post(rob, of_incident(here, f"use/{here.button.pk}/"), reason="x").status_code == 403
    grant_mitigation(here.button.pk, "use_mitigation", user_id=rob.pk, actor=SYSTEM)
    assert post(rob, of_incident(here, f"use/{here.button.pk}/"), reason="x").status_code == 302
    execution = Execution.objects.get()
    assert execution.state == "running"
    assert f"/{execution.pk}/cancel/" in get(rob, f"/admin/runbooks/execution/{execution.pk}/change/").content.decode()


def test_the_api_lists_and_shows_buttons(here: World) -> None:
    rows = Client().get(API, headers=bearer(here.vic)).json()["results"]
    assert [row["slug"] for row in rows] == ["economy-back"]
    one = Client().get(f"{API}{here.button.pk}/", headers=bearer(here.vic))
    assert one.json()["runbook"] == here.runbook.pk
    assert one["ETag"]
    nobody = named("nobody")
    assert Client().get(API, headers=bearer(nobody)).json()["results"] == []
    assert Client().get(f"{API}{here.button.pk}/", headers=bearer(nobody)).status_code == 404


def test_the_api_presses_a_button_once_for_a_key(here: World) -> None:
    path, body = f"{API}{here.button.pk}/use/", {"incident": here.incident.pk, "reason": "it loses money"}
    sent = {**bearer(here.ana), "Idempotency-Key": "k1"}
    first = Client().post(path, body, content_type="application/json", headers=sent)
    again = Client().post(path, body, content_type="application/json", headers=sent)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert Execution.objects.get().state == first.json()["state"] == "awaiting_approval"


def test_the_api_refuses_who_may_not_before_it_reads_the_body(here: World) -> None:
    assert send(here.vic, f"{API}{here.button.pk}/use/", {"rubbish": 1}).status_code == 403
    assert send(here.ana, f"{API}999999/use/", {"rubbish": 1}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"reason": ""},
        {"reason": "a\x00"},
        {"reason": 1},
        {"reason": "x", "incident": 2**70},
        {"reason": "x", "other": 1},
    ],
)
def test_the_api_tells_what_is_wrong_with_a_body(here: World, body: Any) -> None:
    assert send(here.ana, f"{API}{here.button.pk}/use/", body).status_code == 400
    assert Execution.objects.count() == 0


def test_the_api_hides_a_private_incident(db: None) -> None:
    here = world(visibility="private")
    cy = named("cy", "commander")
    answer = send(cy, f"{API}{here.button.pk}/use/", {"incident": here.incident.pk, "reason": "x"})
    gone = send(cy, f"{API}{here.button.pk}/use/", {"incident": Incident.objects.count() + 9999, "reason": "x"})
    assert answer.status_code == gone.status_code == 404
    assert answer.json()["detail"] == gone.json()["detail"]
