"""Snapshots of entities over real HTTP: taken in pages, verified, kept, compared in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.engine.models import Event
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, Invalid
from apps.state.entities import leases, operations, packing
from apps.state.entities.comparing import Filter, globbed, look
from apps.state.entities.models import Snapshot, SnapshotChunk, SnapshotDiff
from apps.state.entities.operations import taking
from apps.state.entities.queries import work_due
from tests.state.herd import PORTAL, Herd, compared, planned, player, running, source_of, taken, worked

pytestmark = pytest.mark.django_db


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(2500)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


def due_again(job: Any) -> None:
    """So that nobody waits in a test."""
    type(job).objects.filter(pk=job.pk).update(due_at=now(), lease_until=None)


# --- taking ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_holds_every_entity_in_sorted_verified_chunks(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    chunks = list(SnapshotChunk.objects.filter(snapshot=snapshot).order_by("position"))
    assert [chunk.entity_count for chunk in chunks] == [1000, 1000, 500]
    assert (snapshot.done_count, snapshot.percent, herd.reads) == (2500, 100, 4)
    assert packing.problems_of(snapshot) == []
    assert snapshot.stored_bytes < snapshot.raw_bytes / 5
    found = packing.found_in(snapshot, ["p000007", "p002499", "nobody"])
    assert found["p000007"].document == player(7)[1]
    assert set(found) == {"p000007", "p002499"}


def test_a_killed_worker_costs_one_page_and_writes_no_more(herd: Herd) -> None:
    job = operations.take_snapshot(source_of(herd).pk, actor=PORTAL)
    dead = leases.claim(Snapshot, job.pk)
    assert dead is not None
    assert leases.claim(Snapshot, job.pk) is None  # the lease holds
    Snapshot.objects.filter(pk=job.pk).update(lease_until=now() - timedelta(seconds=1))
    assert worked(job).done_count == 2500
    with pytest.raises(leases.Lost):
        taking.advance_snapshot(dead)
    assert packing.problems_of(Snapshot.objects.get(pk=job.pk)) == []


def test_a_snapshot_goes_on_after_the_last_stored_page(herd: Herd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SLICE_SECONDS", -1.0)
    job = operations.take_snapshot(source_of(herd).pk, actor=PORTAL)
    counts = []
    while operations.advance(Snapshot, job.pk):
        counts.append(Snapshot.objects.get(pk=job.pk).percent)
    assert counts == [40, 80, 99, 100]
    assert herd.reads == 4


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "b", "version": 1, "document": {}}, {"id": "a", "version": 1, "document": {}}], "a after b"),
        ([{"id": "b", "version": 1, "document": {}}, {"id": "b", "version": 1, "document": {}}], "names b twice"),
        ([{"id": "b", "version": 1, "document": []}], "JSON object"),
        ([{"id": "b", "document": {}}], "b without a version"),
        ([{"id": "", "version": 1, "document": {}}], "An id is a text of 1 to"),
        ([{"id": "b", "version": 1, "document": {"n": float("nan")}}], "NaN"),
        (["b"], "no object"),
    ],
)
def test_what_breaks_the_protocol_fails_at_once_and_says_why(herd: Herd, rows: list[Any], words: str) -> None:
    herd.page = lambda after, limit: rows
    job = worked(operations.take_snapshot(source_of(herd).pk, actor=PORTAL))
    assert (job.state, job.attempts) == ("failed", 1)
    assert words in job.error
    assert not job.chunks.exists()
    assert Event.objects.filter(kind="state.snapshot_failed").exists()


def test_a_source_that_is_away_is_asked_again_and_then_given_up(herd: Herd) -> None:
    herd.behave = lambda handler: handler.send(503, b"moment") is None
    job = operations.take_snapshot(source_of(herd).pk, actor=PORTAL)
    operations.advance(Snapshot, job.pk)
    waiting = Snapshot.objects.get(pk=job.pk)
    assert (waiting.state, waiting.due_at > now()) == ("running", True)
    assert "answered 503" in waiting.error
    for _ in range(5):
        due_again(job)
        operations.advance(Snapshot, job.pk)
    assert Snapshot.objects.get(pk=job.pk).state == "failed"


def test_a_private_address_is_not_reached(herd: Herd, settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    job = operations.take_snapshot(source_of(herd).pk, actor=PORTAL)
    operations.advance(Snapshot, job.pk)
    assert "EGRESS_ALLOW" in Snapshot.objects.get(pk=job.pk).error
    assert herd.reads == 0


def test_one_snapshot_of_a_source_at_a_time_and_a_key_asks_once(herd: Herd) -> None:
    source = source_of(herd)
    first = operations.take_snapshot(source.pk, effect_key="deploy-7", actor=PORTAL)
    assert operations.take_snapshot(source.pk, effect_key="deploy-7", actor=PORTAL).pk == first.pk
    with pytest.raises(Conflict, match="being taken"):
        operations.take_snapshot(source.pk, actor=PORTAL)


def test_the_cadence_asks_once_and_retention_keeps_what_is_pinned_restored_or_newest(herd: Herd) -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        source = source_of(herd, snapshot_every_seconds=60, keep_count=2, keep_days=0)
        pinned, used = taken(source), taken(source)
        operations.pin_snapshot(pinned.pk, pinned=True, reason="before the deploy", actor=PORTAL)
        planned(used, "p000001")
        assert not work_due(clock())
        clock.advance(timedelta(seconds=61))
        for _ in range(3):
            operations.run_due()
            clock.advance(timedelta(seconds=61))
    kept = Snapshot.objects.filter(source=source).order_by("number")
    assert list(kept.values_list("number", "origin")) == [(1, "asked"), (2, "asked"), (4, "cadence"), (5, "cadence")]


def test_a_damaged_chunk_is_found_and_nothing_is_restored_from_it(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    chunk = snapshot.chunks.get(position=1)
    chunk.data = bytes(chunk.data)[:-9] + b"spoiled!!"
    chunk.save()
    assert "chunk 1 (p001000 to p001999)" in packing.problems_of(snapshot)[0]
    restore = planned(snapshot, "p000001")
    assert (restore.state, herd.writes) == ("failed", [])
    assert "damaged" in restore.error


def test_a_removed_chunk_is_found_too(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    snapshot.chunks.get(position=2).delete()
    assert len(packing.problems_of(snapshot)) == 2


# --- comparing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(herd: Herd) -> SnapshotDiff:
    source = source_of(herd)
    before = taken(source)
    herd.change("p000003", gold=99_999, api_key="k-secret-2")
    herd.change("p001500", items=[{"count": 50}])
    herd.change("p002000", gold=2101)
    herd.change("p002001")  # a version without a change
    del herd.rows["p000004"]
    herd.rows["p000004x"] = {"id": "p000004x", "version": 1, "document": {"name": "New"}}
    return compared(before, taken(source))


def test_a_diff_names_every_entity_that_differs_and_no_other(changed: SnapshotDiff) -> None:
    found = look(changed, Filter())
    assert [(each["id"], each["op"]) for each in found.entries] == [
        ("p000003", "changed"),
        ("p000004", "removed"),
        ("p000004x", "added"),
        ("p001500", "changed"),
        ("p002000", "changed"),
    ]
    assert found.fields["gold"] == 3  # the removed one had some, too
    assert (changed.added_count, changed.removed_count, changed.changed_count) == (1, 1, 3)
    assert "k-secret" not in repr(found.entries)


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        (Filter(op="removed"), ["p000004"]),
        (Filter(path="items[*].count"), ["p001500"]),
        (Filter(op="changed", path="gold"), ["p000003", "p002000"]),
        (Filter(path="gold", delta=1.0), ["p000003"]),
        (Filter(id="p002*"), ["p002000"]),
        (Filter(path="go*", delta=0.5), ["p000003", "p002000"]),
        (Filter(id="p"), []),
    ],
)
def test_filters_find_what_they_say_and_tell_the_scope(changed: SnapshotDiff, chosen: Filter, ids: list[str]) -> None:
    found = look(changed, chosen)
    assert [each["id"] for each in found.entries] == ids
    assert (found.total, sum(found.ops.values())) == (len(ids), len(ids))


def test_a_place_behind_many_others_is_found_and_what_is_cut_may_fit(herd: Herd) -> None:
    before = taken(source_of(herd))
    herd.change("p000003", zoo=1)
    herd.change("p000004", **{f"k{number:04}": number for number in range(300)}, zoo=1)
    herd.change("p000005", **{f"k{number:04}": "x" * 400 for number in range(500)}, zoo=1)
    diff = compared(before, taken(before.source))
    found = look(diff, Filter(path="zoo"))
    assert [(each["id"], each.get("may_fit", False)) for each in found.entries] == [
        ("p000003", False), ("p000004", False), ("p000005", True),
    ]  # fmt: skip
    assert (found.total, found.may_fit, look(diff, Filter(path="k0001")).total) == (2, 1, 2)
    with pytest.raises(Invalid, match="p000005 differs at more places"):
        operations.plan_restore_of_diff(diff.pk, Filter(path="zoo"), actor=PORTAL)


def test_pages_of_a_diff_follow_each_other(changed: SnapshotDiff) -> None:
    first = look(changed, Filter(), limit=2)
    second = look(changed, Filter(), after=first.last_id, limit=2)
    third = look(changed, Filter(), after=second.last_id, limit=2)
    assert [len(page.entries) for page in (first, second, third)] == [2, 2, 1]
    assert [page.has_more for page in (first, second, third)] == [True, True, False]


def test_a_diff_in_slices_is_the_diff_in_one(herd: Herd, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.state.entities.operations import comparing

    source = source_of(herd)
    before = taken(source)
    for number in range(0, 2500, 7):
        herd.change(f"p{number:06}", gold=0)
    for number in range(5, 2500, 100):
        del herd.rows[f"p{number:06}"]
    after = taken(source)
    monkeypatch.setattr(comparing, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(comparing, "_STORED_AT_ONCE", 17)
    diff = compared(before, after)
    ids = [each["id"] for each in look(diff, Filter(), limit=5000).entries]
    wanted = {f"p{n:06}" for n in range(0, 2500, 7)} | {f"p{n:06}" for n in range(5, 2500, 100)}
    assert ids == sorted(wanted)
    assert diff.done_count == 2500


def test_snapshots_of_two_sources_are_not_compared(herd: Herd) -> None:
    one, other = taken(source_of(herd)), taken(source_of(herd))
    with pytest.raises(Invalid, match="one source"):
        operations.compare(one.pk, other.pk, actor=PORTAL)
    with pytest.raises(Invalid, match="two different"):
        operations.compare(one.pk, one.pk, actor=PORTAL)


def test_a_star_matches_any_run_in_linear_time() -> None:
    assert globbed("a*b*c", "a.x.b.y.c")
    assert globbed("*", "")
    assert not globbed("a*ab", "ab")
    assert not globbed("a[*].b", "a.b")
    assert not globbed("*" * 100 + "b", "a" * 100_000)
