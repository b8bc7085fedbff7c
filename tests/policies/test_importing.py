"""Importing and activating: versions are immutable, repeats change nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.incidents.policy import severities
from apps.policies import operations, queries
from apps.policies.models import PolicyPack, PolicyVersion
from tests.factories import actor, novacron, novacron_text, person, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
SHIPPED = ["liveops", "novacron-v2", "season2-liveops", "sev-playbook", "stonecaster"]
CHANGED = ("target: 5m", "target: 4m")


def test_the_same_text_again_changes_nothing() -> None:
    first = operations.import_pack(novacron_text(), activate=True, actor=SYSTEM)
    events, histories = Event.objects.count(), PolicyPack.history.count()
    again = operations.import_pack(novacron_text().replace("\n", "\r\n"), activate=True, note="other", actor=SYSTEM)
    assert again.pk == first.pk
    assert (Event.objects.count(), PolicyPack.history.count()) == (events, histories)


def test_a_new_text_is_a_new_version_that_waits_for_its_activation() -> None:
    first, second = novacron(), operations.import_pack(novacron_text(CHANGED), note="faster", actor=SYSTEM)
    assert (first.number, second.number, second.note) == (1, 2, "faster")
    assert queries.active_version().pk == first.pk
    operations.activate(second.pk, reason="agreed", actor=SYSTEM)
    assert queries.active_version().pk == second.pk
    assert severities(first.pk).get("P0").clocks.target_seconds == 300
    assert severities(second.pk).get("P0").clocks.target_seconds == 240


def test_activation_keeps_user_and_reason_and_tells_it() -> None:
    boss = person("manager")
    novacron()
    second = operations.import_pack(novacron_text(CHANGED), actor=actor(boss))
    operations.activate(second.pk, reason="agreed in May", actor=actor(boss))
    newest = PolicyPack.history.latest()
    assert (newest.history_user, newest.history_change_reason) == (boss, "version 2: agreed in May")
    event = Event.objects.filter(kind="policies.version_activated").latest("id")
    assert (event.payload["number"], event.payload["previous_number"]) == (2, 1)
    assert second.author == boss


def test_activation_needs_a_reason_and_a_version() -> None:
    with pytest.raises(Invalid):
        operations.activate(novacron().pk, reason="  ", actor=SYSTEM)
    with pytest.raises(NotFound):
        operations.activate(0, reason="x", actor=SYSTEM)


def test_an_old_version_can_be_activated_again() -> None:
    first, second = novacron(), novacron(CHANGED)
    operations.activate(first.pk, reason="back", actor=SYSTEM)
    assert queries.active_version().pk == first.pk != second.pk


def test_a_wrong_text_stores_nothing_and_says_where() -> None:
    with pytest.raises(operations.InvalidPack) as caught:
        operations.import_pack(novacron_text(("SRE, after: 5m", "SRE, after: soon")), actor=SYSTEM)
    assert caught.value.extra["problems"][0]["path"] == "escalation.path[1].after"
    assert "line 1" in caught.value.message
    assert not PolicyPack.objects.exists()


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_only_managers_import_and_activate(group: str) -> None:
    version, outsider = novacron(), actor(person(group))
    with pytest.raises(Forbidden):
        operations.import_pack(novacron_text(CHANGED), actor=outsider)
    with pytest.raises(Forbidden):
        operations.activate(version.pk, reason="x", actor=outsider)


@pytest.mark.parametrize(
    "change", [{"text": "x"}, {"document": {}}, {"number": 9}, {"note": "x"}, {"checksum": "x"}], ids=str
)
def test_the_database_refuses_to_change_a_version(change: dict[str, Any]) -> None:
    version = novacron()
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        PolicyVersion.objects.filter(pk=version.pk).update(**change)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        version.save()


def test_an_account_that_goes_leaves_its_versions() -> None:
    boss = person("manager")
    version = operations.import_pack(novacron_text(), actor=actor(boss))
    boss.delete()
    version.refresh_from_db()
    assert version.author is None


def test_a_version_in_use_cannot_be_deleted() -> None:
    from django.db.models import ProtectedError

    with pytest.raises(ProtectedError):
        novacron().delete()


def test_shipped_packs_are_imported_once_and_never_over_a_choice_of_people() -> None:
    shipped = operations.import_shipped_packs(actor=SYSTEM)
    assert sorted(version.pack.slug for version in shipped) == SHIPPED
    assert queries.active_version() in shipped
    chosen = operations.import_pack(novacron_text(CHANGED), activate=True, note="ours", actor=SYSTEM)
    events = Event.objects.count()
    assert operations.import_shipped_packs(actor=SYSTEM) == shipped
    assert queries.active_version().pk == chosen.pk
    assert (PolicyVersion.objects.count(), Event.objects.count()) == (6, events)


def test_a_newer_shipped_text_follows_an_older_shipped_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    operations.import_shipped_packs(actor=SYSTEM)
    (tmp_path / "e.yaml").write_text(novacron_text(CHANGED), encoding="utf-8")
    monkeypatch.setattr(operations, "_PACKS", tmp_path)
    (newer,) = operations.import_shipped_packs(actor=SYSTEM)
    assert (newer.number, queries.active_version().pk) == (2, newer.pk)


def test_a_stored_text_that_no_longer_fits_the_rules_is_not_activated() -> None:
    pack = novacron().pack
    old = PolicyVersion.objects.create(pack=pack, number=7, text="pack: {}", document={"pack": {}}, checksum="x")
    with pytest.raises(Conflict, match="does not fit"):
        operations.activate(old.pk, reason="x", actor=SYSTEM)


def test_a_service_follows_its_own_pack_then_its_teams_then_the_default() -> None:
    default = novacron()
    other = operations.import_pack(novacron_text(("slug: novacron-v2", "slug: other")), activate=True, actor=SYSTEM)
    core = team("Core")
    assert queries.active_version(core).pk == default.pk
    core.policy_pack = other.pack
    assert queries.active_version(core).pk == other.pk
    assert queries.active_versions([None, other.pack_id]) == {None: default, other.pack_id: other}


def test_many_packs_are_one_query(django_assert_num_queries: Any) -> None:
    default = novacron()
    with django_assert_num_queries(1):
        queries.active_versions([None, default.pack_id])
    severities(default.pk)
    with django_assert_num_queries(0):
        severities(default.pk)


def test_nothing_active_is_told_in_a_sentence() -> None:
    with pytest.raises(NotFound, match="no active version"):
        queries.active_version()
    with pytest.raises(NotFound):
        queries.section(0, "severities")
    with pytest.raises(NotFound, match="no section"):
        queries.section(novacron().pk, "nothing")
