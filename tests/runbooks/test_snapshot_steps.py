"""A whole execution whose restore of entities is stopped in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.foundation.clock import now
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.executing import cancel
from apps.state.entities import operations
from apps.state.entities.models import EntityRestore
from tests.factories import actor
from tests.runbooks.rehearsal import begun, commander, log_of, run, runbook, steps_of
from tests.runbooks.rehearsal import step as rehearsed
from tests.state.herd import Herd, running, source_of, taken

pytestmark = pytest.mark.django_db
IDS = ["p000003", "p000004", "p000005"]
DUPED = 9_999_999


@pytest.fixture
def herd(settings: Any) -> Iterator[Herd]:
    found = Herd(20)
    settings.EGRESS_ALLOW = [f"127.0.0.1:{found.server_address[1]}"]
    with running(found):
        yield found


def gone_on(execution: Execution) -> Execution:
    """The execution after its workers, and those of its restores, came by, without the pauses between."""
    for _ in range(8):
        for model in (EntityRestore, Execution, StepRun):
            model.objects.filter(due_at__gt=now()).update(due_at=now())
        for pk in EntityRestore.objects.values_list("pk", flat=True):
            operations.advance(EntityRestore, pk)
        execution = run(execution)
    return execution


def gold(herd: Herd) -> list[int]:
    return [herd.rows[key]["document"]["gold"] for key in IDS]


def test_a_restore_that_is_cancelled_halfway_begins_nothing_more_and_what_it_did_goes_back(herd: Herd) -> None:
    snapshot = taken(source_of(herd))
    for key in IDS:
        herd.change(key, gold=DUPED)
    back = {"source": snapshot.source.slug, "ids": IDS, "snapshot": snapshot.number}
    book = runbook(
        rehearsed("one", with_undo="yes"),
        {"slug": "back", "name": "Back", "kind": "snapshot_restore", "with": back},
        rehearsed("three"),
    )
    execution = run(begun(book))
    restore = EntityRestore.objects.get()
    herd.refuse = lambda key: None if key == IDS[0] else 503  # the source goes away after the first
    operations.advance(EntityRestore, restore.pk)
    assert gold(herd) == [103, DUPED, DUPED]
    cancel(execution.pk, reason="It was the wrong snapshot.", actor=actor(commander()))
    herd.refuse = None
    execution = gone_on(execution)
    assert execution.state == "undone"
    assert steps_of(execution) == [
        "one:succeeded", "back:skipped", "three:skipped", "undo back:succeeded", "undo one:succeeded",
    ]  # fmt: skip
    assert gold(herd) == [DUPED, DUPED, DUPED]
    restore.refresh_from_db()
    assert restore.state == "done"
    assert not restore.items.filter(state__in=["waiting", "seen", "sending"]).exists()
    assert "Cancelled by" in log_of(execution)
    writes = len(herd.writes)
    assert gone_on(execution).state == "undone"  # a repeat changes nothing
    assert len(herd.writes) == writes
