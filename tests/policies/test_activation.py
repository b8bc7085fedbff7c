"""What activating a version means is told before it is done: who follows, what they lack, what open incidents keep."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.foundation.errors import NotFound
from apps.policies import operations
from apps.policies.activation import outlook
from apps.policies.models import PolicyVersion
from apps.policies.operations import shipped_packs
from apps.policies.queries import active_version
from tests.factories import (
    actor,
    answers_for,
    bearer,
    incident,
    named,
    novacron,
    novacron_text,
    pack,
    person,
    service,
    team,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.policies.urls")]
CHANGED = ("target: 5m", "target: 4m")
BY_TRIGGERS = ("ceo", "pr", "dba", "ciso", "security")
ROLES = ("primary", "secondary", "manager", "vp_engineering", *BY_TRIGGERS, "executive")


def season_2() -> PolicyVersion:
    path = next(path for path in shipped_packs() if path.name.startswith("a-"))
    return pack(path.read_text(encoding="utf-8"))


def cautions(version: PolicyVersion) -> list[str]:
    return [caution.message for caution in outlook(version).cautions]


def test_the_default_pack_is_followed_by_teams_that_name_none() -> None:
    default, other = novacron(), season_2()
    core = team("Core")
    games = team("Games")
    games.policy_pack = other.pack
    games.save()
    service("Shop", owner=core, policy_pack=other.pack)
    assert [follower.name for follower in outlook(default).followers] == ["Core"]
    assert [(each.kind, each.name) for each in outlook(other).followers] == [("team", "Games"), ("service", "Shop")]


def test_a_role_that_means_nobody_in_a_team_that_follows_is_told() -> None:
    version, core, ana = novacron(), team("Core"), named("ana")
    for role in ROLES[:-1]:
        answers_for(role, ana)
    assert cautions(version) == [
        "The role executive of level 5 (Executive team) means nobody in Core: bind it, or nobody is paged there."
    ]
    answers_for("executive", ana, core)
    assert cautions(version) == []


def test_the_owner_of_a_service_that_follows_by_itself_is_checked_too() -> None:
    novacron()
    version = season_2()
    service("Shop", owner=team("Shops"), policy_pack=version.pack)
    assert len(cautions(version)) == 4
    assert all("means nobody in Shops" in line for line in cautions(version))


def test_many_teams_are_told_in_one_sentence() -> None:
    version = novacron()
    for number in range(7):
        team(f"Team {number}")
    assert "Team 0, Team 1, Team 2, Team 3, Team 4 and 2 more" in cautions(version)[0]


def test_a_pack_that_nobody_follows_needs_no_bindings() -> None:
    novacron()
    assert cautions(season_2()) == []


def test_open_incidents_keep_their_version_and_are_counted_by_it() -> None:
    novacron()
    incident("One")
    incident("Two")
    second = novacron(CHANGED)
    incident("Three")
    assert outlook(second).pinned == {2: 1, 1: 2}
    assert (outlook(second).pinned_count, outlook(second, person("viewer")).pinned) == (3, {2: 1, 1: 2})


def test_an_outlook_is_a_constant_number_of_queries(django_assert_max_num_queries: Any) -> None:
    version = novacron()
    for number in range(5):
        service(f"S{number}", policy_pack=version.pack)
    version = PolicyVersion.objects.select_related("pack").get(pk=version.pk)
    with django_assert_max_num_queries(5):
        outlook(version)


def test_the_page_tells_it_before_the_button_and_after() -> None:
    novacron()
    core = team("Core")
    incident("Nobody can pay")
    second = operations.import_pack(novacron_text(CHANGED), actor=actor(person("manager")))
    client = Client()
    client.force_login(person("manager"))
    url = f"/admin/policies/policyversion/{second.pk}/"
    page = client.get(f"{url}change/").content.decode()
    for said in (f">{core.name}</a>", "1 under version 1", "keeps the version", "The role primary of level 1"):
        assert said in page
    done = client.post(f"{url}activate/", {"reason": "agreed"}, follow=True)
    told = [str(message) for message in done.context["messages"]]
    assert told[0].startswith("Active:")
    assert any("The role executive" in line for line in told)


def test_those_who_may_not_activate_get_no_outlook() -> None:
    version = novacron()
    team("Core")
    viewer = person("viewer")
    client = Client()
    client.force_login(viewer)
    assert "Who follows it" not in client.get(f"/admin/policies/policyversion/{version.pk}/change/").content.decode()
    url = f"/api/v1/policy-versions/{version.pk}/outlook/"
    assert Client().get(url, headers=bearer(viewer)).status_code == 403


def test_the_outlook_over_the_api() -> None:
    version = novacron()
    team("Core")
    incident("Nobody can pay")
    url = f"/api/v1/policy-versions/{version.pk}/outlook/"
    found = Client().get(url, headers=bearer(person("manager"))).json()
    assert [follower["name"] for follower in found["followers"]] == ["Core"]
    assert found["pinned"] == [{"number": 1, "open_incidents": 1}]
    assert len(found["cautions"]) == len(ROLES)


def test_a_default_pack_that_is_not_there_is_told_with_those_that_are(settings: Any) -> None:
    novacron()
    settings.DEFAULT_PACK = "nonsense"
    with pytest.raises(NotFound, match=r"'nonsense' has no active version.* set DEFAULT_PACK .*\(novacron-v2\)"):
        active_version()
