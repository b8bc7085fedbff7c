from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from guardian.shortcuts import assign_perm

from apps.engine.models import Event
from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject, is_visible, subject_titles, subject_url, visible_subjects
from apps.incidents import operations
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.queries import (
    alike_open_incidents,
    open_incidents,
    search,
    subject_of,
    timeline,
    titles,
    visible_related,
    visible_to,
)
from apps.people.models import User
from tests.factories import actor, answers_for, incident, named, novacron, person, service, superuser, team


def _private(**given: object) -> Incident:
    return incident("Secret thing", "P4", visibility="private", **given)


def _sees(user: User, made: Incident) -> bool:
    return visible_to(user).filter(pk=made.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "manager", "approver", "auditor"])
def test_open_incidents_are_seen_by_every_group_and_private_ones_by_auditors(group: str) -> None:
    user = person(group)
    assert _sees(user, incident(severity="P4"))
    assert _sees(user, _private()) == (group == "auditor")


@pytest.mark.django_db
def test_superusers_see_all_and_strangers_nothing() -> None:
    made = _private()
    assert _sees(superuser(), made)
    for user in (person(), person("auditor", is_active=False)):
        assert not visible_to(user).exists()
    assert not visible_to(AnonymousUser()).exists()


@pytest.mark.django_db
def test_the_team_its_declarer_its_role_holders_and_the_paged_see_a_private_one() -> None:
    novacron()
    member, declarer, holder, paged = (named(n, "responder") for n in ("mem", "dec", "hol", "pag"))
    core, boss = team("Core", member), actor(superuser())
    made = _private(team_id=core.pk, actor=actor(declarer))
    assert not _sees(holder, made)
    operations.take_role(made.pk, "tech-lead", holder.pk, actor=boss)
    operations.release_role(made.pk, "tech-lead", actor=boss)
    operations.page_in(made.pk, user_id=paged.pk, actor=boss)
    assert all(_sees(user, made) for user in (member, declarer, holder, paged))


@pytest.mark.django_db
def test_grants_show_it_to_people_and_groups_without_any_other_permission() -> None:
    core = team("Core")
    made, other = _private(team_id=core.pk), _private()
    on_incident, on_team, by_group = person(), person(), person()
    guests = Group.objects.create(name="guests")
    by_group.groups.add(guests)
    assign_perm("view_incident", on_incident, made)
    assign_perm("respond_for_team", on_team, core)
    assign_perm("respond_for_team", guests, core)
    for user in (on_incident, on_team, by_group):
        assert set(visible_to(user)) == {made}, user
    assert other not in visible_to(on_team)


@pytest.mark.django_db
def test_a_grant_to_respond_for_the_team_lets_act_too() -> None:
    core = team("Core")
    made, helper = _private(team_id=core.pk), person()
    assign_perm("respond_for_team", helper, core)
    assert operations.post(made.pk, "on it", actor=actor(helper)).seq == 2


@pytest.mark.django_db
def test_visibility_is_one_query_after_the_permissions() -> None:
    user = User.objects.get(pk=person("responder").pk)
    user.has_perm("incidents.view_incident")
    incident(severity="P4")
    with CaptureQueriesContext(connection) as queries:
        list(visible_to(user))
    assert len(queries) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("verb", "given"),
    [
        (operations.acknowledge, {}),
        (operations.take_role, {"role": "commander"}),
        (operations.hand_over, {"role": "commander", "to_user_id": 1}),
        (operations.release_role, {"role": "commander"}),
        (operations.change_severity, {"severity": "P0"}),
        (operations.set_phase, {"phase": "triage"}),
        (operations.mark, {"milestone": "mitigated"}),
        (operations.post, {"text": "hello"}),
        (operations.page_in, {"role": "primary"}),
        (operations.resolve, {}),
        (operations.reopen, {}),
        (operations.keep_open, {}),
        (operations.change_visibility, {"visibility": "open"}),
        (operations.grant_access, {"user_id": 1}),
        (operations.revoke_access, {"user_id": 1}),
    ],
)
def test_a_private_incident_of_another_team_does_not_exist_for_any_verb(verb: object, given: dict[str, object]) -> None:
    outsider = actor(person("commander"))
    made = _private(team_id=team("Core").pk)
    with pytest.raises(NotFound) as hidden:
        verb(made.pk, **given, actor=outsider)  # type: ignore[operator]
    with pytest.raises(NotFound) as missing:
        verb(999_999, **given, actor=outsider)  # type: ignore[operator]
    assert hidden.value.message == missing.value.message
    assert made.timeline.count() == 1


@pytest.mark.django_db
def test_it_stays_out_of_lists_search_timelines_and_history() -> None:
    outsider, made = person("commander"), _private()
    assert not open_incidents(outsider).exists()
    assert not search(visible_to(outsider), "secret").exists()
    assert alike_open_incidents("Secret thing", [], outsider) == []
    assert not timeline(made.pk, outsider).exists()
    assert not visible_related(TimelineEntry.objects.all(), outsider).exists()
    assert not visible_related(Incident.history.all(), outsider, field="id").exists()
    assert visible_related(Incident.history.all(), person("auditor"), field="id").exists()


@pytest.mark.django_db
def test_it_stays_out_of_what_lower_apps_list_by_subject() -> None:
    outsider, made = person("commander"), _private()
    mine = Event.objects.filter(visible_subjects(outsider), kind="incidents.declared")
    assert not mine.exists()
    assert not is_visible(subject_of(made), outsider)
    assert is_visible(subject_of(made), person("auditor"))


@pytest.mark.django_db
def test_what_a_person_sees_by_subject_is_asked_anew_though_its_sql_is_written_once() -> None:
    watcher, outsider = named("watcher", "viewer"), person()
    told = Event.objects.filter(kind="incidents.declared").order_by("pk")
    assert not told.filter(visible_subjects(watcher)).exists()
    first, second = incident("Open"), _private()
    assert [it.subject_key for it in told.filter(visible_subjects(watcher))] == [str(first.pk)]
    assign_perm("view_incident", watcher, second)
    assert [it.subject_key for it in told.filter(visible_subjects(watcher))] == [str(first.pk), str(second.pk)]
    assert list(visible_related(Incident.objects.order_by("pk"), watcher, field="pk")) == [first, second]
    assert not told.filter(visible_subjects(outsider)).exists()
    outsider.is_superuser = True
    assert told.filter(visible_subjects(outsider)).count() == 2
    watcher.is_active = False
    assert not told.filter(visible_subjects(watcher)).exists()
    assert not visible_related(Incident.objects.all(), watcher, field="pk").exists()


@pytest.mark.django_db
def test_titles_of_many_subjects_take_one_query() -> None:
    made = [incident(f"Title {n}", "P4") for n in range(3)]
    with CaptureQueriesContext(connection) as queries:
        found = subject_titles([subject_of(item) for item in made])
    assert found[subject_of(made[0])] == f"{made[0].number} Title 0"
    assert len(queries) == 1
    assert titles(["nonsense"]) == {}
    assert subject_url(Subject("incident", "7")) == "/admin/incidents/incident/7/command/"


@pytest.mark.django_db
def test_making_it_private_keeps_it_visible_to_who_did_so() -> None:
    ana, bo = named("ana", "commander"), named("bo", "commander")
    made = incident(severity="P4")
    operations.change_visibility(made.pk, "private", reason="security", actor=actor(ana))
    assert _sees(ana, made)
    assert not _sees(bo, made)
    assert [e.text for e in made.timeline.all()][1:] == [
        "Now private: seen by the team and those it names (security)",
        "Ana may see this incident",
    ]


@pytest.mark.django_db
def test_the_same_visibility_changes_nothing() -> None:
    made = incident(severity="P4")
    assert operations.change_visibility(made.pk, "open", actor=actor(person("commander"))).version == 1


@pytest.mark.django_db
def test_access_is_granted_and_taken_back_once() -> None:
    made, boss, guest = _private(), actor(superuser()), person()
    for _ in range(2):
        version = operations.grant_access(made.pk, guest.pk, actor=boss).version
    assert (_sees(guest, made), version) == (True, 2)
    for _ in range(2):
        version = operations.revoke_access(made.pk, guest.pk, actor=boss).version
    assert (_sees(guest, made), version) == (False, 3)


@pytest.mark.django_db
def test_what_looks_alike_shares_a_service_or_words() -> None:
    login = service("Login")
    by_service = incident("Something odd", "P4", service_ids=[login.pk])
    by_words = incident("Payments are failing", "P4")
    incident("The moon is full", "P4")
    viewer = person("viewer")
    assert alike_open_incidents("Failing payments", [login.pk], viewer) == [by_service, by_words]
    operations.resolve(by_words.pk, actor=actor(superuser()))
    assert alike_open_incidents("Failing payments", [], viewer) == []


@pytest.mark.django_db
def test_search_needs_every_word_somewhere() -> None:
    login = service("Login")
    made = incident("Nobody gets in", "P4", service_ids=[login.pk])
    viewer = person("viewer")
    assert list(search(visible_to(viewer), "nobody login")) == [made]
    assert list(search(visible_to(viewer), made.number)) == [made]
    assert not search(visible_to(viewer), "nobody \x00 payments").exists()


@pytest.mark.django_db
def test_the_on_call_person_sees_the_private_incident_that_paged_them() -> None:
    bo = named("bo", "responder")
    answers_for("primary", bo)
    assert _sees(bo, incident(severity="P1", visibility="private"))
