"""Who would get another answer by a change: told beforehand, and nothing is written."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.test import APIClient

from apps.approvals.models import ApprovalRequest
from apps.flags.models import Flag, FlagRevision
from apps.flags.operations import Step, edit_flag, kill, schedule_change, schedule_rollout
from apps.flags.previews import SAMPLED, proposal_context, who_changes
from apps.flags.queries import try_out, visible_changes
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from tests.factories import actor, person
from tests.flags.conftest import make_flag

pytestmark = pytest.mark.django_db
HALF = {"split": [{"variant": "off", "weight": 50}, {"variant": "on", "weight": 50}]}
PEOPLE = [{"targetingKey": f"user-{number}", "plan": "pro" if number % 4 else "free"} for number in range(40)]


def test_a_rule_moves_just_those_whom_it_meets(flag: Flag) -> None:
    rule = {"name": "free", "when": [{"attribute": "plan", "operator": "equals", "values": ["free"]}], "serve": "off"}
    change = {"definition": {**flag.definition, "rules": [rule]}}
    before = (FlagRevision.objects.get().number, Flag.objects.get().version)
    found = who_changes(flag, change, PEOPLE)
    assert [(move.before, move.after, move.count) for move in found.moves] == [("on (true)", "off (false)", 10)]
    assert {example.context["plan"] for example in found.examples} == {"free"}
    assert (found.asked, found.percent, found.is_sample) == (40, 25.0, False)
    assert (FlagRevision.objects.get().number, Flag.objects.get().version) == before


def test_the_preview_of_a_split_is_what_then_happens(flag: Flag) -> None:
    found = who_changes(flag, {"serve": HALF}, PEOPLE)
    edit_flag(flag.pk, definition={**flag.definition, "serve": HALF}, actor=Actor.system())
    after = [try_out(Flag.objects.get(), who).value for who in PEOPLE]
    assert found.changed == after.count(False) > 0


def test_without_contexts_made_up_people_show_the_share(flag: Flag) -> None:
    found = who_changes(flag, {"serve": HALF})
    assert (found.asked, found.is_sample) == (SAMPLED, True)
    assert 45 <= found.percent <= 55
    assert who_changes(flag, {"state": "disabled"}).moves[0].after == "the caller's own default"
    assert who_changes(flag, {"serve": "on"}).changed == 0


def test_what_is_no_definition_is_refused_with_its_place(flag: Flag) -> None:
    with pytest.raises(Invalid, match="rules"):
        who_changes(flag, {"definition": {**flag.definition, "rules": [{"name": "x", "when": []}]}})


def test_the_api_tells_it_to_whoever_sees_the_flag(flag: Flag) -> None:
    api = APIClient()
    api.force_authenticate(person("viewer"))
    address = f"/api/v1/flags/{flag.pk}/who-changes/"
    found = api.post(address, {"change": {"serve": "off"}, "contexts": PEOPLE[:3]}, format="json").json()
    assert (found["changed"], found["moves"][0]["count"], len(found["examples"])) == (3, 3, 3)
    assert api.post(address, {"change": {"serve": "none"}}, format="json").status_code == 400
    assert api.post("/api/v1/flags/999/who-changes/", {"change": {"serve": "off"}}, format="json").status_code == 404


def test_the_pages_of_a_proposal_and_of_its_approval_tell_it(flag: Flag, client: Any) -> None:
    edit_flag(flag.pk, needs_approval=True, actor=Actor.system())
    change = schedule_change(flag.pk, None, {"serve": HALF}, reason="half", actor=actor(person("manager")))
    client.force_login(person("manager"), backend="django.contrib.auth.backends.ModelBackend")
    for address in (
        f"/admin/flags/flagchange/{change.pk}/change/",
        f"/admin/approvals/approvalrequest/{ApprovalRequest.objects.get().pk}/change/",
    ):
        page = client.get(address).content.decode()
        assert ("would get another answer" in page, "weight: 50" in page) == (True, True)


def test_saving_the_form_proposes_what_must_be_approved(flag: Flag, client: Any) -> None:
    edit_flag(flag.pk, needs_approval=True, actor=Actor.system())
    client.force_login(person("manager"), backend="django.contrib.auth.backends.ModelBackend")
    given = {
        **{name: getattr(flag, name) for name in ("name", "description", "blast_radius", "rollback_expectation")},
        "owner": flag.owner_id,
        "services": [row.pk for row in flag.services.all()],
        "kind": flag.kind,
        "needs_approval": "on",
        "definition": "{variants: {'on': true, 'off': false}, off: 'off', serve: 'off'}",
        "change_reason": "less load",
    }
    for prefix in ("flaguserpermission_set", "flaggrouppermission_set"):
        given |= {f"{prefix}-TOTAL_FORMS": 0, f"{prefix}-INITIAL_FORMS": 0}
    page = client.post(f"/admin/flags/flag/{flag.pk}/change/", given, follow=True).content.decode()
    found = Flag.objects.get()
    assert ("a second person has approved it" in page, found.definition["serve"]) == (True, "on")
    assert found.changes.get().change["definition"]["serve"] == "off"
    pressed = {"_form_submitted": "1", "reason": "x"}
    client.post(f"/admin/flags/flag/{flag.pk}/disable/", pressed)
    assert found.changes.filter(state="proposed").get().change == {"state": "disabled"}
    assert Flag.objects.get().state == Flag.State.ON


def test_a_waiting_change_that_no_longer_fits_its_flag_says_so(flag: Flag, client: Any) -> None:
    edit_flag(flag.pk, needs_approval=True, actor=Actor.system())
    change = schedule_change(flag.pk, None, {"serve": HALF}, reason="half", actor=actor(person("manager")))
    Flag.objects.update(definition={"variants": {"yes": True, "no": False}, "off": "no", "serve": "yes"})
    client.force_login(person("manager"), backend="django.contrib.auth.backends.ModelBackend")
    for address in (
        f"/admin/flags/flagchange/{change.pk}/change/",
        f"/admin/approvals/approvalrequest/{ApprovalRequest.objects.get().pk}/change/",
    ):
        answer = client.get(address)
        assert (answer.status_code, "It does not fit the flag as it is now" in answer.content.decode()) == (200, True)


def test_the_page_of_a_rollout_reads_the_flags_once_however_many_steps(
    flag: Flag, django_assert_num_queries: Any
) -> None:
    edit_flag(flag.pk, needs_approval=True, actor=Actor.system())
    steps = [Step(now() + timedelta(hours=hour), 10 * hour) for hour in range(1, 6)]
    schedule_rollout(flag.pk, "on", steps, reason="slowly", actor=actor(person("manager")))
    asked, who = ApprovalRequest.objects.get(), SimpleNamespace(user=person("manager"))
    visible_changes(who.user).exists()  # what the person may do is read once
    with django_assert_num_queries(4):
        assert len(proposal_context(asked, who)["proposals"]) == 5


def test_what_a_flag_needs_is_asked_too(flag: Flag) -> None:
    needed = make_flag("api", flag.environment, flag.owner)
    edit_flag(
        flag.pk,
        definition={**flag.definition, "prerequisites": [{"flag": needed.key, "variants": ["on"]}]},
        actor=Actor.system(),
    )
    kill(needed.pk, reason="x", actor=Actor.system())
    assert who_changes(Flag.objects.get(pk=flag.pk), {"serve": "off"}, PEOPLE).changed == 0
