"""The catalog over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Change, Membership, Service, Team
from apps.catalog.operations import add_dependency, grant_service
from apps.foundation.actor import Actor
from apps.people.models import User
from tests.factories import bearer, person, service, team

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.catalog.urls")]
API = "/api/v1/"
LISTS = ["teams", "memberships", "environments", "services", "dependencies", "changes"]


def call(user: User, method: str, path: str, body: Any = None, scopes: tuple[str, ...] = (), **headers: str) -> Any:
    verb = getattr(Client(), method)
    known = {**bearer(user, *scopes), **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is None:
        return verb(f"{API}{path}/", headers=known)
    return verb(f"{API}{path}/", body, content_type="application/json", headers=known)


def lead(core: Team) -> User:
    user = person("responder")
    Membership.objects.create(team=core, user=user, role="lead")
    return user


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "manager", "approver", "auditor"])
def test_every_group_reads_every_list(group: str) -> None:
    service("api")
    user = person(group)
    assert [call(user, "get", name).status_code for name in LISTS] == [200] * 6
    assert Client().get(f"{API}teams/").status_code == 401


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_others_than_managers_and_leads_write_nothing(group: str) -> None:
    api = service("api")
    user = person(group)
    writes = [
        ("post", "teams", {"slug": "x", "name": "X"}),
        ("patch", f"teams/{api.owner_id}", {"name": "x"}),
        ("delete", f"teams/{api.owner_id}", None),
        ("post", "memberships", {"team": api.owner_id, "user": user.pk}),
        ("post", "environments", {"slug": "x", "name": "X"}),
        ("post", "services", {"slug": "x", "name": "X", "owner": api.owner_id}),
        ("patch", f"services/{api.pk}", {"name": "x"}),
        ("delete", f"services/{api.pk}", None),
        ("post", "dependencies", {"service": api.pk, "depends_on": service("db").pk}),
    ]
    assert [call(user, *write).status_code for write in writes] == [403] * len(writes)


def test_a_manager_makes_changes_and_deletes() -> None:
    boss = person("manager")
    made = call(boss, "post", "teams", {"slug": "core", "name": "Core", "time_zone": "Europe/Berlin"})
    assert made.status_code == 201
    core = made.json()["id"]
    production = call(boss, "post", "environments", {"slug": "production", "name": "Production"}).json()["id"]
    body = {"slug": "api", "name": "API", "owner": core, "environments": [production], "criticality": "critical"}
    api = call(boss, "post", "services", body).json()
    assert (api["environments"], api["criticality"]) == ([production], "critical")
    changed = call(boss, "patch", f"services/{api['id']}", {"environments": [], "policy_pack": None}).json()
    assert (changed["environments"], changed["name"]) == ([], "API")
    assert call(boss, "delete", f"teams/{core}").status_code == 409
    assert call(boss, "delete", f"services/{api['id']}").status_code == 204
    assert call(boss, "delete", f"teams/{core}").status_code == 204


def test_a_lead_edits_their_team_its_members_and_its_services_over_the_api() -> None:
    core, other = team("Core"), team("Other")
    user, foreign = lead(core), service("foreign", other)
    assert call(user, "patch", f"teams/{core.pk}", {"name": "Crew"}).status_code == 200
    assert call(user, "patch", f"teams/{other.pk}", {"name": "Crew"}).status_code == 403
    member = call(user, "post", "memberships", {"team": core.pk, "user": person().pk})
    assert member.status_code == 201
    assert call(user, "delete", f"memberships/{member.json()['id']}").status_code == 204
    made = call(user, "post", "services", {"slug": "api", "name": "API", "owner": core.pk})
    assert made.status_code == 201
    assert call(user, "post", "services", {"slug": "b", "name": "B", "owner": other.pk}).status_code == 403
    assert call(user, "patch", f"services/{made.json()['id']}", {"name": "The API"}).status_code == 200
    assert call(user, "patch", f"services/{foreign.pk}", {"name": "Mine"}).status_code == 403
    needs = {"service": made.json()["id"], "depends_on": foreign.pk}
    stated = call(user, "post", "dependencies", needs)
    assert stated.status_code == 201
    assert call(user, "delete", f"dependencies/{stated.json()['id']}").status_code == 204
    assert call(user, "delete", f"services/{foreign.pk}").status_code == 403


def test_a_grant_for_one_service_is_honoured() -> None:
    api, db, helper = service("api"), service("db"), person("responder")
    grant_service(api.pk, "change_service", user_id=helper.pk, actor=Actor.system())
    assert call(helper, "patch", f"services/{api.pk}", {"name": "x"}).status_code == 200
    assert call(helper, "patch", f"services/{db.pk}", {"name": "x"}).status_code == 403


def test_what_may_not_be_seen_is_not_found() -> None:
    outsider, hidden = person(), service("hidden")
    mine = service("mine", team("Mine", outsider))
    assert [row["slug"] for row in call(outsider, "get", "services").json()["results"]] == ["mine"]
    assert call(outsider, "get", f"services/{mine.pk}").status_code == 200
    assert call(outsider, "get", f"services/{hidden.pk}").status_code == 404
    assert call(outsider, "patch", f"services/{hidden.pk}", {"name": "x"}).status_code == 404
    assert call(outsider, "get", f"teams/{hidden.owner_id}").status_code == 404


def test_the_scope_of_a_token_limits_it() -> None:
    boss, body = person("manager"), {"slug": "x", "name": "X"}
    assert call(boss, "get", "teams", scopes=("incidents:read",)).status_code == 403
    assert call(boss, "post", "teams", body, scopes=("catalog:read",)).status_code == 403
    assert call(boss, "post", "teams", body, scopes=("catalog:write",)).status_code == 201
    assert call(boss, "post", "changes", {"title": "x"}, scopes=("catalog:write",)).status_code == 403
    assert call(boss, "post", "changes", {"title": "x"}, scopes=("changes:write",)).status_code == 201


def test_a_stale_tag_changes_nothing() -> None:
    boss, core = person("manager"), team("Core")
    tag = call(boss, "get", f"teams/{core.pk}")["ETag"]
    assert call(boss, "patch", f"teams/{core.pk}", {"name": "A"}, If_Match=tag).status_code == 200
    assert call(boss, "patch", f"teams/{core.pk}", {"name": "B"}, If_Match=tag).status_code == 412


@pytest.mark.parametrize(
    "body",
    [
        {"slug": "x"},
        {"slug": "Not a slug", "name": "X"},
        {"slug": "x", "name": "X", "owner": True},
        {"slug": "x", "name": "X", "owner": 10**30},
        {"slug": "x", "name": 1, "owner": 1},
        {"slug": "x", "name": "X", "owner": 999},
        {"slug": "x", "name": "X", "owner": 1, "colour": "red"},
        {"slug": "x", "name": "X", "owner": 1, "environments": [999]},
        {"slug": "x", "name": "X", "owner": 1, "environments": "all"},
        {"slug": "x", "name": "X", "owner": 1, "runbook_url": "javascript:x"},
        [],
        "x",
    ],
)
def test_a_wrong_service_is_a_400_that_says_why(body: Any) -> None:
    answer = call(person("manager"), "post", "services", body)
    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert not Service.objects.exists()


def test_a_change_is_recorded_once_per_key() -> None:
    service("api")
    bot = person("responder")
    body = {"title": "API v2", "service": "api", "source": "ci", "dedup_key": "1", "labels": {"commit": "abc"}}
    first, again = (call(bot, "post", "changes", body) for _ in range(2))
    assert (first.status_code, first.json()["id"]) == (201, again.json()["id"])
    assert (first.json()["service"], first.json()["labels"]) == ("api", {"commit": "abc"})
    found = call(bot, "get", "changes", None).json()["results"]
    assert len(found) == Change.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {"title": "x", "service": "nothing"},
        {"title": "x", "environment": "nothing"},
        {"title": "x" * 301},
        {"title": "x", "labels": {"a": 1}},
        {"title": "x", "labels": {str(n): "x" for n in range(51)}},
        {"title": "x", "labels": {"n" * 121: "x"}},
        {"title": "x", "labels": []},
        {"title": "x", "link": "javascript:alert(1)"},
        {"title": "x", "occurred_at": "yesterday"},
        {},
    ],
    ids=str,
)
def test_a_wrong_change_is_a_400_and_records_nothing(body: Any) -> None:
    assert call(person("responder"), "post", "changes", body).status_code == 400
    assert not Change.objects.exists()


def test_a_closure_names_what_is_needed_and_what_needs() -> None:
    web, api, db = service("web"), service("api"), service("db")
    add_dependency(web.pk, api.pk, actor=Actor.system())
    add_dependency(api.pk, db.pk, actor=Actor.system())
    found = call(person("viewer"), "get", f"services/{api.pk}/closure").json()
    assert found["needs"] == [{"service": db.pk, "slug": "db", "distance": 1}]
    assert found["needed_by"] == [{"service": web.pk, "slug": "web", "distance": 1}]


def test_lists_cost_the_same_number_of_queries_for_any_length(django_assert_max_num_queries: Any) -> None:
    core = team("Core")
    for number in range(20):
        service(f"s{number}", core)
    headers = bearer(person("viewer"))
    with django_assert_max_num_queries(12):
        assert len(Client().get(f"{API}services/", headers=headers).json()["results"]) == 20
