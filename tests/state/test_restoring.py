"""Restoring: at a source and here, repeated, raced, and with everything that a source can do wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from apps.catalog.models import Change
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, NotFound
from apps.state import live, operations
from apps.state.diffs import checksum
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.queries import preview_restore
from tests.factories import actor, person
from tests.state.conftest import BROKEN, HEALTHY, Source, slowly
from tests.state.making import PORTAL, again, at_source, held_here, origins

pytestmark = pytest.mark.django_db


def _restore(document: ConfigDocument, key: str = "run-1", **given: Any) -> operations.Restored:
    given.setdefault("expected_checksum", None)
    return operations.restore(document.pk, effect_key=key, **{"reason": "drop rate is off", "actor": PORTAL, **given})


def test_a_restore_heals_the_source_and_verifies_by_reading_back(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    done = _restore(document, expected_checksum=checksum(BROKEN))
    assert done.changed
    assert source.document == HEALTHY
    assert (done.backup.content, done.backup.source_author) == (BROKEN, "loot designer")
    assert (done.version.restores_id, done.version.source_version) == (document.baseline_id, "3")
    assert again(document).head == done.version
    assert origins(document) == ["observed", "backup", "restored"]


def test_a_repeat_with_the_same_key_does_nothing_again(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    first = _restore(document)
    source.change(BROKEN)  # somebody breaks it once more: the old command must not act on it
    assert _restore(document) == first
    assert len(source.puts) == 1
    assert Event.objects.filter(kind="state.restored").count() == 1


def test_a_lost_attempt_is_repeated_with_the_same_idempotency_key(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)

    def refuse(handler: Any) -> bool:
        handler.send(503, b"{}") if handler.command == "PUT" else handler.show()
        source.document = BROKEN  # it took nothing
        return True

    source.behave = refuse
    with pytest.raises(live.LiveUnreachable):
        _restore(document, expected_checksum=checksum(BROKEN))
    source.behave = None
    done = _restore(document, expected_checksum=checksum(BROKEN))
    assert source.document == HEALTHY
    assert source.keys == ["run-1", "run-1"]
    assert done.changed
    assert origins(document) == ["observed", "backup", "restored"]


def test_a_write_whose_answer_was_lost_counts_when_reading_shows_it(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    source.behave = lambda handler: handler.command == "PUT" and not handler.send(500, b"oops")
    assert _restore(document).changed
    assert again(document).capture_error == ""


def test_a_source_that_changed_since_the_look_is_left_alone(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    with pytest.raises(Conflict) as refused:
        _restore(document, expected_checksum=checksum(HEALTHY | {"more": 1}))
    assert refused.value.code == "config_changed"
    assert not source.puts


def test_a_source_that_changes_between_read_and_write_wins_by_compare_and_set(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    newest = BROKEN | {"hotfix": True}
    source.before_put = lambda: source.change(newest)
    with pytest.raises(Conflict) as refused:
        _restore(document)
    assert refused.value.code == "config_changed"
    assert source.document == newest


def test_a_source_that_is_down_leaves_only_the_error(source: Source) -> None:
    document = at_source(source.url)
    before = origins(document)
    source.shutdown()
    source.server_close()
    with pytest.raises(live.LiveUnreachable) as refused:
        _restore(document)
    assert (refused.value.http_status, refused.value.code) == (502, "source_unreachable")
    assert "EGRESS_ALLOW" in refused.value.message
    assert origins(document) == before
    assert "can't be reached" in again(document).capture_error


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"version": true, "document": {}}',
        b'{"version": 1, "document": []}',
        b'{"version": 1, "document": {"a": "\\u0000"}}',
        b'{"version": 1, "document": {"a": "\\ud800"}}',
        b'{"version": 1, "document": {"a": 1e999}}',
        b'{"version": 1, "document": {"a": ' + b"9" * 30 + b"}}",
        b'{"version": 1, "document": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b'{"version": 1, "document": {"a": "' + b"x" * 3_000_000 + b'"}}',
        b'{"version": "' + b"1" * 100 + b'", "document": {}}',
        b"\xff\xfe",
    ],
    ids=range(13),
)
def test_garbage_from_the_source_is_told_and_not_kept(source: Source, answer: bytes) -> None:
    document = at_source(source.url)
    source.behave = lambda handler: not handler.send(200, answer)
    with pytest.raises(live.LiveUnreachable):
        operations.capture(document.pk, actor=PORTAL)
    assert origins(document) == ["observed"]
    assert again(document).capture_error
    assert preview_restore(again(document)).live is None


def test_a_slow_source_is_not_waited_for(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    document = at_source(source.url)
    monkeypatch.setattr(live, "TIMEOUT_SECONDS", 0.3)
    source.behave = slowly
    with pytest.raises(live.LiveUnreachable, match=r"within 0\.3 s"):
        _restore(document)


def test_a_source_that_takes_it_but_shows_something_else_is_not_believed(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    source.behave = lambda handler: handler.command == "PUT" and bool(source.change(BROKEN))
    with pytest.raises(Conflict) as refused:
        _restore(document)
    assert refused.value.code == "not_verified"
    assert "restored" not in origins(document)


def test_what_is_live_already_is_recorded_without_a_write(source: Source) -> None:
    document = at_source(source.url)
    done = _restore(document, expected_checksum="of something else")
    assert not done.changed
    assert not source.puts


def test_a_tampered_backup_does_not_verify(source: Source) -> None:
    document = at_source(source.url)
    ConfigVersion.objects.filter(pk=document.baseline_id).update(content=BROKEN)
    preview = preview_restore(again(document))
    assert "does not verify" in preview.problems[0]
    with pytest.raises(Conflict) as refused:
        _restore(document)
    assert refused.value.code == "backup_unverified"
    assert not source.puts


def test_without_a_baseline_the_preview_says_so(source: Source) -> None:
    made = at_source(source.url)
    ConfigDocument.objects.filter(pk=made.pk).update(baseline=None)
    assert "no baseline" in preview_restore(again(made)).problems[0]
    with pytest.raises(Conflict) as refused:
        _restore(made)
    assert refused.value.code == "no_baseline"


def test_a_preview_shows_the_diff_and_writes_nothing(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    preview = preview_restore(again(document))
    assert preview.is_needed
    assert preview.changes == [{"path": "economy.drop_rate", "op": "changed", "before": 5, "after": 0.05}]
    assert not preview.problems
    assert origins(document) == ["observed"]
    assert not source.puts


def test_a_probe_finds_out_whether_a_lost_attempt_worked(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    probe: dict[str, Any] = {"version_id": document.baseline_id, "effect_key": "run-1"}
    assert operations.probe_restore(document.pk, **probe) is None
    source.change(HEALTHY, author="portal")
    found = operations.probe_restore(document.pk, **probe)
    assert found is not None
    assert operations.probe_restore(document.pk, **probe) == found
    assert _restore(document) == found


def test_a_source_is_never_asked_inside_a_transaction(source: Source) -> None:
    document = at_source(source.url)
    asked = source.gets
    with transaction.atomic():
        for verb in (
            lambda: _restore(document),
            lambda: operations.capture(document.pk, actor=PORTAL),
            lambda: preview_restore(again(document)),
            lambda: operations.edit_config(document.pk, BROKEN, expected_revision=1, actor=PORTAL),
        ):
            with pytest.raises(RuntimeError):
                verb()
    assert source.gets == asked


def test_a_document_held_here_is_restored_in_the_callers_transaction_once() -> None:
    document = held_here()
    operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    with transaction.atomic():
        first = _restore(document, expected_checksum=checksum(BROKEN))
    assert _restore(document, expected_checksum=checksum(BROKEN)) == first
    assert (first.changed, again(document).head) == (True, first.version)
    assert origins(document) == ["edited", "edited", "backup", "restored"]
    assert Change.objects.filter(kind="config", title__contains="put back").count() == 1


def test_a_key_that_did_something_else_is_refused() -> None:
    document = held_here()
    other = operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    _restore(document)
    with pytest.raises(Conflict) as refused:
        _restore(document, version_id=other.pk)
    assert refused.value.code == "effect_key_reused"


def test_only_holders_of_the_permission_and_leads_restore() -> None:
    document = held_here()
    lead, manager = person("viewer"), person("manager")
    document.service.owner.memberships.create(user=lead, role="lead")
    assert _restore(document, "a", actor=actor(manager)).version.author == manager
    assert _restore(document, "b", actor=actor(lead)).version.author == lead
    with pytest.raises(Forbidden):
        _restore(document, "c", actor=actor(person("responder")))
    with pytest.raises(NotFound):
        _restore(document, "d", actor=actor(person()))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_restores_of_one_document_here_at_once_happen_once_for_a_key() -> None:
    document = held_here()
    operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)

    def run(_: int) -> int:
        try:
            return _restore(document).version.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(run, range(4)))
    assert len(found) == 1
    assert origins(document).count("restored") == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_restores_at_a_source_at_once_write_it_once(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)

    def run(_: int) -> str:
        try:
            return str(_restore(document, actor=Actor.system()).version.pk)
        except Conflict as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(4)))
    assert source.document == HEALTHY
    assert origins(document).count("restored") == 1
    assert len({entry for entry in found if entry.isdecimal()}) == 1


def test_a_write_of_a_lost_attempt_that_lands_after_the_look_counts_as_written(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    source.before_put = lambda: source.change(HEALTHY, "the worker that died")
    done = _restore(document, expected_checksum=checksum(BROKEN))
    assert (source.document, again(document).head) == (HEALTHY, done.version)
    assert (done.changed, done.backup.content) == (True, BROKEN)


def test_a_write_of_somebody_else_that_lands_after_the_look_stays_a_conflict(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    source.before_put = lambda: source.change({**BROKEN, "more": 1})
    with pytest.raises(Conflict, match="changed in the meantime"):
        _restore(document, expected_checksum=checksum(BROKEN))
    assert source.document == {**BROKEN, "more": 1}
