from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Forbidden, Invalid
from apps.incidents.models import Incident, NumberCounter
from apps.incidents.operations import Declaration, declare, declare_many
from apps.paging.models import EscalationRun, Page
from tests.factories import actor, answers_for, incident, named, novacron, novacron_text, pack, service, team

SYSTEM = Actor.system()
NOBODYS = 2**62  # an id that no row has, however many tests ran before


@pytest.mark.django_db
def test_title_and_severity_are_enough() -> None:
    version = novacron()
    ana = named("ana", "responder")
    made = declare("Nobody can log in", "P1", actor=actor(ana))
    assert re.fullmatch(r"INC-\d{4}-\d\d-\d\d-001", made.number)
    assert (made.severity, made.severity_rank, made.phase) == ("P1", 1, "detected")
    assert (made.policy_version_id, made.declared_by, made.version) == (version.pk, ana, 1)


@pytest.mark.django_db
def test_the_incident_its_milestones_its_event_and_its_first_line_exist_together() -> None:
    made = incident("Nobody can log in", "P4")
    assert {m.name for m in made.milestones.all()} == {"detected", "declared"}
    assert Event.objects.filter(kind="incidents.declared", subject_key=str(made.pk)).count() == 1
    first = made.timeline.get()
    assert (first.seq, first.kind, first.text) == (1, "declared", "Declared P4 Informational: Nobody can log in")
    assert Incident.objects.get(pk=made.pk).stream_seq == 1


@pytest.mark.django_db
def test_the_first_page_stands_on_the_timeline_in_the_same_transaction() -> None:
    answers_for("primary", named("bo", "responder"))
    made = incident(severity="P1")
    assert Page.objects.get().user.username == "bo"
    assert [entry.text for entry in made.timeline.all()][1] == "Paged Bo (level 1, primary)"


@pytest.mark.django_db
def test_a_severity_that_pages_nobody_starts_no_escalation() -> None:
    incident(severity="P4")
    assert not EscalationRun.objects.exists()


@pytest.mark.django_db
def test_a_quiet_declaration_pages_nobody() -> None:
    answers_for("primary", named("bo", "responder"))
    incident(severity="P0", page=False)
    assert not Page.objects.exists()


@pytest.mark.django_db
def test_an_unknown_severity_is_refused_with_the_valid_ones() -> None:
    novacron()
    with pytest.raises(Invalid) as refused:
        declare("Slow", "SEV-1", actor=SYSTEM)
    assert "P0, P1, P2, P3, P4" in refused.value.message
    assert list(refused.value.fields) == ["severity"]
    assert not Incident.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"team_id": NOBODYS}, "team_id"),
        ({"service_ids": [NOBODYS]}, "service_ids"),
        ({"environment_id": NOBODYS}, "environment_id"),
        ({"visibility": "secret"}, "visibility"),
        ({"kind": "joke"}, "kind"),
        ({"policy_version_id": NOBODYS}, "policy_version_id"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], field: str) -> None:
    novacron()
    with pytest.raises(Invalid) as refused:
        declare(**{"title": "Slow", "severity": "P1", "actor": SYSTEM, **given})  # type: ignore[arg-type]
    assert list(refused.value.fields) == [field]


@pytest.mark.django_db
def test_who_may_not_declare_is_refused() -> None:
    novacron()
    with pytest.raises(Forbidden):
        declare("Slow", "P1", actor=actor(named("vi", "viewer")))


@pytest.mark.django_db
def test_the_team_is_the_owner_of_the_first_service_else_the_declarers_own() -> None:
    ana = named("ana", "responder")
    own, owners = team("Own", ana), team("Owners")
    login = service("Login", owners)
    novacron()
    assert declare("a", "P4", service_ids=[login.pk], actor=actor(ana)).team == owners
    assert declare("b", "P4", actor=actor(ana)).team == own
    assert declare("c", "P4", team_id=owners.pk, actor=actor(ana)).team == owners


@pytest.mark.django_db
def test_the_pack_of_the_service_beats_the_one_of_its_team() -> None:
    novacron()
    special = pack(novacron_text(("slug: novacron-v2", "slug: special"), ('number: "INC-', 'number: "SP-')))
    login = service("Login", policy_pack=special.pack)
    made = declare("a", "P4", service_ids=[login.pk], actor=SYSTEM)
    assert made.policy_version_id == special.pk
    assert made.number.startswith("SP-")


@pytest.mark.django_db
def test_detection_lies_before_declaration_and_never_in_the_future() -> None:
    early, late = now() - timedelta(minutes=3), now() + timedelta(minutes=3)
    assert incident(severity="P4", detected_at=early).detected_at == early
    made = incident(severity="P4", detected_at=late)
    assert made.detected_at == made.declared_at


@pytest.mark.django_db
def test_history_says_who_declared() -> None:
    novacron()
    ana = named("ana", "responder")
    made = declare("a", "P4", actor=actor(ana))
    row = made.history.get()
    assert (row.history_user, row.history_change_reason) == (ana, "declare many (Ana)")


@pytest.mark.django_db
def test_many_declarations_take_as_many_queries_as_a_few() -> None:
    for role, name in (("primary", "bo"), ("secondary", "cy")):
        answers_for(role, named(name, "responder"))
    novacron()
    login = service("Login")
    counts = []
    for size in (3, 40):
        batch = [Declaration(f"alert {n}", "P1", service_ids=(login.pk,)) for n in range(size)]
        with CaptureQueriesContext(connection) as queries:
            declare_many(batch, actor=SYSTEM)
        counts.append(len(queries))
    # SQLite splits long inserts, each time at the same places.
    assert counts[1] <= counts[0] + (0 if connection.vendor == "postgresql" else 12)


@pytest.mark.django_db
def test_a_batch_is_all_or_nothing() -> None:
    novacron()
    with pytest.raises(Invalid):
        declare_many([Declaration("a", "P1"), Declaration("b", "P9")], actor=SYSTEM)
    assert not Incident.objects.exists()
    assert not NumberCounter.objects.filter(last__gt=0).exists()


@pytest.mark.django_db
def test_numbers_of_one_batch_go_on_without_a_gap() -> None:
    novacron()
    made = declare_many([Declaration(f"alert {n}", "P4") for n in range(3)], actor=SYSTEM)
    assert [item.number[-3:] for item in made] == ["001", "002", "003"]
    assert incident(severity="P4").number[-3:] == "004"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_concurrent_declarations_never_share_a_number() -> None:
    novacron()

    def burst(name: int) -> list[str]:
        try:
            batch = [Declaration(f"{name}-{n}", "P4") for n in range(5)]
            return [item.number for item in declare_many(batch, actor=SYSTEM)]
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for found in pool.map(burst, range(16)) for number in found]
    assert sorted(int(number[-3:]) for number in numbers) == list(range(1, 81))
