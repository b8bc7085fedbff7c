from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.incidents.models import Incident
from apps.incidents.operations import (
    acknowledge,
    alerts_cleared,
    alerts_firing,
    keep_open,
    reopen,
    resolve,
    take_role,
)
from apps.paging.models import EscalationRun
from tests.factories import actor, answers_for, incident, named, novacron, person

SYSTEM = Actor.system("alerts")


def _fresh(made: Incident) -> Incident:
    return Incident.objects.get(pk=made.pk)


def _kinds(made: Incident) -> list[str]:
    return list(made.timeline.values_list("kind", flat=True))


@pytest.mark.django_db
def test_resolving_ends_both_tracks_and_marks_the_milestone() -> None:
    made, ana = incident(severity="P0"), named("ana", "commander")
    done = resolve(made.pk, summary="pool raised", actor=actor(ana))
    assert (done.phase, done.resolved_at is not None, done.version) == ("resolved", True, 2)
    assert {run.state for run in EscalationRun.objects.all()} == {"stopped"}
    assert made.milestones.get(name="resolved").at == done.resolved_at
    assert made.timeline.get(kind="resolved").text == "Resolved by Ana: pool raised"
    assert done.history.first().history_user == ana


@pytest.mark.django_db
def test_resolving_again_changes_nothing() -> None:
    made, ana = incident(severity="P4"), actor(named("ana", "commander"))
    first = resolve(made.pk, actor=ana)
    again = resolve(made.pk, actor=ana)
    assert (again.resolved_at, again.version) == (first.resolved_at, first.version)
    assert _kinds(made).count("resolved") == 1


@pytest.mark.django_db
def test_a_responder_does_not_resolve_or_reopen() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    with pytest.raises(Forbidden):
        resolve(made.pk, actor=rea)
    with pytest.raises(Forbidden):
        reopen(made.pk, actor=rea)


@pytest.mark.django_db
def test_the_database_keeps_phase_and_instant_together() -> None:
    made = incident(severity="P4")
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.filter(pk=made.pk).update(phase="resolved")


@pytest.mark.django_db
def test_reopening_begins_a_new_cycle_and_pages_from_the_first_level() -> None:
    bo = named("bo", "responder")
    answers_for("primary", bo)
    made, ana = incident(severity="P1"), actor(named("ana", "commander"))
    acknowledge(made.pk, actor=actor(bo))
    resolve(made.pk, actor=ana)
    again = reopen(made.pk, reason="it is back", actor=ana)
    assert (again.phase, again.resolved_at, again.acknowledged_at) == ("detected", None, None)
    assert (again.reopened_count, bo.pages.count()) == (1, 2)
    assert set(made.milestones.filter(cycle=1).values_list("name", flat=True)) == {"reopened", "detected"}
    assert made.timeline.get(kind="reopened").text == "Reopened by Ana: it is back"


@pytest.mark.django_db
def test_reopening_an_open_incident_changes_nothing() -> None:
    made = incident(severity="P4")
    assert reopen(made.pk, actor=actor(person("commander"))).version == 1


@pytest.mark.django_db
def test_each_cycle_has_its_own_answer_and_end() -> None:
    made, ana = incident(severity="P1"), actor(named("ana", "commander"))
    for _ in range(2):
        acknowledge(made.pk, actor=ana)
        resolve(made.pk, actor=ana)
        reopen(made.pk, actor=ana)
    for name in ("acknowledged", "resolved"):
        assert list(made.milestones.filter(name=name).values_list("cycle", flat=True)) == [0, 1]


@pytest.mark.django_db
def test_when_alerts_clear_and_nobody_commands_it_resolves_by_itself() -> None:
    made = incident(severity="P1")
    alerts_cleared([made.pk], actor=SYSTEM)
    done = _fresh(made)
    assert (done.phase, done.resolve_proposed_at) == ("resolved", None)
    assert made.timeline.get(kind="resolved").text == "Resolved by itself: all alerts cleared"


@pytest.mark.django_db
def test_when_somebody_commands_the_portal_proposes_once() -> None:
    made, ana = incident(severity="P1"), actor(named("ana", "commander"))
    take_role(made.pk, "commander", actor=ana)
    alerts_cleared([made.pk], actor=SYSTEM)
    alerts_cleared([made.pk], actor=SYSTEM)
    found = _fresh(made)
    assert found.is_open
    assert found.resolve_proposed_at is not None
    assert _kinds(made).count("resolve_proposed") == 1
    assert Event.objects.filter(kind="incidents.resolve_proposed").count() == 1


@pytest.mark.django_db
def test_a_proposal_is_withdrawn_when_an_alert_fires_again() -> None:
    made, ana = incident(severity="P1"), actor(named("ana", "commander"))
    take_role(made.pk, "commander", actor=ana)
    alerts_cleared([made.pk], actor=SYSTEM)
    alerts_firing([made.pk], actor=SYSTEM)
    alerts_firing([made.pk], actor=SYSTEM)
    assert _fresh(made).resolve_proposed_at is None
    assert _kinds(made).count("proposal_withdrawn") == 1


@pytest.mark.django_db
def test_the_commander_declines_or_accepts_a_proposal() -> None:
    made, ana = incident(severity="P1"), actor(named("ana", "commander"))
    take_role(made.pk, "commander", actor=ana)
    alerts_cleared([made.pk], actor=SYSTEM)
    assert keep_open(made.pk, actor=ana).resolve_proposed_at is None
    alerts_cleared([made.pk], actor=SYSTEM)
    assert resolve(made.pk, actor=ana).resolve_proposed_at is None


@pytest.mark.django_db
@pytest.mark.parametrize(("on_clear", "phase"), [("always", "resolved"), ("never", "detected")])
def test_the_pack_may_decide_otherwise(on_clear: str, phase: str) -> None:
    novacron(("on_clear: propose_when_commanded", f"on_clear: {on_clear}"))
    made = incident(severity="P1")
    if on_clear == "always":
        take_role(made.pk, "commander", actor=actor(person("commander")))
    alerts_cleared([made.pk], actor=SYSTEM)
    assert _fresh(made).phase == phase
    assert (_fresh(made).resolve_proposed_at is not None) == (on_clear == "never")


@pytest.mark.django_db
def test_clearing_again_after_the_end_changes_nothing() -> None:
    made = incident(severity="P1")
    alerts_cleared([made.pk], actor=SYSTEM)
    version = _fresh(made).version
    alerts_cleared([made.pk, 999_999], actor=SYSTEM)
    assert _fresh(made).version == version


@pytest.mark.django_db
def test_clearing_many_takes_as_many_queries_as_clearing_a_few() -> None:
    counts = []
    for size in (2, 30):
        ids = [incident(severity="P1").pk for _ in range(size)]
        with CaptureQueriesContext(connection) as queries:
            alerts_cleared(ids, actor=SYSTEM)
        counts.append(len(queries))
    assert counts[1] <= counts[0] + (0 if connection.vendor == "postgresql" else 6)
