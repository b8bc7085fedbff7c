"""Guardrails that are changed and removed, and what is kept of a ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.engine.models import Event, Timer
from apps.flags.experiment_queries import enrolled, epochs_of, ratio_figures
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Guardrail, GuardrailTotal, HeldUnits, LedgerSummary
from apps.flags.operations import (
    Sample,
    Seen,
    add_guardrail,
    edit_experiment,
    edit_guardrail,
    end_experiment,
    kill_variant,
    push_samples,
    record_exposures,
    remove_guardrail,
    retaining,
)
from apps.flags.operations.retaining import LEDGER_TIMER, keep_sweeping, sweep_ledgers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, DomainError, Invalid, NotFound, PreconditionFailed
from tests.factories import actor, bearer, person
from tests.flags.experimenting import values

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
WATCHED: Any = {"kind": "mean", "worse": "higher", "against": "limit", "threshold": 1.2, "sensitivity": 0.03}
HIGH = Sample("inflation", "b", 2000, 2220.0, 2484.2)


@pytest.fixture
def watched(running: Experiment) -> Guardrail:
    return add_guardrail(running.pk, "inflation", **WATCHED, actor=SYSTEM)


def test_a_narrower_limit_judges_at_once_what_was_measured(running: Experiment, watched: Guardrail) -> None:
    push_samples(running.pk, [HIGH], actor=SYSTEM)
    assert not Event.objects.filter(kind="flags.guardrail_breached").exists()
    manager = person("manager")
    given: Any = {"threshold": 1.08, "reason": "as agreed"}
    found = edit_guardrail(running.pk, watched.pk, **given, actor=actor(manager))
    assert (found.version, Event.objects.get(kind="flags.guardrail_breached").payload["variant"]) == (2, "b")
    edit_guardrail(running.pk, watched.pk, **given, actor=actor(manager))
    assert Guardrail.objects.get().version == 2
    told = [row.history_change_reason for row in watched.history.order_by("version")]
    assert told[1] == f"as agreed ({manager.username})"
    edit_guardrail(running.pk, watched.pk, threshold=1.2, reason="too narrow", actor=SYSTEM)
    assert not GuardrailTotal.objects.filter(breached_at__isnull=False).exists()


def test_a_narrower_limit_kills_where_the_experiment_allows_it(running: Experiment, watched: Guardrail) -> None:
    edit_experiment(running.pk, auto_kill=True, actor=SYSTEM)
    push_samples(running.pk, [HIGH], actor=SYSTEM)
    edit_guardrail(running.pk, watched.pk, threshold=1.08, reason="as agreed", actor=SYSTEM)
    assert AllocationEpoch.objects.latest("number").moves == {"b": "control"}


def test_a_removed_guardrail_watches_no_more_and_its_history_says_why(running: Experiment, watched: Guardrail) -> None:
    push_samples(running.pk, [HIGH], actor=SYSTEM)
    remove_guardrail(running.pk, watched.pk, reason="it counts retries", actor=SYSTEM)
    assert (Guardrail.objects.count(), GuardrailTotal.objects.count()) == (0, 0)
    last = Guardrail.history.latest()
    assert (last.history_type, last.history_change_reason) == ("-", "it counts retries (portal)")
    assert Event.objects.latest("pk").payload["reason"] == "it counts retries"
    with pytest.raises(NotFound):
        remove_guardrail(running.pk, watched.pk, reason="again", actor=SYSTEM)
    with pytest.raises(Invalid, match=r"No guardrail watches 'inflation'\. Known: none yet"):
        push_samples(running.pk, [HIGH], actor=SYSTEM)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"threshold": float("nan")}, Invalid),
        ({"sensitivity": 0.0}, Invalid),
        ({"alpha": 0.9}, Invalid),
        ({"worse": "sideways"}, Invalid),
        ({"against": "fallback", "threshold": -1.0}, Invalid),
        ({"threshold": 2.0, "reason": " "}, Invalid),
        ({"threshold": 2.0, "expected_version": 7}, PreconditionFailed),
    ],
)
def test_a_wrong_change_of_a_guardrail_is_refused(
    running: Experiment, watched: Guardrail, given: Any, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        edit_guardrail(running.pk, watched.pk, **{"reason": "x", **given}, actor=SYSTEM)
    assert Guardrail.objects.get().version == 1


def test_what_guarded_an_experiment_that_has_ended_stays(running: Experiment, watched: Guardrail) -> None:
    end_experiment(running.pk, reason="done", actor=SYSTEM)
    for verb, given in ((edit_guardrail, {"threshold": 2.0}), (remove_guardrail, {})):
        with pytest.raises(Conflict):
            verb(running.pk, watched.pk, **given, reason="x", actor=SYSTEM)  # type: ignore[operator]  # two verbs
    with pytest.raises(Conflict):
        add_guardrail(running.pk, "crashes", **WATCHED, actor=SYSTEM)


def test_guardrails_are_changed_and_removed_over_the_api_by_whoever_may_change_the_flag(
    client: Client, running: Experiment, watched: Guardrail
) -> None:
    manager, address = person("manager"), f"/api/v1/experiments/{running.pk}/guardrails/{watched.pk}/"

    def send(method: str, body: Any, path: str = "", **headers: str) -> Any:
        given = {**bearer(manager), **headers}
        return getattr(client, method)(address + path, body, content_type="application/json", headers=given)

    assert send("patch", {"threshold": 1.5}).status_code == 400
    changed = send("patch", {"threshold": 1.5, "reason": "x"}, **{"If-Match": f'"guardrail-{watched.pk}-v1"'})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = send("post", {"reason": "x"}, "remove/", **{"If-Match": f'"guardrail-{watched.pk}-v1"'})
    assert stale.status_code == 412
    assert client.patch(address, {"nonsense": 1}, headers=bearer(person("responder"))).status_code == 403
    gone = send("post", {"reason": "x"}, "remove/", **{"If-Match": changed.headers["ETag"]})
    assert (gone.status_code, Guardrail.objects.count()) == (204, 0)
    assert send("post", {"reason": "x"}, "remove/").status_code == 404


def test_the_page_changes_and_removes_a_guardrail(running: Experiment, watched: Guardrail) -> None:
    client = Client()
    client.force_login(person("manager"))

    def press(name: str, **given: str) -> None:
        button = reverse(f"admin:flags_experiment_{name}", args=[running.pk])
        client.post(button, {"_form_submitted": "on", "guardrail": str(watched.pk), "reason": "x", **given})

    press("edit_guardrail", threshold="0")
    assert (Guardrail.objects.get().threshold, Guardrail.objects.get().sensitivity) == (0, 0.03)
    press("remove_guardrail")
    assert not Guardrail.objects.exists()


# --- the ledger ----------------------------------------------------------------------------------------------------


def test_long_after_its_end_only_counts_are_kept_and_all_figures_stay(
    running: Experiment, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXPOSURE_DAYS = 30
    monkeypatch.setattr(retaining, "BATCH", 100)
    found = values(running, [f"user-{n}" for n in range(250)])
    record_exposures(running.pk, [Seen(*each) for each in found.items()], actor=SYSTEM)
    kill_variant(running.pk, "b", mode="split_evenly", reason="x", actor=SYSTEM)
    clock = ManualClock(now())
    with use_clock(clock):
        ended = end_experiment(running.pk, reason="done", actor=SYSTEM)
        epochs = epochs_of(ended)
        before = enrolled(ended, epochs), ratio_figures(ended, epochs)
        clock.advance(timedelta(days=29))
        assert sweep_ledgers() == 0
        clock.advance(timedelta(days=2))
        assert [sweep_ledgers() for _ in range(4)] == [100, 100, 50, 0]
    assert (Exposure.objects.count(), HeldUnits.objects.count()) == (0, 0)
    assert (enrolled(ended, epochs), ratio_figures(ended, epochs)) == before
    assert sum(each["count"] for each in LedgerSummary.objects.get().counts) == 250
    with pytest.raises(Conflict, match="its ledger is closed"):
        record_exposures(running.pk, [Seen("late", "a")], actor=SYSTEM)
    client = Client()
    client.force_login(person("viewer"))
    page = client.get(reverse("admin:flags_experiment_change", args=[running.pk])).content.decode()
    assert "The ledger was removed on" in page


def test_the_ledger_of_an_experiment_that_runs_is_never_swept(running: Experiment, settings: Any) -> None:
    settings.EXPOSURE_DAYS = 1
    record_exposures(running.pk, [Seen("user-1", values(running, ["user-1"])["user-1"])], actor=SYSTEM)
    clock = ManualClock(now())
    with use_clock(clock):
        clock.advance(timedelta(days=400))
        assert sweep_ledgers() == 0
    assert Exposure.objects.count() == 1


def test_a_sweep_is_always_to_come(running: Experiment) -> None:
    keep_sweeping()
    keep_sweeping()
    assert Timer.objects.filter(kind=LEDGER_TIMER, state="pending").count() == 1
