"""Snapshots on pages, over the API, from the demo world, and as steps of runbooks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.urls import reverse

from apps.demo.world.folk import DUPED, Folk
from apps.demo.world.game import WorldError
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.runbooks.looking import collisions
from apps.runbooks.steps import kind
from apps.runbooks.steps.base import Outcome, StepContext
from apps.state.entities import operations
from apps.state.entities.models import EntityRestore, Snapshot, SnapshotDiff
from apps.state.entities.operations.working import run_due
from tests import factories
from tests.state.herd import Herd, compared, planned, player, running, source_of, taken, worked

pytestmark = pytest.mark.django_db


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(20)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


@pytest.fixture
def manager(client: Client) -> Client:
    client.force_login(factories.named("Mia", "manager"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(name: str, pk: int) -> str:
    return reverse(f"admin:state_{name}", args=[pk])


def text(answer: Any) -> str:
    content = answer.getvalue() if answer.streaming else answer.content
    return str(content.decode())


# --- pages ----------------------------------------------------------------------------------------------------------


def test_the_pages_lead_from_a_snapshot_to_three_restored(herd: Herd, manager: Client) -> None:
    source = source_of(herd)
    before = taken(source)
    for number in (3, 4, 5):
        herd.change(player(number)[0], gold=9_999, api_key="k-hush-hush")
    manager.post(page("entitysource_take", source.pk), {"reason": "after the exploit"})
    after = worked(Snapshot.objects.get(source=source, number=2))
    manager.post(page("entitysource_compare", source.pk), {"before": "1", "after": "2"})
    diff = compared(before, after)
    shown = text(manager.get(page("snapshotdiff_change", diff.pk) + "?path=gold&delta=9"))
    assert "3 entities of 3" in shown
    manager.post(page("snapshotdiff_restore", diff.pk), {"all": "1", "path": "gold", "delta": "9"})
    restore = worked(EntityRestore.objects.get())
    dry = text(manager.get(page("entityrestore_change", restore.pk)))
    assert "3 would change" in dry
    manager.post(page("entityrestore_confirm", restore.pk), {"expected_checksum": restore.checksum, "reason": "dupes"})
    assert worked(restore).restored_count == 3
    everything = text(manager.get(page("snapshot_change", after.pk))) + shown + dry
    assert "hush" not in everything


def test_a_filter_that_cannot_be_read_puts_nothing_back(herd: Herd, manager: Client) -> None:
    before = taken(source_of(herd))
    herd.change("p000003", gold=1)
    diff = compared(before, taken(before.source))
    manager.post(page("snapshotdiff_restore", diff.pk), {"all": "1", "delta": "much"})
    assert not EntityRestore.objects.exists()


def test_the_export_holds_what_the_filter_finds_and_no_formula(herd: Herd, manager: Client) -> None:
    herd.rows["=cmd"] = {"id": "=cmd", "version": 1, "document": {"gold": 1, "name": "=1+1"}}
    before = taken(source_of(herd))
    herd.change("=cmd", gold=-5)
    herd.change("p000003", gold=1)
    diff = compared(before, taken(before.source))
    rows = list(csv.reader(io.StringIO(text(manager.get(page("snapshotdiff_csv", diff.pk) + "?id=%3D*")))))
    assert rows[1:] == [["'=cmd", "changed", "gold", "1", "-5", "1", "2"]]


def test_the_export_is_streamed_and_refuses_what_it_cannot_tell(herd: Herd, manager: Client) -> None:
    before = taken(source_of(herd))
    herd.change("p000003", gold=1)
    diff = compared(before, taken(before.source))
    address = page("snapshotdiff_csv", diff.pk)
    assert manager.get(address + "?delta=much").status_code == 302
    waiting = AsyncClient()
    waiting.cookies = manager.cookies

    async def read() -> tuple[bool, str]:
        answer = await waiting.get(address)
        return answer.is_async, b"".join([part async for part in answer]).decode()

    is_async, lines = async_to_sync(read)()
    assert is_async
    assert lines.splitlines()[1] == "p000003,changed,gold,103,1,1,2"
    SnapshotDiff.objects.update(state="running")
    assert manager.get(address).status_code == 302


def test_a_viewer_may_look_and_do_nothing(herd: Herd, client: Client) -> None:
    client.force_login(factories.named("Vera", "viewer"), backend="django.contrib.auth.backends.ModelBackend")
    snapshot = taken(source_of(herd))
    assert client.get(page("snapshot_change", snapshot.pk)).status_code == 200
    client.post(page("snapshot_restore", snapshot.pk), {"ids": "p000003"})
    client.post(page("entitysource_take", snapshot.source_id))
    assert (EntityRestore.objects.count(), Snapshot.objects.count()) == (0, 1)


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_api_takes_compares_filters_plans_and_confirms(herd: Herd, client: Client) -> None:
    headers = factories.bearer(factories.named("Mia", "manager"), "entities:write", "entities:read")
    json: dict[str, Any] = {"content_type": "application/json", "headers": headers}
    source = source_of(herd)
    first = client.post(f"/api/v1/entity-sources/{source.pk}/take-snapshot/", {"reason": "deploy"}, **json).json()
    before = worked(Snapshot.objects.get(pk=first["id"]))
    herd.change("p000003", gold=7_777)
    after = taken(source)
    made = client.post("/api/v1/snapshot-diffs/", {"before": before.pk, "after": after.pk}, **json).json()
    compared(before, after)
    found = client.get(f"/api/v1/snapshot-diffs/{made['id']}/entries/?path=gold&delta=100", headers=headers).json()
    assert ([entry["id"] for entry in found["entries"]], found["total"]) == (["p000003"], 1)
    given = {"diff": made["id"], "filter": {"path": "gold"}, "reason": "dupes"}
    plan = client.post("/api/v1/entity-restores/", given, **json).json()
    ready = worked(EntityRestore.objects.get(pk=plan["id"]))
    items = client.get(f"/api/v1/entity-restores/{ready.pk}/items/", headers=headers).json()["items"]
    assert (items[0]["live_version"], items[0]["changes"][0]["after"]) == (2, 103)
    body = {"expected_checksum": ready.checksum, "reason": "dupes"}
    assert client.post(f"/api/v1/entity-restores/{ready.pk}/confirm/", body, **json).status_code == 200
    assert worked(ready).restored_count == 1
    assert client.get(f"/api/v1/snapshots/{before.pk}/verify/", headers=headers).json()["verifies"] is True


@pytest.mark.parametrize("query", ["delta=nan", "delta=-1", "op=moved", "limit=0", "limit=201", "limit=x"])
def test_a_bad_filter_is_refused(herd: Herd, client: Client, query: str) -> None:
    headers = factories.bearer(factories.named("Mia", "manager"), "entities:read")
    before = taken(source_of(herd))
    diff = compared(before, taken(before.source))
    assert client.get(f"/api/v1/snapshot-diffs/{diff.pk}/entries/?{query}", headers=headers).status_code == 400


# --- steps ----------------------------------------------------------------------------------------------------------


def context(key: str = "run-1", **more: Any) -> StepContext:
    return StepContext(
        parameters={}, incident={}, execution_key="e", idempotency_key=key, outcomes={}, actor=Actor.system(), **more
    )


def done(step: Any, options: Any, given: StepContext) -> Outcome:
    """What the step comes to while workers come by; the first attempt may be lost at any time."""
    for _ in range(5):
        found: Outcome = step.perform(options, given)
        if found.state != "waiting":
            return found
        run_due()
    raise AssertionError("it waits for ever")


def test_the_step_takes_one_snapshot_however_often_it_is_done(herd: Herd) -> None:
    source, step = source_of(herd), kind("snapshot_take")
    options = step.options.model_validate({"source": source.slug})
    assert step.preview(options, context()).problems == []
    assert not Snapshot.objects.exists()
    outcome = done(step, options, context())
    assert (outcome.state, outcome.data["snapshot"], outcome.data["entities"]) == ("succeeded", 1, 20)
    assert step.perform(options, context()).data == outcome.data
    assert step.probe(options, context()) == outcome
    assert Snapshot.objects.count() == 1


def test_the_step_restores_what_the_plan_saw_and_undoes_it(herd: Herd) -> None:
    snapshot, step = taken(source_of(herd)), kind("snapshot_restore")
    herd.change("p000003", gold=9)
    herd.change("p000004", gold=9)
    ids = ["p000003", "p000004", "p000005"]
    options = step.options.model_validate({"source": snapshot.source.slug, "ids": ids, "snapshot": 1})
    plan = step.preview(options, context())
    assert ([entry["path"] for entry in plan.diff], plan.problems) == (["p000003: gold", "p000004: gold"], [])
    assert (EntityRestore.objects.count(), herd.writes) == (0, [])
    herd.change("p000004", gold=10)
    given = context(targets=plan.targets)
    outcome = done(step, options, given)
    assert outcome.data == {**outcome.data, "restored": 1, "refused": 1, "unchanged": 1}
    assert (step.perform(options, given).data, len(herd.writes)) == (outcome.data, 1)
    undo = step.undo(options, given, outcome.data)
    assert undo is not None
    undoing = step.options.model_validate(undo[1])
    assert done(step, undoing, context("undo-1")).data["restored"] == 1
    assert herd.rows["p000003"]["document"]["gold"] == 9


def restoring(snapshot: Snapshot, *ids: str, **more: Any) -> tuple[Any, Any, StepContext]:
    """The step, its options, and the context with the approved plan."""
    step = kind("snapshot_restore")
    options = step.options.model_validate({"source": snapshot.source.slug, "ids": list(ids), **more})
    return step, options, context(targets=step.preview(options, context()).targets)


def test_what_a_step_had_restored_when_it_was_given_up_is_undone_and_the_rest_stays(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    ids = ("p000003", "p000004")
    for key in ids:
        herd.change(key, gold=9)
    step, options, given = restoring(snapshot, *ids)
    waiting = step.perform(options, given)
    assert step.undo_waiting
    assert waiting.data["restore"] == EntityRestore.objects.get().pk
    sending = {"state": "sending", "backup": {**player(3)[1], "gold": 9}, "backup_version": 2}
    EntityRestore.objects.get().items.filter(entity_id=ids[0]).update(**sending)
    undo = step.undo(options, given, waiting.data)
    assert undo == step.undo(options, given, waiting.data)
    assert undo is not None
    undoing = step.options.model_validate(undo[1])
    assert step.perform(undoing, context("undo-1")).state == "waiting"
    assert done(step, undoing, context("undo-1")).state == "succeeded"
    assert [herd.rows[key]["document"]["gold"] for key in ids] == [9, 9]
    assert [key for key, _ in herd.writes] == [ids[0], ids[0]]


def test_a_restore_that_failed_halfway_is_undone_and_nobody_resumes_it(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    herd.change("p000003", gold=9)
    step, options, given = restoring(snapshot, "p000003")
    step.perform(options, given)
    EntityRestore.objects.update(state="failed", error="The source is away.")
    failed = step.perform(options, given)
    assert (failed.state, step.undo_failed, failed.data["restore"]) == ("failed", True, EntityRestore.objects.get().pk)
    with pytest.raises(Conflict, match="runbook began"):
        operations.resume_restore(failed.data["restore"], actor=Actor.system())
    assert step.undo(options, given, failed.data) is None
    assert (run_due(), herd.writes) == (1, [])


def test_a_newer_snapshot_is_not_what_was_approved(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    herd.change("p000003", gold=9)
    step, options, given = restoring(snapshot, "p000003")
    taken(snapshot.source)
    assert done(step, options, given).data["restored"] == 1
    assert herd.rows["p000003"]["document"]["gold"] == 103
    other = [{**target, "after": "0" * 64} for target in given.targets]
    assert "than the approved plan showed" in step.perform(options, context("run-2", targets=other)).error


def test_an_undo_that_left_something_has_failed(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    for key in ("p000003", "p000004"):
        herd.change(key, gold=9)
    step, options, given = restoring(snapshot, "p000003", "p000004")
    undo = step.undo(options, given, done(step, options, given).data)
    herd.change("p000004", gold=1)
    outcome = done(step, step.options.model_validate(undo[1]), context("undo-1"))
    assert (outcome.state, outcome.data["restored"], outcome.data["refused"]) == ("failed", 1, 1)
    assert "p000004" in outcome.error


def test_two_steps_never_restore_one_entity_and_a_plan_shows_a_hundred_places(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    herd.change("p000003", items=[{"count": number} for number in range(150)])
    step, options, _ = restoring(snapshot, "p000003")
    plan = step.preview(options, context())
    assert len(plan.diff) == 100
    assert "50 more places differ" in plan.text
    found = list(collisions([{"name": name, "targets": plan.targets} for name in ("One", "Two")]))
    assert len(found) == 1
    assert "p000003" in found[0]


@pytest.mark.parametrize(
    ("more", "words"),
    [({"source": "nobody"}, "no source"), ({"snapshot": 9}, "no snapshot 9"), ({"ids": ["nobody"]}, "deletes nothing")],
)
def test_a_plan_that_cannot_be_carried_out_says_why(herd: Herd, more: dict[str, Any], words: str) -> None:
    snapshot, step = taken(source_of(herd)), kind("snapshot_restore")
    options = step.options.model_validate({"source": snapshot.source.slug, "ids": ["p000001"], **more})
    assert words in step.preview(options, context()).problems[0]


# --- the demo world -------------------------------------------------------------------------------------------------


def test_the_demo_world_keeps_what_was_written_and_refuses_an_old_version(tmp_path: Any) -> None:
    folk = Folk(tmp_path / "folk.json")
    assert folk.dupe() == DUPED
    rows, total = Folk(tmp_path / "folk.json").page("players", "", 2000)
    assert (len(rows), total, sum(row["version"] == 2 for row in rows)) == (1000, 1500, 33)
    with pytest.raises(WorldError, match="before you"):
        folk.put("players", "player-00007", {}, expected_version=1)
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


def test_planning_twice_with_a_key_is_one_plan(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    made = [operations.plan_restore(snapshot.pk, ["p000003"], effect_key="k", actor=Actor.system()) for _ in range(2)]
    assert made[0].pk == made[1].pk
    assert planned(snapshot, "p000003").pk != made[0].pk
