"""Sources of entities and configurations that mean ill, over real sockets: refused, told, no deed without a record."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.state import live, operations
from apps.state.entities import operations as entities
from apps.state.entities import protocol
from apps.state.entities.leases import MOST_ATTEMPTS
from apps.state.entities.models import EntityRestore, EntitySource, Job, RestoreItem, Snapshot
from apps.state.models import ConfigVersion
from tests.state.conftest import BROKEN, Source, source
from tests.state.herd import PORTAL, Herd, planned, running, source_of, taken
from tests.state.making import again, at_source, origins

__all__ = ["source"]
pytestmark = pytest.mark.django_db
DUPED = 9_999_999


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(20)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


@pytest.fixture
def inner() -> Iterator[Herd]:
    """What listens on the loopback interface and must never be asked."""
    with running(Herd(20)) as found:
        yield found


def tried(job: Any) -> Any:
    """The job after all its attempts, without the pauses between."""
    for _ in range(MOST_ATTEMPTS + 3):
        type(job).objects.filter(pk=job.pk, state__in=Job.OPEN).update(due_at=now())
        entities.advance(type(job), job.pk)
    return type(job).objects.get(pk=job.pk)


def asked(source_: EntitySource) -> Snapshot:
    return tried(entities.take_snapshot(source_.pk, actor=PORTAL))  # type: ignore[no-any-return]  # a job of any kind


def redirecting(to: str) -> Callable[[Any], bool]:
    def behave(handler: Any) -> bool:
        handler.send(302, b"", more={"Location": f"{to}{handler.path}"})
        return True

    return behave


def endless(handler: Any) -> bool:
    """A page without an end, as fast as it is taken."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/x-ndjson")
    handler.end_headers()
    handler.close_connection = True
    with suppress(OSError):
        while True:
            handler.wfile.write(b'{"id": "p1", "version": 1, "document": {}}\n' * 500)
    return True


def dripping(handler: Any) -> bool:
    """A byte now and then, so that no read of its own takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.close_connection = True
    with suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    return True


def nonsense(handler: Any) -> bool:
    handler.send(200, b'{"id": "p000003", "version": ')
    return True


# --- snapshots ------------------------------------------------------------------------------------------------------


def test_a_redirect_into_loopback_is_an_answer_and_is_not_followed(herd: Herd, inner: Herd) -> None:
    herd.behave = redirecting(inner.url)
    failed = asked(source_of(herd))
    assert (failed.state, failed.chunks.count(), inner.reads) == ("failed", 0, 0)
    assert "answered 302 instead of a page" in failed.error


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::1]", "127.0.0.1", "[::ffff:127.0.0.1]", "[fd00::1]", "2130706433"]
)
def test_a_private_address_is_refused_before_anything_is_sent(herd: Herd, settings: Any, host: str) -> None:
    settings.EGRESS_ALLOW = []
    source_ = source_of(herd)
    EntitySource.objects.filter(pk=source_.pk).update(base_url=f"http://{host}:{herd.server_address[1]}")
    failed = asked(source_)
    assert (failed.state, herd.reads) == ("failed", 0)
    assert "private address" in failed.error
    assert "EGRESS_ALLOW" in failed.error


def test_a_name_that_changes_its_mind_is_refused_when_it_turns_private(
    herd: Herd, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection is to an address that was checked for it: what the name said before counts for nothing."""
    port, real, looked_up = herd.server_address[1], socket.getaddrinfo, []
    settings.EGRESS_ALLOW = ["127.0.0.2/32"]

    def lookup(host: str, port_: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host != "game.example":
            return real(host, port_, *args, **kwargs)
        looked_up.append(host)
        address = "127.0.0.2" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port_))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    source_ = source_of(herd)
    EntitySource.objects.filter(pk=source_.pk).update(base_url=f"http://game.example:{port}")
    failed = asked(source_)
    assert failed.state == "failed"
    assert "game.example is the private address 127.0.0.1" in failed.error
    assert herd.reads == 0  # it listens on 127.0.0.1 only, to which nothing was sent
    assert len(looked_up) == MOST_ATTEMPTS


def test_an_endless_page_is_read_up_to_its_bound_and_given_up(herd: Herd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_PAGE_BYTES", 1024 * 1024)
    herd.behave = endless
    failed = asked(source_of(herd))
    assert (failed.state, failed.chunks.count(), herd.reads) == ("failed", 0, 6)  # 1000, 250, 62, 15, 3, 1
    assert "answers more than 1 MiB for a page of 1" in failed.error


def test_a_page_that_drips_ends_at_its_deadline(herd: Herd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PAGE_SECONDS", 0.3)
    snapshot, herd.behave = entities.take_snapshot(source_of(herd).pk, actor=PORTAL), dripping
    began = time.monotonic()
    entities.advance(Snapshot, snapshot.pk)
    assert time.monotonic() - began < 2
    snapshot.refresh_from_db()
    assert "did not answer within 0.3 s" in snapshot.error


# --- restores -------------------------------------------------------------------------------------------------------


@pytest.fixture
def restore(herd: Herd) -> EntityRestore:
    """Confirmed, with two to go back."""
    snapshot = taken(source_of(herd))
    for key in ("p000003", "p000004"):
        herd.change(key, gold=DUPED)
    found = planned(snapshot, "p000003", "p000004")
    return entities.confirm_restore(found.pk, expected_checksum=found.checksum, reason="dupes", actor=PORTAL)


def only(verb: str, behave: Callable[[Any], bool], after: int = 0) -> Callable[[Any], bool]:
    """Ill-behaved for one verb, from some answer on."""
    seen: list[str] = []

    def decide(handler: Any) -> bool:
        seen.append(handler.command)
        return handler.command == verb and seen.count(verb) > after and behave(handler)

    return decide


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("redirect", "answered 302 instead of"),
        (endless, "more than 512 KiB for p000003"),
        (nonsense, "no JSON for p000003"),
    ],
)
def test_an_entity_that_can_not_be_read_is_never_written(
    herd: Herd, inner: Herd, restore: EntityRestore, behave: Any, words: str
) -> None:
    herd.behave = redirecting(inner.url) if behave == "redirect" else behave
    done = tried(restore)
    told = done.error + " ".join(done.items.values_list("note", flat=True))
    assert words in told
    assert (herd.writes, inner.reads, inner.writes) == ([], 0, [])
    assert not done.items.filter(state=RestoreItem.State.RESTORED).exists()


@pytest.mark.parametrize("behave", ["redirect", endless, nonsense])
def test_whatever_a_write_is_answered_with_the_backup_is_kept_and_reading_settles_it(
    herd: Herd, inner: Herd, restore: EntityRestore, behave: Any
) -> None:
    """The source has written before it answers nonsense: what it shows afterwards counts."""
    herd.behave = only("PUT", redirecting(inner.url) if behave == "redirect" else behave)
    done = tried(restore)
    assert done.state == "done"
    assert inner.writes == []
    for item in done.items.all():
        assert item.backup["gold"] == DUPED
        assert item.state == ("refused" if behave == "redirect" else "restored")
        assert bool(item.note) == (behave == "redirect")


def test_a_source_that_turns_ill_between_writing_and_reading_back_leaves_a_record(
    herd: Herd, restore: EntityRestore
) -> None:
    herd.behave = only("GET", nonsense, after=1)
    done = tried(restore)
    first = done.items.get(entity_id="p000003")
    assert herd.rows["p000003"]["document"]["gold"] == 103  # it was written
    assert (first.state, first.backup["gold"]) == ("refused", DUPED)
    assert first.note.startswith("It may have been written.")
    assert herd.rows["p000004"]["document"]["gold"] == DUPED


def test_a_snapshot_whose_checksum_was_corrupted_restores_nothing(herd: Herd, restore: EntityRestore) -> None:
    chunk = restore.snapshot.chunks.get() if restore.snapshot else None
    assert chunk is not None
    chunk.checksum = "0" * 64
    chunk.save()
    done = tried(restore)
    assert (done.state, herd.writes) == ("failed", [])
    assert "is not what was stored. Choose another snapshot." in done.error


# --- configurations -------------------------------------------------------------------------------------------------


def config_redirecting(handler: Any) -> bool:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:1/config")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


@pytest.mark.parametrize("verb", ["GET", "PUT"])
@pytest.mark.parametrize("behave", [config_redirecting, endless, dripping])
def test_a_config_source_that_means_ill_is_told_and_nothing_is_recorded_as_restored(
    source: Source, monkeypatch: pytest.MonkeyPatch, verb: str, behave: Any
) -> None:
    monkeypatch.setattr(live, "TIMEOUT_SECONDS", 0.3)
    document = at_source(source.url)
    source.change(BROKEN)

    def decide(handler: Any) -> bool:
        if handler.command == verb == "PUT":
            source.change(BROKEN)  # it keeps what it had
        return handler.command == verb and behave(handler)

    source.behave = decide
    with pytest.raises((live.LiveUnreachable, Conflict)) as refused:
        operations.restore(document.pk, expected_checksum=None, effect_key="k1", reason="off", actor=PORTAL)
    assert str(refused.value)
    assert "restored" not in origins(document)
    backups = ConfigVersion.objects.filter(document=document, origin="backup")
    assert [version.content for version in backups] == ([BROKEN] if verb == "PUT" else [])
    assert bool(again(document).capture_error) == isinstance(refused.value, live.LiveUnreachable)
