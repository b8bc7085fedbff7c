from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Membership, Team
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.oncall.models import Override, RoleBinding, Rotation
from apps.oncall.operations import create_rotation
from apps.people.models import User
from tests.factories import bearer, named, person, team

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def core() -> Team:
    return team("Core")


@pytest.fixture
def rotation(core: Team) -> Rotation:
    people = [named("ana").pk, named("ben").pk]
    return create_rotation(core.pk, "core", "Core primary", member_ids=people, actor=Actor.system())


def send(client: Client, user: User, path: str, body: dict[str, Any] | None = None, method: str = "post") -> Any:
    call = getattr(client, method)
    kwargs = {} if method == "get" else {"data": body or {}, "content_type": "application/json"}
    return call(f"{API}/{path}", headers=bearer(user), **kwargs)


def test_a_manager_makes_a_rotation_and_anybody_reads_it(client: Client, core: Team) -> None:
    body = {
        "team": core.pk,
        "slug": "api",
        "name": "API",
        "time_zone": "Europe/Berlin",
        "handoff_time": "17:30",
        "members": [named("cat").pk],
    }
    made = send(client, person("manager"), "rotations/", body)
    assert made.status_code == 201
    assert made.json()["warnings"] == ["Cat has no verified contact point: pages reach only the inbox of the portal."]
    read = send(client, person("viewer"), f"rotations/{made.json()['id']}/", method="get")
    assert read.json() == {key: value for key, value in made.json().items() if key != "warnings"}
    (layer,) = send(client, person("viewer"), f"layers/?rotation={made.json()['id']}", method="get").json()["results"]
    assert layer["handoff_time"] == "17:30:00"


@pytest.mark.parametrize(
    "wrong",
    [{"handoff_time": "25:00"}, {"handoff_weekday": 7}, {"time_zone": "X"}, {"starts_on": "0001-01-01"}, {"x": 1}],
)
def test_a_wrong_field_is_named(client: Client, core: Team, wrong: dict[str, Any]) -> None:
    answer = send(client, person("manager"), "rotations/", {"team": core.pk, "slug": "x", "name": "X", **wrong})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == list(wrong)


def test_a_responder_may_not_edit_rotations(client: Client, rotation: Rotation) -> None:
    user = person("responder")
    assert send(client, user, f"rotations/{rotation.pk}/", {"name": "X"}, "patch").status_code == 403
    assert send(client, user, f"rotations/{rotation.pk}/", method="delete").status_code == 403


def test_a_lead_edits_the_rotation_of_their_team(client: Client, rotation: Rotation, core: Team) -> None:
    chief = person("viewer")
    Membership.objects.create(team=core, user=chief, role=Membership.Role.LEAD)
    answer = send(client, chief, f"rotations/{rotation.pk}/", {"name": "Renamed"}, "patch")
    assert (answer.status_code, answer.json()["name"]) == (200, "Renamed")


def test_an_edit_of_what_has_changed_is_refused(client: Client, rotation: Rotation) -> None:
    user = person("manager")
    headers = {**bearer(user), "If-Match": '"old"'}
    path = f"{API}/rotations/{rotation.pk}/"
    answer = client.patch(path, {"name": "X"}, content_type="application/json", headers=headers)
    assert answer.status_code == 412


def test_shifts_and_gaps_fill_the_window(client: Client, rotation: Rotation) -> None:
    answer = send(client, person("viewer"), f"rotations/{rotation.pk}/shifts/", method="get")
    shifts = answer.json()["shifts"]
    assert {shift["name"] for shift in shifts} == {"Ana", "Ben"}
    assert answer.json()["gaps"] == []


@pytest.mark.parametrize(
    "query",
    [
        "start=x",
        "start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
        "start=2026-01-01T00:00:00Z&end=2028-01-01T00:00:00Z",
        "start=0001-01-01T00:00:00Z",
        "end=9999-12-31T23:59:59Z",
    ],
)
def test_a_window_that_makes_no_sense_is_refused(client: Client, rotation: Rotation, query: str) -> None:
    answer = send(client, person("viewer"), f"rotations/{rotation.pk}/shifts/?{query}", method="get")
    assert answer.status_code == 400


def test_places_are_added_and_ended(client: Client, rotation: Rotation) -> None:
    user, cat = person("manager"), named("cat")
    made = send(client, user, "rotation-members/", {"layer": rotation.layers.get().pk, "user": cat.pk})
    assert (made.status_code, made.json()["position"]) == (201, 2)
    ended = send(client, user, f"rotation-members/{made.json()['id']}/end/")
    assert ended.status_code == 200
    assert ended.json()["effective_until"] is not None


def test_a_responder_covers_and_cancels(client: Client, rotation: Rotation) -> None:
    user = person("responder")
    body = {
        "rotation": rotation.pk,
        "user": user.pk,
        "starts_at": now().isoformat(),
        "ends_at": (now() + timedelta(days=1)).isoformat(),
    }
    made = send(client, user, "overrides/", body)
    assert made.status_code == 201
    cancelled = send(client, user, f"overrides/{made.json()['id']}/cancel/")
    assert cancelled.json()["cancelled_at"] is not None


@pytest.mark.parametrize(
    "path",
    [
        "rotations",
        "layers",
        "rotation-members",
        "pauses",
        "holiday-calendars",
        "overrides",
        "coverages",
        "swaps",
        "role-bindings",
    ],
)
def test_who_may_not_hears_so_before_the_body_is_looked_at(client: Client, path: str) -> None:
    assert send(client, person("viewer"), f"{path}/", {"nonsense": 1}).status_code == 403
    assert send(client, person("manager"), f"{path}/", {"nonsense": 1}).status_code == 400


def test_a_viewer_covers_nothing(client: Client, rotation: Rotation) -> None:
    user = person("viewer")
    ends = (now() + timedelta(days=1)).isoformat()
    body = {"rotation": rotation.pk, "user": user.pk, "starts_at": now().isoformat(), "ends_at": ends}
    assert send(client, user, "overrides/", body).status_code == 403
    assert not Override.objects.exists()


def test_roles_are_bound_and_taken_back(client: Client, rotation: Rotation, core: Team) -> None:
    user = person("manager")
    body = {"role": "primary", "team": core.pk, "rotation": rotation.pk}
    made = send(client, user, "role-bindings/", body)
    assert made.status_code == 201
    assert send(client, user, "role-bindings/", {"role": "primary"}).status_code == 400
    assert send(client, user, f"role-bindings/{made.json()['id']}/", method="delete").status_code == 204
    assert not RoleBinding.objects.exists()


def test_on_call_now_names_who_and_until_when(client: Client, rotation: Rotation, core: Team) -> None:
    (found,) = send(client, person("viewer"), f"oncall/now/?team={core.pk}", method="get").json()
    assert found["rotation"]["slug"] == "core"
    assert found["user"]["name"] in {"Ana", "Ben"}
    assert found["until"] is not None
    assert send(client, person("viewer"), "oncall/now/?team=x", method="get").status_code == 400


def test_a_token_needs_the_scope(client: Client, rotation: Rotation) -> None:
    user = person("manager")
    headers = bearer(user, "incidents:write")
    assert client.get(f"{API}/oncall/now/", headers=headers).status_code == 403
    reading = bearer(user, "oncall:read")
    assert client.get(f"{API}/rotations/", headers=reading).status_code == 200
    assert client.delete(f"{API}/rotations/{rotation.pk}/", headers=reading).status_code == 403


def test_nobody_reads_without_an_account_or_a_group(client: Client, rotation: Rotation) -> None:
    assert client.get(f"{API}/rotations/").status_code == 401
    assert send(client, person(), "rotations/", method="get").status_code == 403


def test_a_layer_is_added_changed_peopled_and_deleted(client: Client, rotation: Rotation) -> None:
    user, cat = person("manager"), named("cat")
    hours = [{"weekdays": [5, 6], "starts": "22:00", "ends": "06:00"}]
    body = {"rotation": rotation.pk, "name": "Nights", "cadence": "daily", "restrictions": hours}
    made = send(client, user, "layers/", body)
    assert (made.status_code, made.json()["priority"], made.json()["restrictions"][0]["starts"]) == (201, 1, "22:00:00")
    path = f"layers/{made.json()['id']}/"
    assert send(client, user, path, {"every": 2}, "patch").json()["every"] == 2
    assert [row["user"] for row in send(client, user, f"{path}members/", {"members": [cat.pk]}).json()] == [cat.pk]
    assert send(client, user, path, method="delete").status_code == 204


def test_a_pause_is_made_and_ended(client: Client, rotation: Rotation) -> None:
    user = person("manager")
    made = send(client, user, "pauses/", {"rotation": rotation.pk, "reason": "winter break"})
    assert (made.status_code, made.json()["user"]) == (201, None)
    assert send(client, user, f"pauses/{made.json()['id']}/end/").json()["ends_at"] is not None


def test_a_holiday_calendar_tells_its_days(client: Client) -> None:
    body = {"slug": "be", "name": "Berlin", "country": "DE", "subdivision": "BE", "own_days": ["2026-12-24"]}
    made = send(client, person("manager"), "holiday-calendars/", body)
    assert made.status_code == 201
    path = f"holiday-calendars/{made.json()['id']}/days/"
    days = send(client, person("viewer"), f"{path}?year=2026", method="get").json()["days"]
    assert {"2026-03-08", "2026-12-24", "2026-12-25"} <= set(days)
    assert send(client, person("viewer"), f"{path}?year=x", method="get").status_code == 400


def test_extra_people_are_put_on_and_taken_off(client: Client, rotation: Rotation) -> None:
    user, people = person("manager"), [named("cat").pk, named("dan").pk]
    body = {
        "rotation": rotation.pk,
        "users": people,
        "starts_at": now().isoformat(),
        "ends_at": (now() + timedelta(days=1)).isoformat(),
    }
    made = send(client, user, "coverages/", body)
    assert (made.status_code, [row["user"] for row in made.json()]) == (201, people)
    found = send(client, user, f"oncall/now/?team={rotation.team_id}", method="get").json()[0]
    assert [also["name"] for also in found["also"]] == ["Cat", "Dan"]
    assert send(client, user, f"coverages/{made.json()[0]['id']}/cancel/").json()["cancelled_at"] is not None


def test_a_cover_in_the_way_is_named(client: Client, rotation: Rotation) -> None:
    user = person("manager")
    times = {"starts_at": now().isoformat(), "ends_at": (now() + timedelta(days=1)).isoformat()}
    first = send(client, user, "overrides/", {"rotation": rotation.pk, "user": named("cat").pk, **times}).json()
    refused = send(client, user, "overrides/", {"rotation": rotation.pk, "user": named("dan").pk, **times})
    assert (refused.status_code, refused.json()["code"], refused.json()["override"]) == (
        409,
        "override_overlaps",
        first["id"],
    )


def test_a_swap_is_offered_taken_and_given_back(client: Client, rotation: Rotation) -> None:
    ana, taker = rotation.layers.get().members.order_by("position")[0].user, person("responder")
    begins = now() + timedelta(hours=1)
    body = {"rotation": rotation.pk, "user": ana.pk, "starts_at": begins.isoformat()}
    made = send(client, person("manager"), "swaps/", {**body, "ends_at": (begins + timedelta(hours=1)).isoformat()})
    path = f"swaps/{made.json()['id']}"
    assert send(client, taker, f"{path}/take/").json()["taker"] == taker.pk
    assert send(client, taker, f"{path}/give-back/").json()["state"] == "open"
    assert send(client, taker, f"{path}/withdraw/").status_code == 403
