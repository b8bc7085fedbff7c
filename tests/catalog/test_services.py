"""Services, environments and dependencies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from apps.catalog import operations, queries
from apps.catalog.models import Dependency, Membership, Service
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.policies.operations import import_pack
from tests.factories import actor, incident, novacron, novacron_text, person, service, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def chain(*names: str) -> list[Service]:
    """Services of which each needs the next one."""
    core = team("Core")
    made = [service(name, core) for name in names]
    for above, below in pairwise(made):
        operations.add_dependency(above.pk, below.pk, actor=SYSTEM)
    return made


def test_a_service_with_its_environments_is_made_and_changed() -> None:
    core = team("Core")
    staging = operations.create_environment({"slug": "staging", "name": "Staging"}, actor=SYSTEM)
    made = operations.create_service(
        {"slug": "api", "name": "API", "owner_id": core.pk}, environment_ids=[staging.pk], actor=SYSTEM
    )
    assert list(made.environments.all()) == [staging]
    operations.update_service(made.pk, {"criticality": "critical"}, environment_ids=[], actor=SYSTEM)
    made.refresh_from_db()
    assert (made.criticality, made.environments.count()) == ("critical", 0)


@pytest.mark.parametrize(
    ("fields", "environments", "named"),
    [
        ({"slug": "api", "name": "API", "owner_id": 999}, None, "owner"),
        ({"slug": "api", "name": "API"}, None, "owner"),
        ({"slug": "a b", "name": "API"}, None, "slug"),
        ({"slug": "api", "name": "API", "criticality": "huge"}, None, "criticality"),
        ({"slug": "api", "name": "API", "runbook_url": "javascript:alert(1)"}, None, "runbook_url"),
        ({"slug": "api", "name": "API"}, [999], "environments"),
    ],
)
def test_wrong_values_are_told_by_field(fields: Any, environments: list[int] | None, named: str) -> None:
    if named != "owner":
        fields = {**fields, "owner_id": team("Core").pk}
    with pytest.raises(Invalid) as caught:
        operations.create_service(fields, environment_ids=environments, actor=SYSTEM)
    assert named in caught.value.fields
    assert not Service.objects.exists()


def test_a_lead_makes_edits_and_deletes_services_of_their_own_team_only() -> None:
    core, other, user = team("Core"), team("Other"), person("responder")
    Membership.objects.create(team=core, user=user, role="lead")
    lead = actor(user)
    made = operations.create_service({"slug": "api", "name": "API", "owner_id": core.pk}, actor=lead)
    operations.update_service(made.pk, {"name": "The API"}, actor=lead)
    foreign = service("Foreign", other)
    for verb in (
        lambda: operations.create_service({"slug": "x", "name": "X", "owner_id": other.pk}, actor=lead),
        lambda: operations.update_service(foreign.pk, {"name": "x"}, actor=lead),
        lambda: operations.update_service(made.pk, {"owner_id": other.pk}, actor=lead),
        lambda: operations.delete_service(foreign.pk, actor=lead),
        lambda: operations.add_dependency(foreign.pk, made.pk, actor=lead),
    ):
        with pytest.raises(Forbidden):
            verb()
    operations.add_dependency(made.pk, foreign.pk, actor=lead)
    operations.delete_service(made.pk, actor=lead)


def test_a_service_with_an_integration_or_incident_history_is_in_use() -> None:
    environment = operations.create_environment({"slug": "prod", "name": "Production"}, actor=SYSTEM)
    novacron()
    found = incident()
    found.environment = environment
    found.save()
    with pytest.raises(Conflict, match="incident"):
        operations.delete_environment(environment.pk, actor=SYSTEM)


def test_a_dependency_stated_twice_is_one_and_may_change_its_kind() -> None:
    api, db = chain("api", "db")
    again = operations.add_dependency(api.pk, db.pk, actor=SYSTEM)
    assert Dependency.objects.count() == 1
    assert again.history.count() == 1
    assert operations.add_dependency(api.pk, db.pk, kind="soft", actor=SYSTEM).pk == again.pk
    assert again.history.count() == 2
    operations.remove_dependency(again.pk, actor=SYSTEM)
    with pytest.raises(NotFound):
        operations.remove_dependency(again.pk, actor=SYSTEM)


def test_a_service_never_depends_on_itself_or_on_nothing() -> None:
    api = service("api")
    with pytest.raises(Invalid):
        operations.add_dependency(api.pk, api.pk, actor=SYSTEM)
    with pytest.raises(NotFound):
        operations.add_dependency(api.pk, 999, actor=SYSTEM)
    with pytest.raises(Invalid):
        operations.add_dependency(api.pk, service("db").pk, kind="firm", actor=SYSTEM)


def test_closures_reach_up_and_down_with_the_shortest_distance() -> None:
    web, api, db, disk = chain("web", "api", "db", "disk")
    operations.add_dependency(web.pk, db.pk, kind="soft", actor=SYSTEM)
    assert queries.dependency_closure([web.pk]) == {api.pk: 1, db.pk: 1, disk.pk: 2}
    assert queries.dependency_closure([web.pk], hard_only=True) == {api.pk: 1, db.pk: 2, disk.pk: 3}
    assert queries.dependant_closure([disk.pk]) == {db.pk: 1, api.pk: 2, web.pk: 2}
    assert queries.dependency_closure([web.pk, api.pk]) == {db.pk: 1, disk.pk: 2}


def test_a_circle_ends_and_costs_one_query(django_assert_num_queries: Any) -> None:
    a, b, c = chain("a", "b", "c")
    operations.add_dependency(c.pk, a.pk, actor=SYSTEM)
    with django_assert_num_queries(1):
        assert queries.dependency_closure([a.pk]) == {b.pk: 1, c.pk: 2}
    assert queries.dependant_closure([a.pk]) == {c.pk: 1, b.pk: 2}


def test_services_are_found_by_slug_in_one_query(django_assert_num_queries: Any) -> None:
    chain("a", "b")
    with django_assert_num_queries(1):
        found = queries.services_by_slug(["a", "b", "nothing", ""])
        assert {slug: each.owner.name for slug, each in found.items()} == {"a": "Core", "b": "Core"}
    with django_assert_num_queries(0):
        assert queries.services_by_slug([""]) == {}


def test_versions_for_services_follow_service_then_owner_then_default(django_assert_num_queries: Any) -> None:
    default = novacron()
    packs = [
        import_pack(novacron_text(("slug: novacron-v2", f"slug: p{n}")), activate=True, actor=SYSTEM) for n in (1, 2)
    ]
    plain, owned = team("Plain"), team("Owned")
    owned.policy_pack = packs[0].pack
    owned.save()
    services = [service("a", plain), service("b", owned), service("c", owned, policy_pack=packs[1].pack)]
    with django_assert_num_queries(1):
        found = queries.versions_for(services)
    assert [found[each.pk] for each in services] == [default, *packs]


def test_the_history_of_a_service_has_its_environments() -> None:
    staging = operations.create_environment({"slug": "staging", "name": "Staging"}, actor=SYSTEM)
    api = service("api")
    operations.update_service(api.pk, {}, environment_ids=[staging.pk], reason="it runs there", actor=SYSTEM)
    newest = api.history.latest()
    assert [row.environment for row in newest.environments.all()] == [staging]
    assert newest.history_change_reason.startswith("it runs there")
