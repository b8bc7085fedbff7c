from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.incidents.models import RoleAssignment
from apps.incidents.operations import hand_over, release_role, resolve, take_role
from apps.people.models import User
from tests.factories import actor, incident, named, person


@pytest.mark.django_db
def test_taking_command_makes_the_person_commander() -> None:
    made, ana = incident(), named("ana", "commander")
    role = take_role(made.pk, "commander", actor=actor(ana))
    made.refresh_from_db()
    assert (role.user, role.until, made.version) == (ana, None, 2)
    assert made.timeline.filter(kind="role").get().text == "Ana is Incident Commander"


@pytest.mark.django_db
def test_taking_command_acknowledges() -> None:
    made, ana = incident(), named("ana", "commander")
    take_role(made.pk, "commander", actor=actor(ana))
    made.refresh_from_db()
    assert made.acknowledged_at is not None
    assert made.timeline.filter(kind="acknowledged").get().text == "Acknowledged by Ana"


@pytest.mark.django_db
def test_taking_it_again_changes_nothing() -> None:
    made, ana = incident(), named("ana", "commander")
    first = take_role(made.pk, "commander", actor=actor(ana))
    made.refresh_from_db()
    assert take_role(made.pk, "commander", actor=actor(ana)) == first
    version, lines = made.version, made.timeline.count()
    made.refresh_from_db()
    assert (made.version, made.timeline.count()) == (version, lines)


@pytest.mark.django_db
def test_a_second_person_hears_who_commands() -> None:
    made, ana, bo = incident(), named("ana", "commander"), named("bo", "commander")
    take_role(made.pk, "commander", actor=actor(ana))
    with pytest.raises(Conflict) as refused:
        take_role(made.pk, "commander", actor=actor(bo))
    assert refused.value.message.startswith("Ana is Incident Commander since ")
    assert (refused.value.code, refused.value.extra["holder_id"]) == ("role_is_taken", ana.pk)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_command_at_once_one_wins_and_the_other_hears_who() -> None:
    made, people = incident(), [named("ana", "commander"), named("bo", "commander")]
    ready = Barrier(2)

    def take(user: User) -> str:
        try:
            ready.wait()
            return take_role(made.pk, "commander", actor=actor(user)).user.name
        except Conflict as refused:
            return str(refused.extra["holder"])
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(take, people))
    assert heard[0] == heard[1] == RoleAssignment.objects.get(until__isnull=True).user.name


@pytest.mark.django_db
def test_a_responder_takes_other_roles_but_not_command() -> None:
    made, rea = incident(), named("rea", "responder")
    assert take_role(made.pk, "tech-lead", actor=actor(rea)).user == rea
    with pytest.raises(Forbidden):
        take_role(made.pk, "commander", actor=actor(rea))


@pytest.mark.django_db
def test_only_who_commands_gives_roles_to_others() -> None:
    made, ana, rea = incident(), named("ana", "commander"), named("rea", "responder")
    with pytest.raises(Forbidden):
        take_role(made.pk, "tech-lead", ana.pk, actor=actor(rea))
    take_role(made.pk, "tech-lead", rea.pk, actor=actor(ana))
    assert made.timeline.filter(kind="role").get().text == "Rea is Tech Lead, given by Ana"


@pytest.mark.django_db
def test_giving_command_to_another_does_not_acknowledge_for_them() -> None:
    made, ana, bo = incident(), named("ana", "commander"), named("bo", "commander")
    take_role(made.pk, "commander", bo.pk, actor=actor(ana))
    made.refresh_from_db()
    assert made.acknowledged_at is None


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["king", "", "COMMANDER"])
def test_an_unknown_role_is_refused_with_the_valid_ones(role: str) -> None:
    made = incident()
    with pytest.raises(Invalid, match="commander, tech-lead"):
        take_role(made.pk, role, actor=actor(person("commander")))


@pytest.mark.django_db
def test_programs_and_closed_accounts_hold_no_roles() -> None:
    made, boss = incident(), actor(person("commander"))
    with pytest.raises(Invalid):
        take_role(made.pk, "tech-lead", named("gone", is_active=False).pk, actor=boss)
    with pytest.raises(Invalid):
        take_role(made.pk, "tech-lead", named("bot", kind=User.Kind.SERVICE).pk, actor=boss)
    with pytest.raises(NotFound):
        take_role(made.pk, "tech-lead", 999_999, actor=boss)


@pytest.mark.django_db
def test_a_resolved_incident_has_no_roles_to_take() -> None:
    made, boss = incident(severity="P4"), actor(person("commander"))
    resolve(made.pk, actor=boss)
    with pytest.raises(Conflict, match="reopen"):
        take_role(made.pk, "commander", actor=boss)


@pytest.mark.django_db
def test_the_holder_hands_over_without_a_gap() -> None:
    made, ana, bo = incident(), named("ana", "commander"), named("bo", "responder")
    first = take_role(made.pk, "commander", actor=actor(ana))
    second = hand_over(made.pk, "commander", bo.pk, actor=actor(ana))
    first.refresh_from_db()
    assert (first.until, second.user) == (second.since, bo)
    assert made.timeline.filter(kind="role").last().text == "Bo is Incident Commander, handed over from Ana"  # type: ignore[union-attr]


@pytest.mark.django_db
def test_handing_over_to_the_holder_changes_nothing() -> None:
    made, ana = incident(), named("ana", "commander")
    first = take_role(made.pk, "commander", actor=actor(ana))
    assert hand_over(made.pk, "commander", ana.pk, actor=actor(ana)) == first


@pytest.mark.django_db
def test_a_vacant_role_is_not_handed_over() -> None:
    made, ana = incident(), named("ana", "commander")
    with pytest.raises(Conflict) as refused:
        hand_over(made.pk, "commander", ana.pk, actor=actor(ana))
    assert refused.value.code == "role_is_vacant"


@pytest.mark.django_db
def test_a_bystander_neither_hands_over_nor_releases_anothers_role() -> None:
    made, ana, rea = incident(), named("ana", "commander"), named("rea", "responder")
    take_role(made.pk, "commander", actor=actor(ana))
    with pytest.raises(Forbidden):
        hand_over(made.pk, "commander", rea.pk, actor=actor(rea))
    with pytest.raises(Forbidden):
        release_role(made.pk, "commander", actor=actor(rea))


@pytest.mark.django_db
def test_a_role_is_laid_down_once() -> None:
    made, ana = incident(), named("ana", "commander")
    take_role(made.pk, "commander", actor=actor(ana))
    release_role(made.pk, "commander", actor=actor(ana))
    version = release_role(made.pk, "commander", actor=actor(ana)).version
    assert not made.roles.filter(until__isnull=True).exists()
    assert version == 3


@pytest.mark.django_db
def test_an_old_version_is_refused_before_anything_happens() -> None:
    made, boss = incident(), actor(person("commander"))
    with pytest.raises(PreconditionFailed) as refused:
        take_role(made.pk, "commander", actor=boss, expected_version=7)
    assert refused.value.extra == {"version": 1}
    assert not made.roles.exists()


@pytest.mark.django_db
def test_a_viewer_takes_no_role() -> None:
    made, viewer = incident(), actor(person("viewer"))
    with pytest.raises(DomainError) as refused:
        take_role(made.pk, "tech-lead", actor=viewer)
    assert refused.value.http_status == 403
