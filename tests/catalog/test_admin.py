"""The pages of the catalog."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Dependency, Membership, Service, Team, TeamUserPermission
from apps.catalog.operations import NewChange, record_change
from apps.foundation.actor import Actor
from apps.people.models import User
from tests.factories import person, service, team

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.catalog.urls")]
PAGES = "/admin/catalog/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def rows(prefix: str, *given: dict[str, Any], initial: int = 0) -> dict[str, Any]:
    """The fields of an inline's formset."""
    fields: dict[str, Any] = {
        f"{prefix}-TOTAL_FORMS": len(given),
        f"{prefix}-INITIAL_FORMS": initial,
        f"{prefix}-MIN_NUM_FORMS": 0,
        f"{prefix}-MAX_NUM_FORMS": 1000,
    }
    for number, row in enumerate(given):
        fields |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return fields


def team_form(name: str = "Core", slug: str = "core", *members: dict[str, Any], **more: Any) -> dict[str, Any]:
    fields = {"name": name, "slug": slug, "description": "", "time_zone": "UTC", "email": "", "policy_pack": ""}
    grants = rows("teamuserpermission_set") | rows("teamgrouppermission_set")
    return {**fields, **rows("memberships", *members), **grants, **more}


def service_form(owner: Team, *needs: dict[str, Any], **more: Any) -> dict[str, Any]:
    fields = {"name": "API", "slug": "api", "description": "", "owner": owner.pk, "criticality": "high"}
    fields |= {"policy_pack": "", "runbook_url": "", "dashboard_url": ""}
    grants = rows("serviceuserpermission_set") | rows("servicegrouppermission_set")
    return {**fields, **rows("dependencies", *needs), **rows("dependants"), **grants, **more}


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "manager", "approver", "auditor"])
def test_every_group_opens_every_page(group: str) -> None:
    api = service("api")
    change = record_change(NewChange("deploy", service_id=api.pk), actor=Actor.system())
    client = signed_in(person(group))
    pages = ["team/", "service/", "environment/", "change/", f"change/{change}/change/"]
    pages += [f"team/{api.owner_id}/change/", f"service/{api.pk}/change/", f"service/{api.pk}/history/"]
    assert [client.get(PAGES + page).status_code for page in pages] == [200] * len(pages)


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_others_than_managers_and_leads_change_nothing(group: str) -> None:
    api = service("api")
    client = signed_in(person(group))
    assert client.post(f"{PAGES}team/{api.owner_id}/change/", team_form("Mine")).status_code == 403
    assert client.post(f"{PAGES}service/{api.pk}/change/", service_form(api.owner)).status_code == 403
    assert client.post(f"{PAGES}service/{api.pk}/delete/", {"post": "yes"}).status_code == 403
    assert [client.get(f"{PAGES}{page}/add/").status_code for page in ("team", "service", "environment")] == [403] * 3


def test_a_manager_makes_a_team_with_members_in_one_form() -> None:
    boss, user = person("manager"), person()
    client = signed_in(boss)
    assert client.get(f"{PAGES}team/add/").status_code == 200
    answer = client.post(f"{PAGES}team/add/", team_form("Core", "core", {"user": user.pk, "role": "lead"}))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    made = Team.objects.get()
    assert made.memberships.get().user == user
    assert made.history.get().history_user == boss


def test_the_reason_of_the_form_is_in_the_history() -> None:
    boss, core = person("manager"), team("Core")
    form = team_form("Crew", change_reason="renamed after the move")
    assert signed_in(boss).post(f"{PAGES}team/{core.pk}/change/", form).status_code == 302
    newest = core.history.latest()
    assert (newest.name, newest.history_user) == ("Crew", boss)
    assert newest.history_change_reason.startswith("renamed after the move")


def test_a_lead_edits_their_own_team_and_gives_no_grants() -> None:
    core, other, user = team("Core"), team("Other"), person("responder")
    mine = Membership.objects.create(team=core, user=user, role="lead")
    client, joins = signed_in(user), person()
    kept = {"id": mine.pk, "team": core.pk, "user": user.pk, "role": "lead"}
    form = team_form("Crew", "core", kept, {"user": joins.pk, "role": "member"}, **{"memberships-INITIAL_FORMS": 1})
    grants = rows("teamuserpermission_set", {"user": joins.pk, "permission": 1})
    answer = client.post(f"{PAGES}team/{core.pk}/change/", {**form, **grants})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    core.refresh_from_db()
    assert (core.name, core.memberships.count(), TeamUserPermission.objects.count()) == ("Crew", 2, 0)
    assert client.post(f"{PAGES}team/{other.pk}/change/", team_form("Mine", "other")).status_code == 403


def test_a_manager_gives_and_takes_a_grant_on_the_page() -> None:
    from django.contrib.auth.models import Permission

    boss, helper, core = person("manager"), person("responder"), team("Core")
    permission = Permission.objects.get(codename="respond_for_team")
    grant = rows("teamuserpermission_set", {"user": helper.pk, "permission": permission.pk})
    client, url = signed_in(boss), f"{PAGES}team/{core.pk}/change/"
    assert client.post(url, {**team_form(), **grant}).status_code == 302
    given = TeamUserPermission.objects.get()
    assert (given.user, given.permission) == (helper, permission)
    taken = {"id": given.pk, "content_object": core.pk, "DELETE": "on"}
    assert client.post(url, {**team_form(), **rows("teamuserpermission_set", taken, initial=1)}).status_code == 302
    assert not TeamUserPermission.objects.exists()


def test_a_lead_makes_a_service_for_their_own_team_only() -> None:
    core, other, user = team("Core"), team("Other"), person("responder")
    Membership.objects.create(team=core, user=user, role="lead")
    client, db = signed_in(user), service("db", other)
    assert client.post(f"{PAGES}service/add/", service_form(other)).status_code == 200
    assert not Service.objects.filter(slug="api").exists()
    answer = client.post(f"{PAGES}service/add/", service_form(core))
    assert answer.status_code == 302, answer.content.decode()[:2000]
    made = Service.objects.get(slug="api")
    form = service_form(core, {"service": made.pk, "depends_on": db.pk, "kind": "soft"}, criticality="low")
    assert client.post(f"{PAGES}service/{made.pk}/change/", form).status_code == 302
    assert Dependency.objects.get().depends_on == db
    assert Service.objects.get(pk=made.pk).criticality == "low"
    assert client.post(f"{PAGES}service/{db.pk}/change/", service_form(core)).status_code == 403
    assert client.post(f"{PAGES}service/{made.pk}/delete/", {"post": "yes"}).status_code == 302


def test_environments_of_a_service_are_saved_and_kept_in_its_history() -> None:
    from apps.catalog.models import Environment

    api, production = service("api"), Environment.objects.create(slug="production", name="Production")
    form = service_form(api.owner, environments=[production.pk])
    assert signed_in(person("manager")).post(f"{PAGES}service/{api.pk}/change/", form).status_code == 302
    assert list(api.environments.all()) == [production]


def test_a_refused_delete_is_told_and_deletes_nothing() -> None:
    api = service("api")
    client = signed_in(person("manager"))
    client.post(f"{PAGES}team/{api.owner_id}/delete/", {"post": "yes"})
    assert Team.objects.filter(pk=api.owner_id).exists()


def test_a_service_that_would_need_itself_is_refused_in_the_form() -> None:
    api = service("api")
    needs = {"service": api.pk, "depends_on": api.pk, "kind": "hard"}
    client = signed_in(person("manager"))
    client.post(f"{PAGES}service/{api.pk}/change/", service_form(api.owner, needs), follow=True)
    assert not Dependency.objects.exists()


@pytest.mark.parametrize("page", ["service/", "team/", "change/"])
def test_lists_cost_the_same_number_of_queries_for_any_length(page: str) -> None:
    client, costs = signed_in(person("viewer")), []
    for number in range(12):
        made = service(f"s{number}")
        record_change(NewChange("deploy", service_id=made.pk), actor=Actor.system())
        with CaptureQueriesContext(connection) as queries:
            assert client.get(PAGES + page).status_code == 200
        costs.append(len(queries))
    assert costs[2] == costs[-1]
