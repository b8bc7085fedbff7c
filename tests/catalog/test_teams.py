"""Teams, members and grants."""

from __future__ import annotations

import pytest

from apps.catalog import operations, queries
from apps.catalog.models import Membership, Team
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.people.permissions import user_allowed
from tests.factories import actor, novacron, person, service, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def lead_of(core: Team) -> Actor:
    user = person("responder")
    Membership.objects.create(team=core, user=user, role=Membership.Role.LEAD)
    return actor(user)


def test_a_manager_makes_a_team_and_history_says_who_and_why() -> None:
    boss = person("manager")
    made = operations.create_team({"slug": "core", "name": "Core"}, reason="new", actor=actor(boss))
    first = made.history.get()
    assert (first.history_user, first.history_change_reason) == (boss, f"new ({boss.name})")


def test_the_same_values_again_write_nothing() -> None:
    core = team("Core")
    count = core.history.count()
    operations.update_team(core.pk, {"name": "Core"}, actor=SYSTEM)
    assert core.history.count() == count


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"slug": "Not a slug", "name": "x"}, "slug"),
        ({"slug": "x", "name": ""}, "name"),
        ({"slug": "x", "name": "x", "time_zone": "Mars/Base"}, "time_zone"),
        ({"slug": "x", "name": "x", "policy_pack_id": 999}, "policy_pack"),
        ({"slug": "x", "name": "x", "owner": 1}, "owner"),
    ],
)
def test_wrong_values_are_told_by_field(fields: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid) as caught:
        operations.create_team(fields, actor=SYSTEM)  # type: ignore[arg-type]  # wrong on purpose
    assert named in caught.value.fields


def test_a_taken_slug_is_a_conflict() -> None:
    team("Core")
    with pytest.raises(Conflict) as caught:
        operations.create_team({"slug": "core", "name": "Other"}, actor=SYSTEM)
    assert (caught.value.code, list(caught.value.fields)) == ("taken", ["slug"])


def test_a_team_follows_only_a_pack_with_an_active_version() -> None:
    core, version = team("Core"), novacron()
    operations.update_team(core.pk, {"policy_pack_id": version.pack_id}, actor=SYSTEM)
    version.pack.active_version = None
    version.pack.save()
    with pytest.raises(Invalid):
        operations.create_team({"slug": "x", "name": "X", "policy_pack_id": version.pack_id}, actor=SYSTEM)


def test_a_lead_edits_their_own_team_and_no_other() -> None:
    core, other = team("Core"), team("Other")
    lead = lead_of(core)
    assert operations.update_team(core.pk, {"name": "Core crew"}, actor=lead).name == "Core crew"
    with pytest.raises(Forbidden):
        operations.update_team(other.pk, {"name": "Mine"}, actor=lead)
    with pytest.raises(Forbidden):
        operations.delete_team(core.pk, actor=lead)
    with pytest.raises(Forbidden):
        operations.create_team({"slug": "x", "name": "X"}, actor=lead)


def test_a_member_edits_nothing() -> None:
    member = person("responder")
    core = team("Core", member)
    with pytest.raises(Forbidden):
        operations.update_team(core.pk, {"name": "x"}, actor=actor(member))
    with pytest.raises(Forbidden):
        operations.add_member(core.pk, person().pk, actor=actor(member))


def test_a_grant_lets_a_person_edit_one_team() -> None:
    core, other, helper = team("Core"), team("Other"), person("responder")
    operations.grant_team(core.pk, "change_team", user_id=helper.pk, reason="cover", actor=actor(person("manager")))
    operations.update_team(core.pk, {"name": "x"}, actor=actor(helper))
    with pytest.raises(Forbidden):
        operations.update_team(other.pk, {"name": "x"}, actor=actor(helper))
    operations.revoke_team(core.pk, "change_team", user_id=helper.pk, actor=SYSTEM)
    with pytest.raises(Forbidden):
        operations.update_team(core.pk, {"name": "y"}, actor=actor(helper))


def test_a_grant_given_twice_is_one_and_told_once() -> None:
    core, helper = team("Core"), person("responder")
    for _ in range(2):
        operations.grant_team(core.pk, "respond_for_team", user_id=helper.pk, reason="cover", actor=SYSTEM)
    assert Event.objects.filter(kind="catalog.grant_given").count() == 1
    assert user_allowed(helper, "catalog.respond_for_team", core)
    for _ in range(2):
        operations.revoke_team(core.pk, "respond_for_team", user_id=helper.pk, actor=SYSTEM)
    assert Event.objects.filter(kind="catalog.grant_taken").count() == 1


def test_a_grant_to_a_group_reaches_its_people() -> None:
    core, helper = team("Core"), person("responder")
    operations.grant_team(core.pk, "respond_for_team", group="responder", actor=SYSTEM)
    assert user_allowed(helper, "catalog.respond_for_team", core)
    assert not user_allowed(person("viewer"), "catalog.respond_for_team", core)


def test_grants_are_for_managers_and_only_of_known_permissions() -> None:
    core = team("Core")
    user = person()
    with pytest.raises(Forbidden):
        operations.grant_team(core.pk, "change_team", user_id=user.pk, actor=lead_of(core))
    for wrong in ({"permission": "delete_team", "user_id": user.pk}, {"permission": "view_team"}):
        with pytest.raises(Invalid):
            operations.grant_team(core.pk, actor=SYSTEM, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(Invalid):
        operations.grant_team(core.pk, "view_team", group="nobodies", actor=SYSTEM)


def test_a_member_is_added_once_and_gets_another_role() -> None:
    core, user = team("Core"), person("responder")
    lead = lead_of(core)
    first = operations.add_member(core.pk, user.pk, actor=lead)
    assert operations.add_member(core.pk, user.pk, actor=lead).pk == first.pk
    assert operations.add_member(core.pk, user.pk, role="lead", actor=lead).role == "lead"
    assert Event.objects.filter(kind="catalog.member_added").count() == 2
    assert first.history.count() == 2
    operations.remove_member(first.pk, actor=lead)
    assert queries.team_ids_of(user.pk) == set()
    with pytest.raises(NotFound):
        operations.remove_member(first.pk, actor=lead)


def test_an_inactive_account_joins_no_team() -> None:
    gone = person(is_active=False)
    with pytest.raises(Invalid):
        operations.add_member(team("Core").pk, gone.pk, actor=SYSTEM)
    with pytest.raises(Invalid):
        operations.add_member(team("Two").pk, person().pk, role="king", actor=SYSTEM)


def test_a_team_that_owns_something_is_not_deleted() -> None:
    core = team("Core")
    owned = service("Login", core)
    with pytest.raises(Conflict, match="service"):
        operations.delete_team(core.pk, actor=SYSTEM)
    operations.delete_service(owned.pk, actor=SYSTEM)
    operations.delete_team(core.pk, actor=SYSTEM)
    assert not Team.objects.exists()


def test_who_may_not_view_teams_sees_their_own_and_granted_ones() -> None:
    outsider = person()
    mine, granted, _other = team("Mine", outsider), team("Granted"), team("Other")
    operations.grant_team(granted.pk, "respond_for_team", user_id=outsider.pk, actor=SYSTEM)
    assert set(queries.visible_teams(outsider)) == {mine, granted}
    assert queries.visible_teams(person("viewer")).count() == 3
    gone = person("viewer", is_active=False)
    assert not queries.visible_teams(gone).exists()
