"""Definitions on flags that are there: what may be saved, what is refused, what changes for whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Change, Environment, Service, Team
from apps.engine.models import Event
from apps.flags.evaluation.definitions import switch_definition
from apps.flags.models import Flag, FlagRevision
from apps.flags.operations import create_segment, edit_flag, kill
from apps.flags.queries import preview_kill, tried_in_words, try_out
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid
from tests.factories import bearer, person
from tests.flags.conftest import lead, make_flag

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
COLOURS = {"variants": {"red": "#f00", "blue": "#00f"}, "off": "blue", "serve": "red"}
PRO = {"attribute": "plan", "operator": "equals", "values": ["pro"]}


def rules(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {**switch_definition(), "serve": "off", "rules": [{"name": "some", "when": list(conditions), "serve": "on"}]}


def needing(key: str, *variants: str) -> dict[str, Any]:
    return {**switch_definition(), "prerequisites": [{"flag": key, "variants": list(variants or ["on"])}]}


def edit(flag: Flag, definition: Any, **given: Any) -> Flag:
    return edit_flag(flag.pk, definition=definition, actor=SYSTEM, **given)


def test_a_flag_of_another_type_is_made_with_its_variants(production: Environment, core: Team) -> None:
    made = make_flag("colour", production, core, value_type="string", kind="ops", definition=COLOURS)
    assert try_out(made, {}).value == "#f00"
    kill(made.pk, reason="x", actor=SYSTEM)
    made.refresh_from_db()
    assert (try_out(made, {}).value, preview_kill(made).after) == ("#00f", '"#00f"')
    with pytest.raises(Invalid, match="type string can't answer"):
        make_flag("plain", production, core, value_type="string")


def test_new_rules_are_a_change_of_its_services_and_seen_by_every_process(flag: Flag, checkout: Service) -> None:
    before = FlagRevision.objects.get().number
    edit(flag, rules(PRO), reason="only for those who pay")
    edit(flag, rules(PRO))
    assert FlagRevision.objects.get().number == before + 1
    assert Change.objects.get(service=checkout).title == "Flag payments.checkout answers by other rules"
    assert Event.objects.filter(kind="flags.edited").count() == 1


def test_rules_speak_of_segments_and_flags_that_exist(flag: Flag, production: Environment, core: Team) -> None:
    with pytest.raises(Invalid, match="There is no segment 'testers'"):
        edit(flag, rules({"segment": "testers"}))
    with pytest.raises(Invalid, match="There is no flag 'gone' in this environment"):
        edit(flag, needing("gone"))
    make_flag("other", production, core)
    with pytest.raises(Invalid, match="other has no variant 'purple'"):
        edit(flag, needing("other", "purple"))
    with pytest.raises(Invalid, match="its own prerequisite"):
        edit(flag, needing(flag.key))


def test_prerequisites_never_go_in_a_ring(flag: Flag, production: Environment, core: Team) -> None:
    second, third = make_flag("second", production, core), make_flag("third", production, core)
    edit(second, needing(flag.key))
    edit(third, needing("second"))
    with pytest.raises(Invalid, match="can't go in a ring"):
        edit(flag, needing("third"))


def test_a_flag_whose_prerequisite_is_killed_answers_as_killed(flag: Flag, production: Environment, core: Team) -> None:
    second = edit(make_flag("second", production, core), needing(flag.key))
    assert try_out(second, {}).value is True
    kill(flag.pk, reason="x", actor=SYSTEM)
    found = try_out(second, {})
    assert (found.value, found.reason) == (False, "PREREQUISITE_FAILED")
    assert tried_in_words(found) == "Programs get false, the variant off: a prerequisite is not met."


def test_a_variant_that_others_need_stays(flag: Flag, production: Environment, core: Team) -> None:
    edit(make_flag("second", production, core), needing(flag.key))
    with pytest.raises(Conflict, match="second need variants"):
        edit(flag, {"variants": {"yes": True, "off": False}, "off": "off", "serve": "yes"})


def test_what_would_be_answered_can_be_tried_before_it_is_saved(client: Client, flag: Flag, core: Team) -> None:
    who = {"when": [{"attribute": "targetingKey", "operator": "in", "values": ["ann"]}]}
    create_segment("testers", owner_id=core.pk, name="Testers", definition=who, actor=SYSTEM)
    asked = {"context": {"targetingKey": "ann"}, "definition": rules({"segment": "testers"})}
    path, headers = f"/api/v1/flags/{flag.pk}/try/", bearer(person("viewer"))
    found = client.post(path, asked, "application/json", headers=headers).json()
    assert (found["value"], found["metadata"]["rule"]) == (True, "some")
    asked["context"]["targetingKey"] = "ben"
    assert client.post(path, asked, "application/json", headers=headers).json()["value"] is False
    flag.refresh_from_db()
    assert flag.definition == switch_definition()


def test_mistakes_come_back_with_their_places(client: Client, flag: Flag, core: Team) -> None:
    wrong = {**switch_definition(), "serve": "x", "off": "y"}
    answer = client.patch(
        f"/api/v1/flags/{flag.pk}/", {"definition": wrong}, "application/json", headers=bearer(lead(core))
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_definition")
    places = [error["field"] for error in answer.json()["errors"]]
    assert sorted(places) == ["definition.off", "definition.serve"]


@pytest.mark.parametrize("wrong", [None, [], "x", 7, {"variants": {}}, {"variants": {"a": 1}, "off": "a"}])
def test_what_is_no_definition_is_refused(client: Client, flag: Flag, core: Team, wrong: Any) -> None:
    body = {"definition": wrong}
    answer = client.patch(f"/api/v1/flags/{flag.pk}/", body, "application/json", headers=bearer(lead(core)))
    assert answer.status_code == 400
