"""Looking at sources, periodically and under failure; editing by compare-and-set; who may."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.catalog.models import Change
from apps.engine.models import Event
from apps.engine.sweeping import run_sweeper
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from apps.foundation.subjects import Subject, is_visible, subject_title, subject_url
from apps.state import operations
from apps.state.live import LiveUnreachable
from apps.state.models import ConfigVersion
from apps.state.operations.capturing import CAPTURE_TASK
from apps.state.queries import captures_due, document_by_slug
from tests.factories import actor, person, service
from tests.state.conftest import BROKEN, HEALTHY, Source
from tests.state.making import PORTAL, again, at_source, held_here, origins

pytestmark = pytest.mark.django_db


def test_a_capture_keeps_what_is_new_and_tells_it_as_a_change(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    found = operations.capture(document.pk, actor=PORTAL)
    assert operations.capture(document.pk, actor=PORTAL) == found
    change = Change.objects.get(kind="config", author="loot designer")
    assert change.title == f"{document.name} changed by loot designer (version 2 at the source)"
    assert change.service_id == document.service_id
    event = Event.objects.filter(kind="state.captured").latest("id")
    assert (event.subject_kind, event.subject_key) == ("config", str(document.pk))
    assert "content" not in event.payload


def test_what_the_portal_did_itself_is_no_foreign_change(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    operations.restore(document.pk, expected_checksum=None, effect_key="k", reason="off", actor=PORTAL)
    operations.capture(document.pk, actor=PORTAL)
    assert origins(document) == ["observed", "backup", "restored"]
    titles = list(Change.objects.order_by("id").values_list("title", flat=True))
    assert [title.partition(" ")[2].split(" ", 1)[1] for title in titles[1:]] == [
        "changed by loot designer (version 2 at the source)",
        "put back to version 1",
    ]


def test_the_sweeper_looks_when_it_is_time_and_not_before(source: Source) -> None:
    with use_clock(clock := ManualClock(datetime(2026, 5, 4, 12, tzinfo=UTC))):
        document = at_source(source.url, capture_every_seconds=30)
        source.change(BROKEN)
        assert not captures_due(now())
        assert operations.capture_due() == 0
        clock.advance(timedelta(seconds=30))
        assert captures_due(now())
        assert run_sweeper(CAPTURE_TASK) == 1
        assert origins(document) == ["observed", "observed"]
        assert again(document).next_capture_at == now() + timedelta(seconds=30)


def test_captures_write_no_history_unless_something_changed(source: Source) -> None:
    document = at_source(source.url)
    rows = document.history.count()
    for _ in range(3):
        operations.capture(document.pk, actor=PORTAL)
    assert document.history.count() == rows
    source.change(BROKEN)
    operations.capture(document.pk, actor=PORTAL)
    assert document.history.count() == rows + 1


def test_a_failing_capture_stands_on_the_document_until_one_works(source: Source) -> None:
    with use_clock(clock := ManualClock(datetime(2026, 5, 4, 12, tzinfo=UTC))):
        document = at_source(source.url, capture_every_seconds=10)
        source.behave = lambda handler: not handler.send(500, b"Bearer abcdefgh12345 oops")
        clock.advance(timedelta(seconds=10))
        assert operations.capture_due() == 1
        assert "answered 500" in again(document).capture_error
        assert "abcdefgh" not in again(document).capture_error
        source.behave = None
        clock.advance(timedelta(seconds=60))
        assert operations.capture_due() == 1
        assert again(document).capture_error == ""


def test_a_claim_comes_again_by_itself_when_its_process_dies(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    with use_clock(clock := ManualClock(datetime(2026, 5, 4, 12, tzinfo=UTC))):
        document = at_source(source.url, capture_every_seconds=10)
        clock.advance(timedelta(seconds=10))

        def die(handler: Any) -> bool:
            raise ConnectionAbortedError

        source.behave = die
        assert operations.capture_due() == 1
        assert operations.capture_due() == 0
        clock.advance(timedelta(seconds=60))
        assert captures_due(now())
        assert again(document).head_id == document.head_id


def test_a_document_here_is_captured_as_its_head_and_an_empty_one_says_so() -> None:
    document = held_here()
    assert operations.capture(document.pk, actor=PORTAL) == document.head
    empty = held = operations.create_document(slug="e", name="E", service_id=service("X").pk, actor=PORTAL)
    with pytest.raises(Conflict) as refused:
        operations.capture(empty.pk, actor=PORTAL)
    assert refused.value.code == "config_empty"
    assert document_by_slug("e") == held
    assert document_by_slug("nothing") is None


def test_an_edit_at_a_source_is_written_and_read_back(source: Source) -> None:
    document = at_source(source.url)
    made = operations.edit_config(
        document.pk, BROKEN, expected_revision=document.revision, note="more loot", effect_key="e1", actor=PORTAL
    )
    assert (made.origin, source.document, source.keys) == ("applied", BROKEN, ["e1"])
    again_ = operations.edit_config(document.pk, {}, expected_revision=1, effect_key="e1", actor=PORTAL)
    assert again_ == made
    assert len(source.puts) == 1


def test_an_edit_at_a_source_that_changed_meanwhile_is_refused_and_the_change_kept(source: Source) -> None:
    document = at_source(source.url)
    source.change(BROKEN)
    with pytest.raises(Conflict) as refused:
        operations.edit_config(document.pk, {"a": 1}, expected_revision=document.revision, actor=PORTAL)
    assert refused.value.code == "config_changed"
    assert not source.puts
    assert again(document).head != document.head


def test_an_edit_of_a_source_that_is_down_changes_nothing(source: Source) -> None:
    document = at_source(source.url)
    source.shutdown()
    source.server_close()
    with pytest.raises(LiveUnreachable):
        operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    assert origins(document) == ["observed"]
    assert again(document).capture_error


def test_the_same_content_again_changes_nothing() -> None:
    document = held_here()
    same = operations.edit_config(document.pk, HEALTHY, expected_revision=document.revision, actor=PORTAL)
    assert same == document.head
    assert again(document).revision == document.revision


def test_a_baseline_must_verify_and_obey_the_schema() -> None:
    document = held_here()
    operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    bad = again(document).head
    assert bad is not None
    strict: Any = {"properties": {"economy": {"properties": {"drop_rate": {"maximum": 0.2}}}}}
    operations.edit_document(document.pk, schema=strict, actor=PORTAL)
    with pytest.raises(Conflict) as refused:
        operations.set_baseline(document.pk, bad.pk, reason="x", actor=PORTAL)
    assert refused.value.code == "not_a_baseline"
    ConfigVersion.objects.filter(pk=bad.pk).update(content={"a": 1})
    with pytest.raises(Conflict, match="does not verify"):
        operations.set_baseline(document.pk, bad.pk, reason="x", actor=PORTAL)
    with pytest.raises(Invalid):
        operations.set_baseline(document.pk, bad.pk, reason=" ", actor=PORTAL)


def test_a_backup_goes_back_also_where_it_breaks_the_schema() -> None:
    document = held_here()
    operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    strict: Any = {"properties": {"economy": {"properties": {"drop_rate": {"maximum": 0.2}}}}}
    operations.edit_document(document.pk, schema=strict, actor=PORTAL)
    done = operations.restore(document.pk, expected_checksum=None, effect_key="k", reason="off", actor=PORTAL)
    undone = operations.restore(
        document.pk, version_id=done.backup.pk, expected_checksum=None, effect_key="undo", reason="undo", actor=PORTAL
    )
    assert undone.version.content == BROKEN


def test_each_verb_asks_for_its_permission_or_the_lead() -> None:
    document, responder, stranger = held_here(), actor(person("responder")), actor(person())
    verbs: list[Any] = [
        lambda who: operations.capture(document.pk, actor=who),
        lambda who: operations.edit_config(document.pk, None, expected_revision=0, actor=who),
        lambda who: operations.edit_document(document.pk, slug="\x00", actor=who),
        lambda who: operations.set_baseline(document.pk, 0, reason="", actor=who),
    ]
    for verb in verbs:
        with pytest.raises(Forbidden):
            verb(responder)
        with pytest.raises(NotFound):
            verb(stranger)
    with pytest.raises(Forbidden):
        operations.create_document(slug="x", name="X", service_id=document.service_id, actor=responder)


def test_the_subject_is_titled_linked_and_seen_by_who_may() -> None:
    document = held_here()
    subject = Subject("config", str(document.pk))
    assert subject_title(subject) == document.name
    assert str(document.pk) in subject_url(subject)
    assert is_visible(subject, person("viewer"))
    assert not is_visible(subject, person())


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_edits_at_once_one_wins_and_one_is_told() -> None:
    document = held_here()

    def run(number: int) -> str:
        try:
            operations.edit_config(document.pk, {"n": number}, expected_revision=document.revision, actor=PORTAL)
        except DomainError as refused:
            return f"{refused.http_status} {refused.code}"
        else:
            return "won"
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(run, range(2))) == ["409 config_changed", "won"]
    assert origins(document) == ["edited", "edited"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_look_that_was_overtaken_does_not_bring_the_past_back(source: Source) -> None:
    document = at_source(source.url)

    def dawdle(handler: Any) -> bool:
        old = b'{"version": 1, "document": {"economy": {"drop_rate": 1}}}'
        source.behave = None
        source.change(BROKEN)
        operations.capture(document.pk, actor=PORTAL)
        connection.close()
        handler.send(200, old)
        return True

    source.behave = dawdle
    found = operations.capture(document.pk, actor=PORTAL)
    assert (found.content, found) == (BROKEN, again(document).head)
    assert origins(document) == ["observed", "observed"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_sweepers_at_once_look_once(source: Source) -> None:
    document = at_source(source.url, capture_every_seconds=10)
    asked = source.gets
    operations.edit_document(document.pk, capture_every_seconds=20, actor=PORTAL)  # due at once

    def run(_: int) -> int:
        try:
            return operations.capture_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4))) == 1
    assert source.gets == asked + 1
