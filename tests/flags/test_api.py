from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Environment, Membership, Service, Team
from apps.catalog.operations import add_dependency
from apps.engine.models import Event
from apps.flags.models import Flag
from apps.flags.operations import kill
from apps.foundation.actor import Actor
from apps.foundation.subjects import Subject
from apps.people.models import User
from tests.factories import actor, bearer, incident, person, service, superuser, team
from tests.flags.conftest import lead, make_flag

pytestmark = pytest.mark.django_db
API = "/api/v1/flags/"
VERBS = ("kill", "bring-back", "disable", "enable")


def send(client: Client, user: User, path: str = "", body: Any = None, method: str = "post", **headers: str) -> Any:
    kwargs = {} if method == "get" else {"data": {} if body is None else body, "content_type": "application/json"}
    return getattr(client, method)(f"{API}{path}", headers={**bearer(user), **headers}, **kwargs)


def new(production: Environment, core: Team, **given: Any) -> dict[str, Any]:
    texts = {"name": "Payments", "blast_radius": "Nobody can pay.", "rollback_expectation": "Comes back at once."}
    return {"key": "payments", "environment": production.pk, "owner": core.pk, **texts, **given}


def test_a_manager_makes_a_flag_and_anybody_reads_it(
    client: Client, production: Environment, core: Team, checkout: Service
) -> None:
    made = send(client, person("manager"), body=new(production, core, services=[checkout.pk]))
    assert (made.status_code, made.json()["state"], made.json()["environment"]) == (201, "on", "production")
    read = send(client, person("viewer"), f"{made.json()['id']}/", method="get")
    assert read.json() == made.json()
    assert read.json()["services"] == [checkout.pk]


def test_a_new_flag_may_demand_a_second_person(client: Client, production: Environment, core: Team) -> None:
    made = send(client, person("manager"), body=new(production, core, needs_approval=True))
    assert (made.status_code, made.json()["needs_approval"]) == (201, True)
    answer = send(client, person("manager"), f"{made.json()['id']}/disable/", {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "approval_needed")


def test_a_lead_makes_flags_for_their_team_only(client: Client, production: Environment, core: Team) -> None:
    user, other = lead(core), team("Other")
    assert send(client, user, body=new(production, core)).status_code == 201
    assert send(client, user, body=new(production, other, key="x")).status_code == 403


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_others_are_refused_before_their_body_is_read(client: Client, flag: Flag, group: str) -> None:
    user = person(group)
    assert send(client, user, body={"nonsense": 1}).status_code == 403
    assert send(client, user, f"{flag.pk}/", {"nonsense": 1}, "patch").status_code == 403
    if group != "commander":
        assert {send(client, user, f"{flag.pk}/{verb}/", {"nonsense": 1}).status_code for verb in VERBS} == {403}


def test_every_verb_does_what_it_says_and_a_repeat_nothing(client: Client, flag: Flag) -> None:
    user = person("manager")
    for verb, state in zip((*VERBS[:2], *VERBS[2:]), ("killed", "on", "disabled", "on"), strict=True):
        answers = [send(client, user, f"{flag.pk}/{verb}/", {"reason": "a test"}) for _ in range(2)]
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["state"] for answer in answers} == {state}
        assert answers[0].headers["ETag"] == answers[1].headers["ETag"]
    assert Event.objects.filter(subject_kind="flag").exclude(kind="flags.created").count() == 4


def test_what_is_killed_is_not_disabled(client: Client, flag: Flag) -> None:
    kill(flag.pk, reason="x", actor=Actor.system())
    answer = send(client, person("manager"), f"{flag.pk}/disable/", {"reason": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "flag_killed")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"reason": ""},
        {"reason": "a\x00b"},
        {"reason": 7},
        {"reason": None},
        {"reason": "x" * 301},
        {"reason": "x", "more": 1},
        {"reason": "x", "about_kind": "incident"},
        {"reason": "x", "about_key": "7"},
        {"reason": "x", "about_kind": "incident", "about_key": "999999999"},
        {"reason": "x", "about_kind": "incident", "about_key": "9" * 64},
        {"reason": "x", "about_kind": "nothing", "about_key": "1"},
        [],
    ],
)
def test_a_wrong_kill_is_a_400_and_changes_nothing(client: Client, flag: Flag, wrong: Any) -> None:
    answer = send(client, person("commander"), f"{flag.pk}/kill/", wrong)
    assert (answer.status_code, Flag.objects.get().state) == (400, "on")


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "a b"},
        {"key": ".."},
        {"key": "x" * 101},
        {"environment": 2**62},
        {"environment": 999_999},
        {"owner": "core"},
        {"services": [0]},
        {"services": [999_999]},
        {"name": ""},
        {"blast_radius": " "},
        {"state": "killed"},
    ],
)
def test_a_wrong_field_is_named(client: Client, production: Environment, core: Team, wrong: dict[str, Any]) -> None:
    answer = send(client, person("manager"), body=new(production, core, **wrong))
    assert answer.status_code == 400
    assert {error["field"].split(".")[0] for error in answer.json()["errors"]} == set(wrong)


def test_a_key_is_taken_once(client: Client, flag: Flag, core: Team) -> None:
    answer = send(client, person("manager"), body=new(flag.environment, core, key=flag.key))
    assert (answer.status_code, answer.json()["code"]) == (409, "key_taken")


def test_an_edit_changes_what_is_named_under_if_match(client: Client, flag: Flag) -> None:
    user = person("manager")
    tag = send(client, user, f"{flag.pk}/", method="get").headers["ETag"]
    changed = send(client, user, f"{flag.pk}/", {"name": "Pay", "services": []}, "patch", **{"If-Match": tag})
    assert (changed.status_code, changed.json()["name"], changed.json()["version"]) == (200, "Pay", 2)
    assert send(client, user, f"{flag.pk}/", {"name": "No"}, "patch", **{"If-Match": tag}).status_code == 412
    assert send(client, user, f"{flag.pk}/kill/", {"reason": "x"}, **{"If-Match": tag}).status_code == 412


def test_a_flag_is_found_by_what_it_belongs_to(client: Client, flag: Flag, core: Team, checkout: Service) -> None:
    staging = Environment.objects.create(slug="staging", name="Staging", position=2)
    make_flag("other", staging, team("Other"))
    for query in (
        "environment=production",
        f"owner={core.pk}",
        f"service={checkout.pk}",
        f"key={flag.key}",
        "environment=production&state=on",
    ):
        found = send(client, person("viewer"), f"?{query}", method="get").json()["results"]
        assert [row["id"] for row in found] == [flag.pk]
    for odd in ("owner=x", "state=nothing", "service=" + "9" * 40):
        assert send(client, person("viewer"), f"?{odd}", method="get").status_code in (200, 400)


def test_strangers_see_no_flag_and_members_theirs(client: Client, flag: Flag, core: Team) -> None:
    stranger, member = person(), person()
    Membership.objects.create(team=core, user=member)
    assert send(client, stranger, method="get").json()["results"] == []
    for path, method in ((f"{flag.pk}/", "get"), (f"{flag.pk}/preview/", "get"), (f"{flag.pk}/kill/", "post")):
        assert send(client, stranger, path, {"nonsense": 1}, method).status_code == 404
    assert send(client, member, f"{flag.pk}/", method="get").status_code == 200
    assert send(client, member, f"{flag.pk}/kill/", {"reason": "x"}).status_code == 403


def test_what_it_was_killed_for_is_told_only_to_who_may_know(client: Client, flag: Flag) -> None:
    private = incident(visibility="private")
    kill(flag.pk, reason="x", about=Subject("incident", str(private.pk)), actor=actor(superuser()))
    seen = [
        send(client, user, f"{flag.pk}/", method="get").json()["about_key"]
        for user in (person("viewer"), person("auditor"))
    ]
    assert seen == ["", str(private.pk)]


def test_a_commander_kills_for_an_incident(client: Client, flag: Flag) -> None:
    about = {"about_kind": "incident", "about_key": str(incident().pk)}
    answer = send(client, person("commander"), f"{flag.pk}/kill/", {"reason": "double charges", **about})
    assert {name: answer.json()[name] for name in about} == about


def test_a_preview_tells_who_and_what_would_change(client: Client, flag: Flag, checkout: Service) -> None:
    shop = service("Shop")
    add_dependency(shop.pk, checkout.pk, actor=Actor.system())
    found = send(client, person("viewer"), f"{flag.pk}/preview/", method="get").json()
    assert (found["before"], found["after"], found["changes_anything"]) == ("true", "false", True)
    assert ([row["slug"] for row in found["services"]], [row["slug"] for row in found["dependants"]]) == (
        ["checkout"],
        ["shop"],
    )
    assert Flag.objects.get().state == "on"


def test_a_token_needs_its_scope(client: Client, flag: Flag) -> None:
    user = person("manager")
    reading, other = bearer(user, "flags:read"), bearer(user, "catalog:write")
    assert client.get(API, headers=reading).status_code == 200
    assert client.get(API, headers=other).status_code == 403
    answer = client.post(f"{API}{flag.pk}/kill/", {"reason": "x"}, "application/json", headers=reading)
    assert answer.status_code == 403


def test_the_list_costs_the_same_for_many(client: Client, flag: Flag, core: Team, checkout: Service) -> None:
    headers = bearer(person("viewer"))
    client.get(API, headers=headers)
    with CaptureQueriesContext(connection) as one:
        client.get(API, headers=headers)
    for number in range(5):
        make_flag(f"flag{number}", flag.environment, core, checkout)
    with CaptureQueriesContext(connection) as many:
        client.get(API, headers=headers)
    assert len(many) == len(one)
