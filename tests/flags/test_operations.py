from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from guardian.shortcuts import assign_perm

from apps.catalog.models import Change, Environment, Membership, Service, Team
from apps.catalog.operations import add_dependency
from apps.engine.models import Event
from apps.flags.models import Flag, FlagRevision
from apps.flags.operations import (
    bring_back,
    create_flag,
    disable,
    edit_flag,
    enable,
    grant_flag,
    kill,
    revoke_flag,
)
from apps.flags.queries import preview_kill, visible_flags
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.foundation.subjects import Subject, is_visible, subject_title, subject_url
from tests.factories import actor, incident, person, service, team
from tests.flags.conftest import lead, make_flag

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def revision() -> int:
    return FlagRevision.objects.get().number


def told(kind: str) -> dict[str, Any]:
    payload: dict[str, Any] = Event.objects.get(kind=kind).payload
    return payload


# --- kill and bring back -------------------------------------------------------------------------------------------


def test_a_kill_is_kept_signed_and_told(flag: Flag) -> None:
    commander, before = person("commander"), revision()
    found = kill(flag.pk, reason=" double charges ", actor=actor(commander))
    assert (found.state, found.state_reason, found.state_changed_by) == ("killed", "double charges", commander)
    assert (found.version, revision()) == (2, before + 1)
    assert "double charges" in found.history.latest().history_change_reason
    event = Event.objects.get(kind="flags.killed")
    assert (event.subject_kind, event.subject_key) == ("flag", str(flag.pk))
    assert event.payload == {
        "flag_id": flag.pk,
        "key": "payments.checkout",
        "environment": "production",
        "name": "Payments.checkout",
        "reason": "double charges",
        "about_kind": "",
        "about_key": "",
    }


def test_a_kill_is_a_change_of_each_of_its_services(flag: Flag, checkout: Service) -> None:
    flag.services.add(service("Wallet"))
    kill(flag.pk, reason="double charges", actor=actor(person("commander")))
    found = Change.objects.filter(kind="flag")
    assert {row.service.slug for row in found if row.service} == {"checkout", "wallet"}
    assert {row.title for row in found} == {"Flag payments.checkout was killed"}


def test_a_flag_without_services_is_a_change_of_no_service(production: Environment, core: Team) -> None:
    kill(make_flag("lonely", production, core).pk, reason="x", actor=SYSTEM)
    assert Change.objects.get(kind="flag").service is None


def test_a_second_kill_changes_nothing(flag: Flag) -> None:
    kill(flag.pk, reason="first", actor=SYSTEM)
    before = revision()
    assert kill(flag.pk, reason="second", actor=SYSTEM).state_reason == "first"
    assert (revision(), Event.objects.filter(kind="flags.killed").count(), Change.objects.count()) == (before, 1, 1)


def test_a_kill_links_what_it_was_for_until_it_is_taken_back(flag: Flag) -> None:
    about = Subject("incident", str(incident().pk))
    killed = kill(flag.pk, reason="x", about=about, actor=actor(person("commander")))
    assert (killed.about_kind, killed.about_key) == ("incident", about.key)
    back = bring_back(flag.pk, reason="fixed", actor=actor(person("commander")))
    assert (back.state, back.about_kind, back.about_key) == ("on", "", "")
    payload = told("flags.brought_back")
    assert (payload["about_kind"], payload["about_key"]) == ("incident", about.key)


@pytest.mark.parametrize("key", ["0", "999999", "abc", "9" * 40, "-1", "²"])
def test_a_link_to_nothing_is_refused(flag: Flag, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        kill(flag.pk, reason="x", about=Subject("incident", key), actor=actor(person("commander")))
    assert set(refused.value.fields) == {"about"}


def test_a_private_incident_is_not_linked_by_who_may_not_see_it(flag: Flag) -> None:
    private = incident(visibility="private")
    with pytest.raises(Invalid):
        kill(flag.pk, reason="x", about=Subject("incident", str(private.pk)), actor=actor(person("commander")))
    assert Flag.objects.get().state == "on"


@pytest.mark.parametrize("reason", ["", "   ", "a\x00b", "x" * 301])
def test_a_reason_is_never_left_out(flag: Flag, reason: str) -> None:
    for verb in (kill, bring_back, disable, enable):
        with pytest.raises(Invalid) as refused:
            verb(flag.pk, reason=reason, actor=SYSTEM)
        assert set(refused.value.fields) == {"reason"}


def test_bringing_back_what_is_on_changes_nothing(flag: Flag) -> None:
    before = revision()
    assert bring_back(flag.pk, reason="x", actor=SYSTEM).version == 1
    assert revision() == before


def test_another_version_than_expected_is_refused(flag: Flag) -> None:
    kill(flag.pk, reason="x", expected_version=1, actor=SYSTEM)
    with pytest.raises(PreconditionFailed):
        bring_back(flag.pk, reason="x", expected_version=1, actor=SYSTEM)


@pytest.mark.parametrize("flag_id", [0, -1, 2**63, 10**30])
def test_there_is_no_such_flag(flag_id: int, flag: Flag) -> None:
    with pytest.raises(NotFound):
        kill(flag_id, reason="x", actor=SYSTEM)


# --- disable and enable --------------------------------------------------------------------------------------------


def test_a_disabled_flag_is_enabled_again_and_each_repeat_changes_nothing(flag: Flag) -> None:
    manager = actor(person("manager"))
    for _ in range(2):
        assert disable(flag.pk, reason="leaves the code", actor=manager).version == 2
    for _ in range(2):
        assert enable(flag.pk, reason="not yet", actor=manager).version == 3
    assert Event.objects.filter(kind__in=["flags.disabled", "flags.enabled"]).count() == 2


def test_killed_and_disabled_are_left_by_their_own_ways_only(flag: Flag) -> None:
    kill(flag.pk, reason="x", actor=SYSTEM)
    for verb in (disable, enable):
        with pytest.raises(Conflict, match="bring it back"):
            verb(flag.pk, reason="x", actor=SYSTEM)
    bring_back(flag.pk, reason="x", actor=SYSTEM)
    disable(flag.pk, reason="x", actor=SYSTEM)
    with pytest.raises(Conflict, match="enable it"):
        bring_back(flag.pk, reason="x", actor=SYSTEM)


def test_a_disabled_flag_is_killed_in_an_emergency(flag: Flag) -> None:
    disable(flag.pk, reason="x", actor=SYSTEM)
    assert kill(flag.pk, reason="now", actor=SYSTEM).state == "killed"


# --- who may -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["commander", "manager"])
def test_commanders_and_managers_kill(flag: Flag, group: str) -> None:
    assert kill(flag.pk, reason="x", actor=actor(person(group))).state == "killed"


@pytest.mark.parametrize("group", ["viewer", "responder", "approver", "auditor"])
def test_nobody_else_kills(flag: Flag, group: str) -> None:
    for verb in (kill, bring_back, disable, enable):
        with pytest.raises(Forbidden):
            verb(flag.pk, reason="", actor=actor(person(group)))


def test_commanders_do_not_disable(flag: Flag) -> None:
    with pytest.raises(Forbidden):
        disable(flag.pk, reason="x", actor=actor(person("commander")))


def test_a_lead_of_the_owning_team_kills_and_another_one_does_not(flag: Flag, core: Team) -> None:
    with pytest.raises(Forbidden):
        kill(flag.pk, reason="x", actor=actor(lead(team("Other"))))
    assert kill(flag.pk, reason="x", actor=actor(lead(core))).state == "killed"


def test_a_grant_on_one_flag_lets_kill_that_one_only(flag: Flag, production: Environment, core: Team) -> None:
    user, other = person(), make_flag("other", production, core)
    grant_flag(flag.pk, "kill_flag", user_id=user.pk, actor=actor(person("manager")))
    assert kill(flag.pk, reason="x", actor=actor(user)).state == "killed"
    with pytest.raises(NotFound):
        kill(other.pk, reason="x", actor=actor(user))
    revoke_flag(flag.pk, "kill_flag", user_id=user.pk, actor=actor(person("manager")))
    with pytest.raises(NotFound):
        bring_back(flag.pk, reason="x", actor=actor(user))


def test_who_was_dismissed_does_not_kill(flag: Flag) -> None:
    user = person("commander", is_active=False)
    with pytest.raises(NotFound):
        kill(flag.pk, reason="x", actor=actor(user))


def test_grants_are_given_by_managers_once_and_checked(flag: Flag) -> None:
    user, manager = person(), actor(person("manager"))
    with pytest.raises(Forbidden):
        grant_flag(flag.pk, "kill_flag", user_id=user.pk, actor=actor(person("commander")))
    for _ in range(2):
        grant_flag(flag.pk, "kill_flag", user_id=user.pk, actor=manager)
    assert Event.objects.filter(kind="flags.grant_given").count() == 1
    for wrong in ({}, {"group": "nobody"}, {"user_id": 0}, {"user_id": user.pk, "group": "viewer"}):
        with pytest.raises(Invalid):
            grant_flag(flag.pk, "kill_flag", **wrong, actor=manager)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(Invalid):
        grant_flag(flag.pk, "add_flag", user_id=user.pk, actor=manager)


# --- seeing --------------------------------------------------------------------------------------------------------


def test_members_and_holders_of_grants_see_their_flags(flag: Flag, core: Team) -> None:
    nobody, member, granted = person(), person(), person()
    Membership.objects.create(team=core, user=member)
    assign_perm("kill_flag", granted, flag)
    seen = [visible_flags(user).count() for user in (nobody, member, granted, person("viewer"))]
    assert seen == [0, 1, 1, 1]
    about = Subject("flag", str(flag.pk))
    assert [is_visible(about, user) for user in (nobody, member)] == [False, True]
    assert (subject_title(about), subject_url(about)) == (
        "Payments.checkout (Production)",
        f"/admin/flags/flag/{flag.pk}/change/",
    )


# --- previews ------------------------------------------------------------------------------------------------------


def test_a_preview_tells_who_and_what_would_change_and_changes_nothing(flag: Flag, checkout: Service) -> None:
    shop, site = service("Shop"), service("Site")
    add_dependency(shop.pk, checkout.pk, actor=SYSTEM)
    add_dependency(site.pk, shop.pk, actor=SYSTEM)
    before = (revision(), Event.objects.count())
    found = preview_kill(flag)
    assert (found.before, found.after, found.changes_anything) == ("true", "false", True)
    assert (found.services, found.dependants) == ([checkout], [shop, site])
    assert (found.blast_radius, found.waits_seconds) == ("Nobody can pay.", 2)
    assert (revision(), Event.objects.count()) == before


def test_a_preview_names_only_services_that_one_sees(flag: Flag, core: Team, checkout: Service) -> None:
    shop, member = service("Shop"), person()
    Membership.objects.create(team=core, user=member)
    add_dependency(shop.pk, checkout.pk, actor=SYSTEM)
    found = preview_kill(flag, user=member)
    assert (found.services, found.dependants) == ([checkout], [])


def test_a_preview_of_a_killed_flag_says_that_nothing_would_change(flag: Flag) -> None:
    assert not preview_kill(kill(flag.pk, reason="x", actor=SYSTEM)).changes_anything


# --- making and editing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "a b", "a/b", "ä", "a\x00", "x" * 101, ".", "..", "a\n"])
def test_a_key_is_what_an_address_can_hold(production: Environment, core: Team, key: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_flag(key, production, core)
    assert set(refused.value.fields) == {"key"}


def test_a_key_is_taken_once_in_each_environment(flag: Flag, core: Team) -> None:
    staging = Environment.objects.create(slug="staging", name="Staging", position=2)
    make_flag(flag.key, staging, core)
    with pytest.raises(Conflict, match="already"):
        make_flag(flag.key, flag.environment, core)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 121},
        {"blast_radius": " "},
        {"rollback_expectation": "\x00"},
        {"environment_id": 2**70},
        {"owner_id": 0},
        {"service_ids": [2**70]},
    ],
)
def test_a_flag_that_makes_no_sense_is_refused(production: Environment, core: Team, wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"environment_id": production.pk, "owner_id": core.pk, "name": "X", "blast_radius": "x"}
    with pytest.raises(Invalid) as refused:
        create_flag("x", **(given | {"rollback_expectation": "x"} | wrong), actor=SYSTEM)
    assert set(refused.value.fields) == {next(iter(wrong)).removesuffix("_id").replace("service_ids", "services")}


def test_managers_make_flags_for_all_teams_and_leads_for_theirs(production: Environment, core: Team) -> None:
    ids: dict[str, Any] = {"environment_id": production.pk}
    given = {**ids, "name": "X", "blast_radius": "x", "rollback_expectation": "x"}
    other = team("Other")
    create_flag("1", owner_id=core.pk, **given, actor=actor(person("manager")))
    create_flag("2", owner_id=core.pk, **given, actor=actor(lead(core)))
    for user, owner in ((lead(core), other), (person("commander"), core), (person(), core)):
        with pytest.raises(Forbidden):
            create_flag("3", owner_id=owner.pk, **given, actor=actor(user))


def test_an_edit_raises_version_and_revision_and_the_same_again_nothing(flag: Flag, checkout: Service) -> None:
    before, wallet = revision(), service("Wallet")
    for _ in range(2):
        found = edit_flag(flag.pk, name="Pay", service_ids=[wallet.pk], actor=actor(person("manager")))
    assert (found.name, found.version, revision()) == ("Pay", 2, before + 1)
    assert list(found.services.all()) == [wallet]
    assert told("flags.edited")["name"] == "Pay"


def test_a_lead_does_not_give_a_flag_to_another_team(flag: Flag, core: Team) -> None:
    with pytest.raises(Forbidden, match="give flags"):
        edit_flag(flag.pk, owner_id=team("Other").pk, actor=actor(lead(core)))


# --- at once -------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_kills_at_once_change_it_once(flag: Flag) -> None:
    def one(number: int) -> str:
        try:
            return kill(flag.pk, reason=f"reason {number}", actor=SYSTEM).state_reason
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        reasons = set(pool.map(one, range(8)))
    assert len(reasons) == 1
    assert (Flag.objects.get().version, Event.objects.filter(kind="flags.killed").count()) == (2, 1)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_changes_of_many_flags_at_once_all_count(production: Environment, core: Team) -> None:
    flags = [make_flag(f"flag{number}", production, core) for number in range(4)]
    before = revision()

    def turn(row: Flag) -> list[str]:
        try:
            return [verb(row.pk, reason="x", actor=SYSTEM).state for verb in (kill, bring_back) * 5]
        except DomainError as error:
            return [error.message]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(turn, flags)) == [["killed", "on"] * 5] * 4
    assert revision() == before + 40


def test_a_process_that_remembers_old_content_types_still_finds_granted_flags(flag: Flag) -> None:
    user = person()
    assign_perm("flags.kill_flag", user, flag)
    old = ContentType(pk=2_000_000, app_label="flags", model="flag")
    ContentType.objects._add_to_cache("default", old)  # type: ignore[attr-defined]  # as after a flush
    try:
        assert list(visible_flags(user)) == [flag]
    finally:
        ContentType.objects.clear_cache()
