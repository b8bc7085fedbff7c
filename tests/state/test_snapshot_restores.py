"""Chosen entities go back: a dry run that writes nothing, compare-and-set for each, a backup, and an undo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.catalog.models import Change
from apps.engine.models import Event
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.state.entities import leases, operations
from apps.state.entities.comparing import Filter
from apps.state.entities.models import EntityRestore, RestoreItem, Snapshot
from apps.state.entities.operations.writing import advance_restore
from tests import factories
from tests.state.herd import PORTAL, Herd, compared, confirmed, planned, player, running, source_of, taken, worked

pytestmark = pytest.mark.django_db


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(50)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


@pytest.fixture
def snapshot(herd: Herd) -> Snapshot:
    return taken(source_of(herd))


def items(restore: EntityRestore) -> dict[str, RestoreItem]:
    return {item.entity_id: item for item in restore.items.all()}


def duped(herd: Herd, *keys: str) -> None:
    for key in keys:
        herd.change(key, gold=9_999_999)


def test_three_of_a_hundred_go_back_and_exactly_three_change(herd: Herd, snapshot: Snapshot) -> None:
    chosen = ("p000003", "p000020", "p000049")
    duped(herd, *chosen, "p000021")
    before = {key: dict(row) for key, row in herd.rows.items()}
    restore = planned(snapshot, *chosen)
    assert (restore.state, herd.writes) == ("ready", [])
    assert [change["after"] for change in items(restore)["p000003"].changes] == [103]
    done = confirmed(restore)
    assert (done.state, done.restored_count, done.refused_count) == ("done", 3, 0)
    assert {key for key in before if herd.rows[key] != before[key]} == set(chosen)
    assert herd.rows["p000020"]["document"] == player(20)[1]
    assert items(done)["p000003"].backup["gold"] == 9_999_999
    assert Change.objects.filter(source="entities", title__contains="3 put back to snapshot 1").exists()
    assert Event.objects.get(kind="state.entities_restored").payload["reason"] == "dupes"
    assert str(done.history.first().history_change_reason).startswith("dupes")


def test_what_somebody_changed_after_the_look_stays_and_says_why(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000004")
    restore = planned(snapshot, "p000003", "p000004")
    herd.change("p000003", gold=7)
    done = confirmed(restore)
    assert (done.restored_count, done.refused_count) == (1, 1)
    assert "version 3 is live, and version 2 when it was looked at" in items(done)["p000003"].note
    assert herd.rows["p000003"]["document"]["gold"] == 7


def test_a_change_between_reading_and_writing_is_refused_by_the_source(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003")
    restore = planned(snapshot, "p000003")
    herd.before_put = lambda: herd.change("p000003", gold=8)
    done = confirmed(restore)
    assert (done.refused_count, herd.rows["p000003"]["document"]["gold"]) == (1, 8)
    assert "at the very moment" in items(done)["p000003"].note


def test_a_worker_killed_after_the_write_does_not_write_twice(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003")
    restore = planned(snapshot, "p000003")
    operations.confirm_restore(restore.pk, expected_checksum=restore.checksum, reason="dupes", actor=PORTAL)

    dead = leases.claim(EntityRestore, restore.pk)
    assert dead is not None
    sending = {"state": "sending", "backup": herd.rows["p000003"]["document"], "backup_version": 2}
    restore.items.update(**sending)  # its backup was stored, its write arrived, and then it died
    herd.change("p000003", gold=103)
    assert operations.advance(EntityRestore, restore.pk) == 0  # the lease holds
    EntityRestore.objects.filter(pk=restore.pk).update(lease_until=now() - timedelta(seconds=1))
    done = worked(restore)
    assert (done.restored_count, herd.writes) == (1, [])
    with pytest.raises(leases.Lost):
        advance_restore(dead)


def test_a_lost_answer_to_the_write_is_settled_by_reading(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003")
    restore = planned(snapshot, "p000003")
    herd.behave = lambda handler: handler.command == "PUT" and handler.send(500, b"{}") is None
    assert confirmed(restore).restored_count == 1
    assert len(herd.writes) == 1


def test_a_source_that_is_away_is_resumed_with_the_same_key(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003")
    restore = planned(snapshot, "p000003")
    operations.confirm_restore(restore.pk, expected_checksum=restore.checksum, reason="dupes", actor=PORTAL)
    herd.behave = lambda handler: handler.send(503, b"{}") is None
    for _ in range(leases.MOST_ATTEMPTS):
        EntityRestore.objects.filter(pk=restore.pk).update(due_at=now())
        operations.advance(EntityRestore, restore.pk)
    assert EntityRestore.objects.get(pk=restore.pk).state == "failed"
    herd.behave = None
    operations.resume_restore(restore.pk, actor=PORTAL)
    assert worked(restore).restored_count == 1


def test_undoing_puts_the_backups_back_unless_somebody_was_there(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000004")
    done = confirmed(planned(snapshot, "p000003", "p000004"))
    herd.change("p000004", gold=1)
    undone = confirmed(worked(operations.plan_undo(done.pk, actor=PORTAL)))
    assert (undone.restored_count, undone.refused_count) == (1, 1)
    assert [herd.rows[key]["document"]["gold"] for key in ("p000003", "p000004")] == [9_999_999, 1]


def test_a_deleted_entity_comes_back_and_a_new_one_is_never_deleted(herd: Herd, snapshot: Snapshot) -> None:
    del herd.rows["p000003"]
    herd.rows["new"] = {"id": "new", "version": 1, "document": {}}
    done = confirmed(planned(snapshot, "p000003", "new"))
    assert herd.rows["p000003"]["document"] == player(3)[1]
    assert "the portal deletes nothing" in items(done)["new"].note


def test_nothing_to_do_is_over_at_once(herd: Herd, snapshot: Snapshot) -> None:
    restore = planned(snapshot, "p000003")
    assert (restore.state, items(restore)["p000003"].state, herd.writes) == ("done", "unchanged", [])


def test_what_a_filter_finds_goes_back(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000005")
    herd.change("p000007", gold=108)
    diff = compared(snapshot, taken(snapshot.source))
    chosen = Filter(path="gold", delta=1000.0)
    done = confirmed(worked(operations.plan_restore_of_diff(diff.pk, chosen, actor=PORTAL)))
    assert (done.restored_count, herd.rows["p000007"]["document"]["gold"]) == (2, 108)
    assert "moved by more than 1000" in done.chosen


def test_confirming_needs_a_reason_the_right_dry_run_and_the_permission(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003")
    restore = planned(snapshot, "p000003")
    right = {"expected_checksum": restore.checksum}
    with pytest.raises(Invalid, match="reason"):
        operations.confirm_restore(restore.pk, **right, reason=" ", actor=PORTAL)
    with pytest.raises(Conflict, match="not the dry run"):
        operations.confirm_restore(restore.pk, expected_checksum="0" * 64, reason="dupes", actor=PORTAL)
    viewer = factories.actor(factories.named("somebody", "viewer"))
    with pytest.raises(Forbidden, match="restore_entitysource"):
        operations.confirm_restore(restore.pk, **right, reason="dupes", actor=viewer)
    assert confirmed(restore).restored_count == 1
    again = operations.confirm_restore(restore.pk, **right, reason="again", actor=PORTAL)
    assert (again.reason, again.state, len(herd.writes)) == ("dupes", "done", 1)


# --- a source in trouble, and a restore that is stopped -------------------------------------------------------------


def tried(restore: EntityRestore, times: int = leases.MOST_ATTEMPTS) -> EntityRestore:
    """The restore after so many attempts, without the pauses between."""
    for _ in range(times):
        EntityRestore.objects.filter(pk=restore.pk).update(due_at=now())
        operations.advance(EntityRestore, restore.pk)
    return EntityRestore.objects.get(pk=restore.pk)


def begun(restore: EntityRestore) -> EntityRestore:
    return operations.confirm_restore(restore.pk, expected_checksum=restore.checksum, reason="dupes", actor=PORTAL)


@pytest.mark.parametrize("status", [503, 429])
def test_a_write_that_did_not_happen_is_sent_again_with_its_key(herd: Herd, snapshot: Snapshot, status: int) -> None:
    duped(herd, "p000003")
    restore = begun(planned(snapshot, "p000003"))
    herd.refuse = lambda key: status
    assert items(tried(restore, 2))["p000003"].state == "sending"
    herd.refuse = None
    assert tried(restore, 2).restored_count == 1
    assert (len(herd.writes), len(set(herd.writes))) == (3, 1)


def test_one_entity_that_the_source_fails_for_is_refused_and_the_others_go_on(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000004", "p000005")
    restore = begun(planned(snapshot, "p000003", "p000004", "p000005"))
    herd.refuse = lambda key: 500 if key == "p000003" else None
    assert {key: item.state for key, item in items(tried(restore, 1)).items()} == {
        "p000003": "sending", "p000004": "restored", "p000005": "restored",
    }  # fmt: skip
    done = tried(restore, leases.MOST_ATTEMPTS + 1)
    assert (done.state, done.restored_count, done.refused_count) == ("done", 2, 1)
    assert "Tried 6 times" in items(done)["p000003"].note


def test_one_entity_that_breaks_the_protocol_is_refused_alone(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000004")
    restore = begun(planned(snapshot, "p000003", "p000004"))
    herd.rows["p000003"]["version"] = None
    done = worked(restore)
    assert (done.state, done.restored_count, done.refused_count) == ("done", 1, 1)
    assert "without a version" in items(done)["p000003"].note


def test_a_stopped_restore_begins_nothing_more_and_settles_what_was_on_its_way(herd: Herd, snapshot: Snapshot) -> None:
    duped(herd, "p000003", "p000004")
    restore = begun(planned(snapshot, "p000003", "p000004"))
    worker = leases.claim(EntityRestore, restore.pk)
    assert worker is not None
    backup = {"state": "sending", "backup": herd.rows["p000003"]["document"], "backup_version": 2}
    restore.items.filter(entity_id="p000003").update(**backup)
    operations.stop_restore(restore.pk, actor=PORTAL)
    with pytest.raises(leases.Lost):
        advance_restore(worker)
    done = worked(operations.stop_restore(restore.pk, actor=PORTAL))
    assert {key: item.state for key, item in items(done).items()} == {"p000003": "restored", "p000004": "refused"}
    assert (done.state, herd.rows["p000004"]["document"]["gold"]) == ("done", 9_999_999)
