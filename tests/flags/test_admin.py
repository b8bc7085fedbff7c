from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.catalog.models import Environment, Membership, Service, Team
from apps.catalog.operations import add_dependency
from apps.flags.admin.fields import as_yaml
from apps.flags.models import Flag, FlagUserPermission
from apps.flags.operations import disable, kill
from apps.foundation.actor import Actor
from apps.foundation.subjects import Subject
from apps.people.models import User
from tests.factories import actor, incident, person, service, superuser, team
from tests.flags.conftest import lead, make_flag

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
LIST = "/admin/flags/flag/"


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, flag: Flag) -> str:
    return client.get(f"{LIST}{flag.pk}/change/").content.decode()


def dialog(client: Client, button: str, flag: Flag, **given: Any) -> Any:
    """Press a button's dialog."""
    return client.post(reverse(f"admin:flags_flag_{button}", args=[flag.pk]), {"_form_submitted": "on", **given})


def form(flag: Flag | None, **given: Any) -> dict[str, Any]:
    """What the form of a flag sends, with its inlines empty."""
    texts = {"name": "Payments", "blast_radius": "Nobody can pay.", "rollback_expectation": "x", "description": ""}
    inlines = {
        f"{model}_set-{name}": number
        for model in ("flaguserpermission", "flaggrouppermission")
        for name, number in (("TOTAL_FORMS", 0), ("INITIAL_FORMS", 0))
        if flag is not None
    }
    owner = {"owner": flag.owner_id, "services": list(flag.services.values_list("pk", flat=True))} if flag else {}
    answers = {"kind": "kill_switch", "type": "boolean", "definition": as_yaml(flag.definition) if flag else ""}
    return {**texts, **owner, **answers, **inlines, **given}


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_killed_why_and_where(flag: Flag, core: Team) -> None:
    staging = Environment.objects.create(slug="staging", name="Staging", position=2)
    make_flag("search", staging, core)
    kill(flag.pk, reason="double charges", actor=actor(person("commander", display_name="Cora")))
    client = as_(person("viewer"))
    html = client.get(LIST).content.decode()
    for said in ("p-flags-state--killed", "double charges", "Cora", "1 killed", "Staging", "search"):
        assert said in html
    one = client.get(LIST, {"environment__id__exact": staging.pk}).content.decode()
    assert ("search" in one, "double charges" in one) == (True, False)


def test_the_list_costs_the_same_for_many(flag: Flag, core: Team, checkout: Service) -> None:
    client = as_(person("viewer"))
    client.get(LIST)
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    for number in range(5):
        kill(make_flag(f"flag{number}", flag.environment, core, checkout).pk, reason="x", actor=SYSTEM)
    with CaptureQueriesContext(connection) as many:
        client.get(LIST)
    assert len(many) == len(one)


def test_members_see_the_flags_of_their_teams_only(flag: Flag, core: Team) -> None:
    other, member, stranger = make_flag("secret.thing", flag.environment, team("Other")), person(), person()
    User.objects.update(is_staff=True)
    Membership.objects.create(team=core, user=member)
    html = as_(member).get(LIST).content.decode()
    assert (flag.key in html, other.key in html) == (True, False)
    assert as_(member).get(f"{LIST}{other.pk}/change/").status_code == 302
    assert as_(stranger).get(LIST).status_code == 403


# --- the page and its buttons --------------------------------------------------------------------------------------


def test_the_page_shows_the_state_and_what_a_kill_would_do(flag: Flag, checkout: Service) -> None:
    add_dependency(service("Shop").pk, checkout.pk, actor=SYSTEM)
    html = page(as_(person("viewer")), flag)
    for said in ("p-flags-state--on", "Nobody can pay.", "Checkout", "Shop", "/ofrep/v1/evaluate/flags/"):
        assert said in html


@pytest.mark.parametrize(
    ("group", "offered"), [("viewer", []), ("commander", ["kill"]), ("manager", ["kill", "disable"])]
)
def test_buttons_are_offered_to_who_may_press_them(flag: Flag, group: str, offered: list[str]) -> None:
    html = page(as_(person(group)), flag)
    buttons = ("kill", "bring-back", "disable", "enable")
    assert [name for name in buttons if f"/{flag.pk}/{name}" in html] == offered


def test_the_kill_dialog_says_who_and_what_would_change(flag: Flag) -> None:
    client = as_(person("commander"))
    html = client.get(reverse("admin:flags_flag_kill", args=[flag.pk])).content.decode()
    for said in ("Programs that ask get", "Nobody can pay.", "Carts stay", "Checkout", "within 2 seconds"):
        assert said in html
    assert Flag.objects.get().state == "on"


def test_a_flag_is_killed_and_brought_back_with_a_reason(flag: Flag) -> None:
    client = as_(person("commander"))
    dialog(client, "kill", flag)
    assert Flag.objects.get().state == "on"
    dialog(client, "kill", flag, reason="double charges")
    assert (Flag.objects.get().state, Flag.objects.get().state_reason) == ("killed", "double charges")
    assert "double charges" in page(client, flag)
    dialog(client, "bring_back", flag, reason="fixed")
    assert Flag.objects.get().state == "on"


def test_a_flag_is_disabled_and_enabled_by_managers(flag: Flag) -> None:
    client = as_(person("manager"))
    for button, state in (("disable", "disabled"), ("enable", "on")):
        dialog(client, button, flag, reason="x")
        assert Flag.objects.get().state == state


@pytest.mark.parametrize("button", ["kill", "bring_back", "disable", "enable"])
def test_who_may_not_press_a_button_gets_a_403(flag: Flag, button: str) -> None:
    if button == "bring_back":
        kill(flag.pk, reason="x", actor=SYSTEM)
    if button == "enable":
        disable(flag.pk, reason="x", actor=SYSTEM)
    before = Flag.objects.get().state
    assert dialog(as_(person("responder")), button, flag, reason="x").status_code == 403
    assert Flag.objects.get().state == before


def test_what_it_was_killed_for_is_shown_only_to_who_may_know(flag: Flag) -> None:
    private = incident("Leaked keys", visibility="private")
    kill(flag.pk, reason="x", about=Subject("incident", str(private.pk)), actor=actor(superuser()))
    assert "Leaked keys" not in page(as_(person("viewer")), flag)
    assert "Leaked keys" in page(as_(person("auditor")), flag)
    history = as_(person("viewer")).get(f"{LIST}{flag.pk}/history/").content.decode()
    assert ("About" in history, "killed" in history) == (False, True)


# --- the form ------------------------------------------------------------------------------------------------------


def test_a_lead_makes_and_edits_flags_of_their_team(production: Environment, core: Team, checkout: Service) -> None:
    user = lead(core)
    given = form(None, key="payments", environment=production.pk, owner=core.pk, services=[checkout.pk])
    assert as_(user).post(f"{LIST}add/", given).status_code == 302
    flag = Flag.objects.get()
    assert (flag.state, list(flag.services.all())) == ("on", [checkout])
    as_(user).post(f"{LIST}{flag.pk}/change/", form(flag, name="Pay", state="killed", key="other"))
    flag.refresh_from_db()
    assert (flag.name, flag.state, flag.key, flag.version) == ("Pay", "on", "payments", 2)


def test_a_new_flag_keeps_that_a_second_person_approves(production: Environment, core: Team) -> None:
    given = form(None, key="payments", environment=production.pk, owner=core.pk, needs_approval="on")
    assert as_(person("manager")).post(f"{LIST}add/", given).status_code == 302
    assert Flag.objects.get().needs_approval


def test_a_wrong_key_is_told_on_the_form(production: Environment, core: Team) -> None:
    given = form(None, key="a b", environment=production.pk, owner=core.pk)
    html = as_(person("manager")).post(f"{LIST}add/", given).content.decode()
    assert "1 to 100 letters" in html
    assert not Flag.objects.exists()


def test_a_key_that_is_taken_is_told(flag: Flag, core: Team) -> None:
    given = form(None, key=flag.key, environment=flag.environment_id, owner=core.pk)
    assert as_(person("manager")).post(f"{LIST}add/", given, follow=True).status_code == 200
    assert Flag.objects.count() == 1


def test_viewers_and_commanders_do_not_edit(flag: Flag) -> None:
    for group in ("viewer", "commander"):
        assert as_(person(group)).post(f"{LIST}{flag.pk}/change/", form(flag, name="No")).status_code == 403
    assert Flag.objects.get().version == 1
    assert as_(superuser()).post(f"{LIST}{flag.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_manager_gives_and_takes_grants(flag: Flag) -> None:
    from django.contrib.auth.models import Permission

    client, user = as_(person("manager")), person()
    permission = Permission.objects.get(codename="kill_flag")
    row = {"flaguserpermission_set-TOTAL_FORMS": 1, "flaguserpermission_set-0-user": user.pk}
    given = form(flag, name=flag.name, **row, **{"flaguserpermission_set-0-permission": permission.pk})
    given |= {"blast_radius": flag.blast_radius, "rollback_expectation": flag.rollback_expectation}
    client.post(f"{LIST}{flag.pk}/change/", given)
    assert FlagUserPermission.objects.get().user == user
    assert Flag.objects.get().version == 1
    assert user.has_perm("flags.kill_flag", flag)


# --- what it answers ------------------------------------------------------------------------------------------------


def test_rules_are_written_as_yaml_and_mistakes_stand_at_their_line(flag: Flag) -> None:
    client, path = as_(person("manager")), f"{LIST}{flag.pk}/change/"
    rules = "variants: {'on': true, 'off': false}\noff: 'off'\nserve: 'off'\nrules:\n"
    rule = "- name: pro\n  when:\n  - {attribute: plan, operator: OPERATOR, values: [pro]}\n  serve: 'on'\n"
    wrong = client.post(path, form(flag, definition=rules + rule.replace("OPERATOR", "is"), change_reason="x"))
    assert "Line 7, column" in wrong.content.decode()
    right = client.post(path, form(flag, definition=rules + rule.replace("OPERATOR", "equals"), change_reason="x"))
    assert right.status_code == 302
    flag.refresh_from_db()
    assert flag.definition["rules"][0]["name"] == "pro"
    assert "what its rules say" in page(client, flag)


def test_a_context_can_be_tried_on_the_page(flag: Flag) -> None:
    client = as_(person("viewer"))
    dialog(client, "try_it", flag, context='{"targetingKey": "ann"}')
    assert "Programs get true, the variant on: it answers everybody alike." in page(client, flag)
    assert "This is not valid JSON" in dialog(client, "try_it", flag, context="{").content.decode()
