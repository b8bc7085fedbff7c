"""The way to a dry run and what its page shows: the form, problems first, the whole difference, the question."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict

from apps.foundation.clock import now
from apps.runbooks.admin.dry_run_page import targets_of
from apps.runbooks.admin.schema_form import form_of, read_parameters
from apps.runbooks.models import DryRun, Execution
from apps.state.models import ConfigDocument, ConfigVersion
from tests.factories import named
from tests.runbooks.page_world import World, get, looked, post, world

NEW = "/admin/runbooks/dryrun/new/"
SCHEMA = {
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "description": "of the world"},
        "count": {"type": "integer", "minimum": 1},
        "ratio": {"type": "number", "default": 0.5},
        "sure": {"type": "boolean", "default": True},
        "mode": {"enum": ["soft", 2, None]},
        "more": {"type": "object", "default": {"a": 1}},
    },
}


@pytest.fixture
def here(db: None) -> World:
    return world()


def form(here: World) -> str:
    return f"{NEW}?runbook={here.runbook.pk}&incident={here.incident.pk}"


FILLED = {"p-area": "lobby", "p-ratio": "0.25", "p-rounds": "3", "p-mode": '"hard"', "p-limits": "[4]"}


def test_each_type_of_a_schema_gets_its_field_with_its_default() -> None:
    fields = {field.name: field for field in form_of(SCHEMA, None)}
    widgets = {name: field.widget for name, field in fields.items()}
    assert widgets == {
        "name": "text", "count": "number", "ratio": "number", "sure": "boolean", "mode": "choice", "more": "json",
    }  # fmt: skip
    assert fields["name"].required
    assert not fields["count"].required
    assert (fields["ratio"].value, fields["sure"].value, fields["more"].value) == ("0.5", "true", '{"a": 1}')
    assert [label for _, label in fields["mode"].options] == ["soft", "2", "None"]
    assert (fields["count"].step, fields["count"].least) == ("1", "1")


def test_what_was_typed_is_read_back_in_its_type() -> None:
    typed = QueryDict("p-name=eu&p-count=3&p-ratio=0.25&p-sure=true&p-mode=2&p-more=%5B1%5D")
    assert read_parameters(SCHEMA, typed) == (
        {"name": "eu", "count": 3, "ratio": 0.25, "sure": True, "mode": 2, "more": [1]},
        {},
    )
    assert read_parameters(SCHEMA, QueryDict(""))[0] == {"sure": False}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "3.5"),
        ("count", "9" * 5000),
        ("ratio", "nan"),
        ("ratio", "1e999"),
        ("mode", "hard"),
        ("more", "{"),
        ("more", "NaN"),
        ("more", "[" * 5000),
        ("name", "a\x00b"),
    ],
)
def test_what_is_no_value_of_its_type_is_told_at_its_field(name: str, text: str) -> None:
    data = QueryDict(mutable=True)
    data[f"p-{name}"] = text
    parameters, errors = read_parameters(SCHEMA, data)
    assert list(errors) == [name]
    assert name not in parameters


@pytest.mark.parametrize("schema", [None, [], "text", {}, {"properties": []}, {"properties": {"a": 1}}])
def test_a_strange_schema_makes_no_crash(schema: Any) -> None:
    form_of(schema, None)
    assert read_parameters(schema, QueryDict(""))[1] == {}


def test_without_a_choice_the_runbooks_are_offered(here: World) -> None:
    shown = get(here.ana, f"{NEW}?incident={here.incident.pk}").content.decode()
    assert "Economy rollback" in shown
    assert "for these services" in shown
    assert "No runbook that you may look at" in get(here.vic, NEW).content.decode()


def test_the_form_leads_to_a_page_with_the_whole_difference(here: World) -> None:
    assert 'value="shop"' in get(here.ana, form(here)).content.decode()
    answer = post(here.ana, form(here), **FILLED)
    dry_run = DryRun.objects.get()
    assert answer["Location"] == f"/admin/runbooks/dryrun/{dry_run.pk}/change/"
    assert dry_run.parameters == {
        "area": "lobby", "ratio": 0.25, "rounds": 3, "careful": False, "mode": "hard", "limits": [4],
    }  # fmt: skip
    shown = get(here.ana, answer["Location"]).content.decode()
    for text in ("drop_rate", "prices.sword", "prices.potion", "prices.shield", "4 values would change"):
        assert text in shown
    assert "<del" in shown
    assert "<ins" in shown
    assert "Request approval" in shown


def test_looking_changes_nothing(here: World) -> None:
    before = (ConfigVersion.objects.count(), ConfigDocument.objects.get().revision)
    post(here.ana, form(here), **FILLED)
    assert (ConfigVersion.objects.count(), ConfigDocument.objects.get().revision) == before
    assert Execution.objects.count() == 0


def test_a_parameter_out_of_range_is_told_at_its_field(here: World) -> None:
    answer = post(here.ana, form(here), **{**FILLED, "p-ratio": "2"})
    shown = answer.content.decode()
    assert answer.status_code == 400
    assert 'id="p-ratio-help"><span class="ip-error">' in shown
    assert 'value="lobby"' in shown


def test_problems_stand_on_top_and_nothing_can_be_asked_for(here: World) -> None:
    ConfigDocument.objects.update(baseline=None)
    dry_run = looked(here)
    shown = get(here.ana, f"/admin/runbooks/dryrun/{dry_run.pk}/change/").content.decode()
    assert shown.index("It can't be executed like this") < shown.index("What each step")
    assert dry_run.problems
    assert "Look again" in shown
    assert "Request approval" not in shown


def test_an_old_dry_run_must_be_made_again(here: World) -> None:
    dry_run = looked(here)
    DryRun.objects.update(made_at=now() - timedelta(hours=2))
    shown = get(here.ana, f"/admin/runbooks/dryrun/{dry_run.pk}/change/").content.decode()
    assert "Older than" in shown
    assert f"/{dry_run.pk}/start/" not in shown


def test_asking_for_it_leads_to_the_execution_and_twice_is_one(here: World) -> None:
    address = f"/admin/runbooks/dryrun/{looked(here).pk}/start/"
    assert b"Request approval" in get(here.ana, address).content
    first = post(here.ana, address, reason="it loses money")
    second = post(here.ana, address, part=True, reason="it loses money")
    execution = Execution.objects.get()
    assert first["Location"] == second["HX-Redirect"] == f"/admin/runbooks/execution/{execution.pk}/change/"
    assert execution.reason == "it loses money"
    assert execution.state == "awaiting_approval"


def test_who_may_only_look_reads_it_but_cannot_ask(here: World) -> None:
    rob = named("rob", "responder")
    path = f"/admin/runbooks/dryrun/{looked(here, rob).pk}/"
    assert "Request approval" not in get(rob, f"{path}change/").content.decode()
    assert post(rob, f"{path}start/", reason="x").status_code == 403
    assert get(here.vic, f"{path}change/").status_code == 200
    assert get(here.vic, form(here)).status_code == 403
    assert post(here.vic, form(here), **FILLED).status_code == 403


@pytest.mark.parametrize("query", ["runbook=0", "runbook=x", "runbook=" + "9" * 30, "runbook=%00", "incident=x"])
def test_what_is_not_there_is_a_404(here: World, query: str) -> None:
    assert get(here.ana, f"{NEW}?{query}").status_code == 404


def test_what_is_only_called_is_not_said_to_stay_as_it_is() -> None:
    called, restored = targets_of(
        [{"kind": "http", "key": "POST /reload"}, {"key": "economy", "before": "a", "after": "a"}]
    )
    assert (called.name, called.is_known) == ("http POST /reload", False)
    assert (restored.is_known, restored.is_same) == (True, True)


def test_a_dry_run_is_only_read(here: World) -> None:
    path = f"/admin/runbooks/dryrun/{looked(here).pk}/change/"
    assert post(here.ana, path, problems="[]").status_code == 403
    assert get(here.ana, "/admin/runbooks/dryrun/add/").status_code == 403
