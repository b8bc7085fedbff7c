from __future__ import annotations

from datetime import timedelta

import pytest

from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.incidents.operations import acknowledge, change_severity, mark, resolve, set_phase
from apps.paging.models import EscalationRun
from tests.factories import actor, answers_for, incident, named, novacron, person


def _track(incident_id: int, track: str) -> EscalationRun:
    return EscalationRun.objects.get(subject_key=str(incident_id), track=track)


@pytest.mark.django_db
def test_a_new_severity_starts_escalation_anew_under_it() -> None:
    made, ana = incident(severity="P2"), named("ana", "commander")
    before = _track(made.pk, "page").run
    changed = change_severity(made.pk, "p0", reason="everybody is out", actor=actor(ana))
    assert (changed.severity, changed.severity_rank, changed.version) == ("P0", 0, 2)
    assert _track(made.pk, "page").run > before
    assert _track(made.pk, "page").severity == "P0"
    assert made.timeline.filter(kind="severity").get().text == "Severity changed from P2 to P0: everybody is out"


@pytest.mark.django_db
def test_who_acknowledged_is_not_paged_again_by_a_new_severity() -> None:
    bo = named("bo", "responder")
    answers_for("primary", bo)
    made = incident(severity="P2")
    acknowledge(made.pk, actor=actor(bo))
    change_severity(made.pk, "P0", actor=actor(person("commander")))
    assert _track(made.pk, "page").state == "acknowledged"
    assert bo.pages.count() == 1


@pytest.mark.django_db
def test_the_same_severity_changes_nothing() -> None:
    made = incident(severity="P2")
    assert change_severity(made.pk, "P2", actor=actor(person("commander"))).version == 1


@pytest.mark.django_db
def test_a_severity_that_pages_nobody_ends_escalation() -> None:
    made = incident(severity="P2")
    change_severity(made.pk, "P4", actor=actor(person("commander")))
    assert {run.state for run in EscalationRun.objects.all()} == {"stopped"}


@pytest.mark.django_db
def test_a_severity_that_pages_starts_what_was_never_started() -> None:
    answers_for("primary", named("bo", "responder"))
    made = incident(severity="P4")
    change_severity(made.pk, "P1", actor=actor(person("commander")))
    assert _track(made.pk, "page").state == "running"
    assert made.timeline.filter(kind="paged").get().text == "Paged Bo (level 1, primary)"


@pytest.mark.django_db
def test_severity_is_refused_when_unknown_not_allowed_or_too_late() -> None:
    made, boss = incident(severity="P2"), actor(person("commander"))
    with pytest.raises(Invalid, match="P0, P1, P2, P3, P4"):
        change_severity(made.pk, "SEV1", actor=boss)
    with pytest.raises(Forbidden):
        change_severity(made.pk, "P0", actor=actor(person("responder")))
    resolve(made.pk, actor=boss)
    with pytest.raises(Conflict):
        change_severity(made.pk, "P0", actor=boss)


@pytest.mark.django_db
def test_phases_go_forwards_and_back_and_read_as_the_pack_says() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    assert set_phase(made.pk, "triage", actor=rea).phase == "triage"
    assert set_phase(made.pk, "detected", actor=rea).phase == "detected"
    assert [e.text for e in made.timeline.filter(kind="phase")] == ["Phase: Triage & analysis", "Phase: Detected"]


@pytest.mark.django_db
def test_a_phase_marks_what_it_implies_once() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    set_phase(made.pk, "mitigating", actor=rea)
    triaged = made.milestones.get(name="triaged").at
    set_phase(made.pk, "validating", actor=rea)
    assert made.milestones.get(name="triaged").at == triaged
    assert made.milestones.filter(name="mitigated").exists()


@pytest.mark.django_db
def test_the_same_phase_changes_nothing() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    assert set_phase(made.pk, "detected", actor=rea).version == 1


@pytest.mark.django_db
def test_resolved_is_not_a_phase_to_set() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    with pytest.raises(Invalid, match="resolve"):
        set_phase(made.pk, "resolved", actor=rea)
    with pytest.raises(Invalid, match="Valid: detected"):
        set_phase(made.pk, "panic", actor=rea)
    resolve(made.pk, actor=actor(person("commander")))
    with pytest.raises(Conflict):
        set_phase(made.pk, "triage", actor=rea)


@pytest.mark.django_db
def test_a_milestone_is_marked_once_and_corrected_by_another_instant() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    first = mark(made.pk, "mitigated", actor=rea)
    assert mark(made.pk, "mitigated", actor=rea).at == first.at
    earlier = now() - timedelta(minutes=5)
    assert mark(made.pk, "mitigated", at=earlier, actor=rea).at == earlier
    texts = [entry.text for entry in made.timeline.filter(kind="milestone")]
    assert texts == ["Mitigated", f"Mitigated, at {earlier:%H:%M:%S} UTC (corrected)"]
    assert made.milestones.get(name="mitigated").history.count() == 2


@pytest.mark.django_db
def test_correcting_detected_corrects_the_incident() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    earlier = now() - timedelta(minutes=30)
    mark(made.pk, "detected", at=earlier, actor=rea)
    made.refresh_from_db()
    assert made.detected_at == earlier


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["declared", "acknowledged", "resolved", "made-up"])
def test_milestones_of_verbs_and_of_no_pack_are_not_marked_by_hand(name: str) -> None:
    made = incident(severity="P4")
    with pytest.raises(Invalid):
        mark(made.pk, name, actor=actor(person("responder")))


@pytest.mark.django_db
def test_a_milestone_never_lies_in_the_future() -> None:
    made = incident(severity="P4")
    with pytest.raises(Invalid, match="still to come"):
        mark(made.pk, "mitigated", at=now() + timedelta(hours=1), actor=actor(person("responder")))


@pytest.mark.django_db
def test_the_milestone_that_the_pack_names_ends_the_management_track() -> None:
    novacron(("until: resolved", "until: mitigated"))
    made = incident(severity="P0")
    mark(made.pk, "mitigated", actor=actor(person("responder")))
    assert _track(made.pk, "management").state == "stopped"
    assert _track(made.pk, "page").state != "stopped"
