from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Event
from apps.engine.operations import deliver, publish
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.incidents import wakeup
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations import NewEntry, acknowledge, append_entries, page_in, post, resolve
from apps.incidents.queries import subject_of
from apps.messaging.events import MessageFailed
from apps.paging import operations as paging
from apps.paging.models import Acknowledgement, Page
from tests.factories import actor, answers_for, incident, named, person, team


def _texts(made: Incident, kind: str) -> list[str]:
    return list(made.timeline.filter(kind=kind).values_list("text", flat=True))


@pytest.mark.django_db
def test_a_note_is_stored_as_written_and_leaves_the_version() -> None:
    made, ana = incident(severity="P4"), named("ana", "responder")
    entry = post(made.pk, "  **pool** is exhausted\n", actor=actor(ana))
    made.refresh_from_db()
    assert (entry.text, entry.author, entry.seq, entry.kind) == ("**pool** is exhausted", ana, 2, "post")
    assert (made.version, made.stream_seq) == (1, 2)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["", " \n ", "x" * 10_001, "nul \x00"])
def test_empty_too_long_and_unstorable_notes_are_refused(text: str) -> None:
    made = incident(severity="P4")
    with pytest.raises(Invalid):
        post(made.pk, text, actor=actor(person("responder")))
    assert made.timeline.count() == 1


@pytest.mark.django_db
def test_a_repeated_key_returns_the_first_note() -> None:
    made, ana = incident(severity="P4"), actor(person("responder"))
    first = post(made.pk, "once", client_key="k1", actor=ana)
    assert post(made.pk, "once", client_key="k1", actor=ana) == first
    assert post(made.pk, "once", client_key="k1", actor=actor(person("responder"))) != first
    assert len(_texts(made, "post")) == 2


@pytest.mark.django_db
def test_a_viewer_does_not_write() -> None:
    made = incident(severity="P4")
    with pytest.raises(Forbidden):
        post(made.pk, "hello", actor=actor(person("viewer")))


@pytest.mark.django_db
def test_a_resolved_incident_still_takes_notes() -> None:
    made, ana = incident(severity="P4"), actor(person("commander"))
    resolve(made.pk, actor=ana)
    assert post(made.pk, "for the review", actor=ana).seq == 3


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_notes_written_at_once_are_numbered_without_gaps() -> None:
    made, ana = incident(severity="P4"), actor(person("responder"))

    def write(number: int) -> None:
        try:
            post(made.pk, f"note {number}", actor=ana)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    assert list(made.timeline.values_list("seq", flat=True)) == list(range(1, 26))
    assert Incident.objects.get().stream_seq == 25


@pytest.mark.django_db
def test_lines_are_appended_in_bulk_and_told_once() -> None:
    made = [incident(severity="P4") for _ in range(3)]
    lines = [NewEntry(item.pk, "note", f"line {n}", "portal", event_id=10**9 + n) for n, item in enumerate(made * 2)]
    counts = []
    for size in (3, 6):
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            assert len(append_entries(lines[:size])) == 3
        counts.append(len(queries))
    assert counts[0] == counts[1]
    with transaction.atomic():
        assert append_entries(lines) == []
    assert TimelineEntry.objects.filter(kind="note").count() == 6


@pytest.mark.django_db
def test_acknowledging_stops_the_page_and_marks_the_milestone_once() -> None:
    bo = named("bo", "responder")
    answers_for("primary", bo)
    made = incident(severity="P1")
    first = acknowledge(made.pk, actor=actor(bo))
    again = acknowledge(made.pk, actor=actor(person("commander")))
    assert first.acknowledged_at == again.acknowledged_at == made.milestones.get(name="acknowledged").at
    assert (Page.objects.get().state, again.version) == ("acknowledged", 2)
    assert _texts(made, "acknowledged") == ["Acknowledged by Bo"]


@pytest.mark.django_db
def test_what_a_verb_told_is_not_told_again_when_its_events_are_delivered() -> None:
    answers_for("primary", named("bo", "responder"))
    made = incident(severity="P1")
    acknowledge(made.pk, actor=actor(person("responder")))
    before = made.timeline.count()
    while deliver():
        pass
    assert made.timeline.count() == before


@pytest.mark.django_db
def test_an_incident_that_pages_nobody_is_acknowledged_all_the_same() -> None:
    made, rea = incident(severity="P4"), named("rea", "responder")
    assert acknowledge(made.pk, actor=actor(rea)).acknowledged_at is not None
    acknowledge(made.pk, actor=actor(rea))
    assert _texts(made, "acknowledged") == ["Acknowledged by Rea"]


@pytest.mark.django_db
def test_the_link_in_a_page_acknowledges_the_incident_when_its_event_is_delivered() -> None:
    bo = named("bo")
    answers_for("primary", bo)
    made = incident(severity="P1")
    done = paging.acknowledge_by_link(Page.objects.get().pk, actor=actor(bo, via="link"))
    while deliver():
        pass
    made.refresh_from_db()
    assert done is not None
    assert made.acknowledged_at == done.at == made.milestones.get(name="acknowledged").at
    assert _texts(made, "acknowledged") == ["Acknowledged by Bo by the link in the page"]
    assert Event.objects.filter(kind="incidents.acknowledged").count() == 1


@pytest.mark.django_db
def test_a_link_and_a_click_make_one_answer() -> None:
    bo = named("bo", "responder")
    answers_for("primary", bo)
    made = incident(severity="P1")
    done = paging.acknowledge_by_link(Page.objects.get().pk, actor=actor(bo, via="link"))
    acknowledge(made.pk, actor=actor(person("commander")))
    while deliver():
        pass
    made.refresh_from_db()
    assert done is not None
    assert made.acknowledged_at == done.at
    assert made.milestones.get(name="acknowledged").marked_by is not None
    assert (Acknowledgement.objects.count(), len(_texts(made, "acknowledged"))) == (1, 1)


@pytest.mark.django_db
def test_whoever_was_paged_may_acknowledge_without_any_group() -> None:
    made, boss = incident(severity="P4"), actor(person("commander"))
    vi = named("vi", "viewer")
    with pytest.raises(Forbidden):
        acknowledge(made.pk, actor=actor(vi))
    page_in(made.pk, user_id=vi.pk, actor=boss)
    assert acknowledge(made.pk, actor=actor(vi)).acknowledged_at is not None


@pytest.mark.django_db
def test_a_resolved_incident_is_not_acknowledged() -> None:
    made, boss = incident(severity="P4"), actor(person("commander"))
    resolve(made.pk, actor=boss)
    with pytest.raises(Conflict):
        acknowledge(made.pk, actor=boss)


@pytest.mark.django_db
def test_a_person_is_paged_in_once_until_they_answer() -> None:
    made, rea, bo = incident(severity="P4"), actor(named("rea", "responder")), named("bo", "viewer")
    assert page_in(made.pk, user_id=bo.pk, reason="knows the pool", actor=rea) == [bo]
    assert page_in(made.pk, user_id=bo.pk, actor=rea) == []
    assert (Page.objects.count(), _texts(made, "paged")) == (1, ["Paged in Bo: knows the pool"])


@pytest.mark.django_db
def test_a_role_means_who_is_on_call_for_it_in_the_team_named() -> None:
    core, other = team("Core"), team("Other")
    bo, cy = named("bo"), named("cy")
    answers_for("secondary", bo, core)
    answers_for("secondary", cy, other)
    made, rea = incident(severity="P4", team_id=core.pk), actor(person("responder"))
    assert page_in(made.pk, role="secondary", actor=rea) == [bo]
    assert page_in(made.pk, role="secondary", team_id=other.pk, actor=rea) == [cy]


@pytest.mark.django_db
def test_a_team_means_its_first_level_else_its_leads_else_its_members() -> None:
    bo, cy, di = named("bo"), named("cy"), named("di")
    core = team("Core", cy, di)
    made, rea = incident(severity="P4"), actor(person("responder"))
    assert page_in(made.pk, team_id=core.pk, actor=rea) == [cy, di]
    core.memberships.filter(user=di).update(role="lead")
    other = incident(severity="P4")
    assert page_in(other.pk, team_id=core.pk, actor=rea) == [di]
    answers_for("primary", bo, core)
    assert page_in(other.pk, team_id=core.pk, actor=rea) == [bo]


@pytest.mark.django_db
@pytest.mark.parametrize("wanted", [{}, {"user_id": 1, "role": "primary"}])
def test_exactly_one_kind_of_wish_is_understood(wanted: dict[str, object]) -> None:
    made = incident(severity="P4")
    with pytest.raises(Invalid):
        page_in(made.pk, **wanted, actor=actor(person("responder")))  # type: ignore[arg-type]


@pytest.mark.django_db
def test_nobody_to_reach_is_said() -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    with pytest.raises(Conflict, match="Nobody is on call for secondary"):
        page_in(made.pk, role="secondary", actor=rea)
    with pytest.raises(Conflict, match="no members"):
        page_in(made.pk, team_id=team("Empty").pk, actor=rea)


@pytest.mark.django_db
def test_a_viewer_pages_nobody_and_a_resolved_incident_needs_nobody() -> None:
    made, bo = incident(severity="P4"), named("bo")
    with pytest.raises(Forbidden):
        page_in(made.pk, user_id=bo.pk, actor=actor(person("viewer")))
    resolve(made.pk, actor=Actor.system())
    with pytest.raises(Conflict):
        page_in(made.pk, user_id=bo.pk, actor=actor(person("responder")))


@pytest.mark.django_db
def test_a_level_without_anybody_is_told() -> None:
    answers_for("secondary", named("cy"))
    made = incident(severity="P1")
    assert _texts(made, "nobody_reachable") == ["Nobody on call for primary (level 1): next level taken at once"]
    while fire_timers() or deliver():
        pass
    assert _texts(made, "paged") == ["Paged Cy (level 2, secondary)"]


@pytest.mark.django_db
def test_events_of_other_subjects_and_of_gone_incidents_are_left_alone() -> None:
    made = incident(severity="P1")
    key = subject_of(made)
    Incident.objects.filter(pk=made.pk).delete()
    assert Event.objects.filter(subject_key=key.key).exists()
    while deliver():
        pass
    assert not TimelineEntry.objects.exists()


@pytest.mark.django_db
def test_a_message_that_failed_is_told() -> None:
    made = incident(severity="P4")
    failed = MessageFailed(
        message_id=1,
        channel="email",
        recipient_id=None,
        recipient="Bo",
        address="",
        title="page",
        error="550 no such user",
        attempts=2,
        outcome="refused",
    )
    with transaction.atomic():
        publish(failed, subject=subject_of(made), actor=Actor.system("messaging"))
    while deliver():
        pass
    assert _texts(made, "message_failed") == [
        "A message by email to Bo failed after 2 tries: the provider refuses it for good"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_dead_redis_costs_no_time_and_no_line(settings: Any) -> None:
    made, rea = incident(severity="P4"), actor(person("responder"))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    wakeup.client.cache_clear()
    started = time.monotonic()
    for number in range(5):
        post(made.pk, f"note {number}", actor=rea)
    wakeup.client.cache_clear()
    assert len(_texts(made, "post")) == 5
    assert time.monotonic() - started < 3
