"""A snapshot that somebody stops, and what retention keeps and lets go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.engine.models import Event
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, NotFound
from apps.runbooks.steps import kind
from apps.state.entities import leases, operations
from apps.state.entities.models import EntityRestore, Snapshot, SnapshotChunk
from apps.state.entities.operations.keeping import DRY_RUN_DAYS, retain
from apps.state.entities.operations.taking import advance_snapshot
from tests import factories
from tests.runbooks.writing import context
from tests.state.herd import PORTAL, Herd, confirmed, planned, running, source_of, taken, worked

pytestmark = pytest.mark.django_db


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(2500)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


@pytest.fixture
def begun(herd: Herd) -> Snapshot:
    return operations.take_snapshot(source_of(herd).pk, actor=PORTAL)


@pytest.mark.postgres  # the one who stops it has a connection of its own
@pytest.mark.django_db(transaction=True)
def test_a_snapshot_that_is_being_read_is_stopped_at_once_and_its_worker_writes_nothing_more(herd: Herd) -> None:
    snapshot = operations.take_snapshot(source_of(herd).pk, actor=PORTAL)
    took: list[float] = []

    def page(after: str, limit: int) -> list[dict[str, Any]]:
        if after and not took:
            assert SnapshotChunk.objects.filter(snapshot=snapshot).exists()
            began = time.monotonic()
            operations.stop_snapshot(snapshot.pk, reason="the game is too busy", actor=PORTAL)
            took.append(time.monotonic() - began)
            connection.close()
        return herd._page(after, limit)

    herd.page = page
    operations.advance(Snapshot, snapshot.pk)
    found = Snapshot.objects.get(pk=snapshot.pk)
    assert (found.state, found.done_count, found.stored_bytes, found.chunks.count()) == ("stopped", 0, 0, 0)
    assert found.error == "Stopped by portal: the game is too busy"
    assert took[0] < 2


def test_who_held_it_is_lost_a_repeat_changes_nothing_and_the_next_may_begin(begun: Snapshot) -> None:
    worker = leases.claim(Snapshot, begun.pk)
    assert worker is not None
    first = operations.stop_snapshot(begun.pk, actor=PORTAL)
    again = operations.stop_snapshot(begun.pk, reason="again", actor=PORTAL)
    assert (again.finished_at, again.fence, again.error) == (first.finished_at, first.fence, "Stopped by portal.")
    with pytest.raises(leases.Lost):
        advance_snapshot(worker)
    assert Event.objects.filter(kind="state.snapshot_stopped").count() == 1
    assert taken(begun.source).number == 2


def test_what_is_over_can_not_be_stopped_and_nobody_without_the_permission_stops_anything(begun: Snapshot) -> None:
    with pytest.raises(Forbidden, match="snapshot_entitysource"):
        operations.stop_snapshot(begun.pk, actor=factories.actor(factories.person("commander")))
    with pytest.raises(NotFound):
        operations.stop_snapshot(0, actor=PORTAL)
    done = worked(begun)
    with pytest.raises(Conflict) as refused:
        operations.stop_snapshot(done.pk, actor=PORTAL)
    assert refused.value.code == "snapshot_over"
    assert done.chunks.exists()


def test_it_is_stopped_on_its_page(begun: Snapshot, client: Client) -> None:
    client.force_login(factories.person("manager"), backend="django.contrib.auth.backends.ModelBackend")
    page, stop = (reverse(f"admin:state_snapshot_{verb}", args=[begun.pk]) for verb in ("change", "stop"))
    assert "Stop it" in client.get(page).content.decode()
    shown = client.post(stop, follow=True).content.decode()
    assert "It is stopped: nothing of it is kept." in shown
    assert "Stopped by" in shown
    assert "Stop it" not in shown
    assert (
        "Stopped by" in client.get(reverse("admin:state_entitysource_change", args=[begun.source_id])).content.decode()
    )


def test_it_is_stopped_over_the_api(begun: Snapshot, client: Client) -> None:
    headers, path = factories.bearer(factories.person("manager")), f"/api/v1/snapshots/{begun.pk}/stop/"
    for _ in range(2):
        answer = client.post(path, {"reason": "busy"}, "application/json", headers=headers)
        assert (answer.status_code, answer.json()["state"]) == (200, "stopped")
    done = taken(begun.source)
    answer = client.post(f"/api/v1/snapshots/{done.pk}/stop/", {}, "application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "snapshot_over")


def test_it_is_stopped_on_the_command_line(begun: Snapshot, capsys: pytest.CaptureFixture[str]) -> None:
    who = factories.person("manager")
    for told in ("Snapshot 1 of Players is stopped: nothing of it is kept.", "No snapshot of Players is being taken."):
        call_command("snapshot_stop", begun.source.slug, username=who.username)
        assert told in capsys.readouterr().out
    operations.take_snapshot(begun.source_id, actor=PORTAL)
    for source, by, code in [("nothing", who.username, 2), (begun.source.slug, "nobody", 2),
                             (begun.source.slug, factories.person("viewer").username, 1)]:  # fmt: skip
        with pytest.raises(CommandError) as refused:
            call_command("snapshot_stop", source, username=by)
        assert refused.value.returncode == code


def test_a_step_whose_snapshot_was_stopped_has_failed(herd: Herd) -> None:
    source, step = source_of(herd), kind("snapshot_take")
    options, known = step.options.model_validate({"source": source.slug}), context(idempotency_key="k1")
    assert step.perform(options, known).state == "waiting"
    operations.stop_snapshot(Snapshot.objects.get().pk, reason="busy", actor=PORTAL)
    came = step.perform(options, known)
    assert (came.state, came.error) == ("failed", "Stopped by portal: busy")


# --- retention ------------------------------------------------------------------------------------------------------


def aged(row: Any, days: int) -> Any:
    at = now() - timedelta(days=days)
    type(row).objects.filter(pk=row.pk).update(created_at=at, **({"finished_at": at} if row.finished_at else {}))
    return row


def numbers(snapshot: Snapshot) -> list[int]:
    return list(Snapshot.objects.filter(source=snapshot.source).order_by("number").values_list("number", flat=True))


def test_a_snapshot_that_a_restore_waits_to_be_confirmed_from_outlives_the_others(herd: Herd) -> None:
    source = source_of(herd, keep_count=1, keep_days=1)
    first = aged(taken(source), 5)
    herd.change("p000003", gold=1)
    restore = aged(planned(first, "p000003"), DRY_RUN_DAYS - 1)
    second = aged(taken(source), 5)
    taken(source)
    assert (numbers(first), second.number) == ([1, 3], 2)
    assert confirmed(restore).restored_count == 1
    assert retain(source) == 0


def test_dry_runs_that_nobody_confirmed_for_a_week_go_and_no_longer_keep_their_snapshot(herd: Herd) -> None:
    source = source_of(herd, keep_count=1, keep_days=0)
    first = taken(source)
    herd.change("p000003", gold=1)
    stale, nothing = aged(planned(first, "p000003"), 8), aged(planned(first, "p000004"), 8)
    taken(source)
    assert not EntityRestore.objects.filter(pk__in=[stale.pk, nothing.pk]).exists()
    assert numbers(first) == [2]
    assert stale.history.filter(history_type="-").exists()


def test_restores_that_wrote_or_are_at_work_stay_however_old(herd: Herd) -> None:
    source = source_of(herd, keep_count=1, keep_days=1)
    first = taken(source)
    herd.change("p000003", gold=1)
    done = aged(confirmed(planned(first, "p000003")), 400)
    at_work = aged(operations.plan_restore(first.pk, ["p000004"], actor=PORTAL), 400)
    taken(source)
    assert EntityRestore.objects.filter(pk__in=[done.pk, at_work.pk]).count() == 2
    assert numbers(first) == [1, 2]


def test_failed_and_stopped_snapshots_go_together_with_age(herd: Herd) -> None:
    source = source_of(herd, keep_count=2, keep_days=30)
    aged(operations.stop_snapshot(operations.take_snapshot(source.pk, actor=PORTAL).pk, actor=PORTAL), 31)
    operations.stop_snapshot(operations.take_snapshot(source.pk, actor=PORTAL).pk, actor=PORTAL)
    assert numbers(taken(source)) == [2, 3]
