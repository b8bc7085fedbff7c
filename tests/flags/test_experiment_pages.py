"""The pages of experiments in a browser, for everybody; and how many queries they and their API take."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.approvals.models import ApprovalRequest
from apps.catalog.models import Environment
from apps.flags.models import Experiment, Flag
from apps.flags.operations import (
    Sample,
    Seen,
    add_guardrail,
    edit_flag,
    kill_variant,
    push_samples,
    record_exposures,
    schedule_change,
    start_experiment,
)
from apps.foundation.actor import Actor
from apps.people.operations import portal_user
from tests.factories import actor, bearer, named, person, service, team
from tests.flags.conftest import make_flag
from tests.flags.experimenting import REWARDS, make_experiment, values
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints

__all__ = ["open_page", "portal", "portal_server"]
SYSTEM = Actor.system()
LIST = "/admin/flags/experiment/"
WATCHED: Any = {"kind": "mean", "worse": "higher", "against": "limit", "threshold": 1.08, "sensitivity": 0.03}


def flag_named(key: str) -> Flag:
    found = Environment.objects.filter(slug="production").first()
    production = found or Environment.objects.create(slug="production", name="Production", position=1)
    core = team(f"Team of {key}")
    given: Any = {"kind": "experiment", "value_type": "string", "definition": REWARDS}
    return make_flag(key, production, core, service(f"Service of {key}", core), **given)


def busy() -> dict[str, Experiment]:
    """One in each state that colours its page: it does harm, it was killed, its start waits for a second person."""
    portal_user()
    harmful = start_experiment(make_experiment(flag_named("storm.reward")).pk, actor=SYSTEM)
    add_guardrail(harmful.pk, "inflation", **WATCHED, actor=SYSTEM)
    seen = values(harmful, [f"user-{n}" for n in range(200)])
    record_exposures(harmful.pk, [Seen(*each) for each in seen.items()], actor=SYSTEM)
    push_samples(harmful.pk, [Sample("inflation", "b", 2000, 2220.0, 2484.2)], actor=SYSTEM)
    killed = start_experiment(make_experiment(flag_named("shop.new"), "shop-new").pk, actor=SYSTEM)
    kill_variant(killed.pk, "b", reason="inflation 1.11", actor=SYSTEM)
    asked = make_experiment(flag_named("login.new"), "login-new")
    add_guardrail(asked.pk, "crashes", **WATCHED, actor=SYSTEM)
    edit_flag(asked.flag_id, needs_approval=True, actor=SYSTEM)
    schedule_change(asked.flag_id, None, {"start": asked.key}, reason="reviewed", actor=actor(person("manager")))
    return {"harmful": harmful, "killed": killed, "asked": asked}


@pytest.mark.browser
@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("dark", 390), ("light", 390)])
def test_no_page_of_an_experiment_keeps_anybody_out(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    pages = {name: f"{LIST}{row.pk}/change/" for name, row in busy().items()}
    approval = f"/admin/approvals/approvalrequest/{ApprovalRequest.objects.get().pk}/change/"
    pages |= {"list": LIST, "add": f"{LIST}add/", "approval": approval}
    shown = open_page(named("mia", "manager"), "/admin/", theme=theme, width=width)
    spoken: list[str] = []
    shown.on("pageerror", lambda error: spoken.append(str(error)))
    found: dict[str, list[str]] = {}
    for name, path in pages.items():
        shown.goto(portal + path)
        if problems := complaints(shown):
            found[name] = problems
        if shown.evaluate("document.documentElement.scrollWidth") > width:
            found.setdefault(name, []).append("wider than the screen")
        if folder := os.environ.get("SCREENSHOTS"):
            shown.screenshot(path=str(Path(folder) / f"experiment-{name}-{theme}-{width}.png"), full_page=True)
    assert (found, spoken) == ({}, [])


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_variant_is_killed_and_a_guardrail_changed_in_their_dialogs(open_page: OpenPage, portal: str) -> None:
    row = busy()["harmful"]
    shown = open_page(named("mia", "manager"), f"{LIST}{row.pk}/change/")
    shown.get_by_role("link", name=re.compile("Kill a variant")).first.click()
    dialog = shown.locator("#modal-content")
    dialog.locator("select[name=variant]").select_option("b")
    dialog.locator("[name=reason]").fill("inflation 1.11")
    dialog.locator("button[type=submit]").click()
    shown.get_by_text("its enrolled went to control").wait_for()
    assert "“inflation 1.11”" in shown.content()
    shown.get_by_text(re.compile("Guardrails")).first.click()
    shown.get_by_role("link", name=re.compile("Change a guardrail")).first.click()
    dialog.locator("[name=threshold]").fill("1.2")
    dialog.locator("[name=reason]").fill("as agreed")
    dialog.locator("button[type=submit]").click()
    shown.get_by_text("not above 1.2").wait_for()


# --- queries -------------------------------------------------------------------------------------------------------


def counted(client: Client, path: str, **headers: str) -> int:
    client.get(path, headers=headers)  # what a process reads only once
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path, headers=headers).status_code == 200
    return len(captured)


def many(count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        made = start_experiment(make_experiment(flag_named(f"flag{number}"), f"x{number}").pk, actor=SYSTEM)
        add_guardrail(made.pk, "inflation", **WATCHED, actor=SYSTEM)
        kill_variant(made.pk, "b", reason="x", actor=SYSTEM)


@pytest.mark.django_db
def test_the_lists_take_as_many_queries_for_12_experiments_as_for_3() -> None:
    portal_user()
    client, manager = Client(), person("manager")
    client.force_login(manager)
    token = bearer(manager)
    many(3)
    few = counted(client, LIST), counted(Client(), "/api/v1/experiments/", **token)
    many(9, 3)
    assert (counted(client, LIST), counted(Client(), "/api/v1/experiments/", **token)) == few
    assert few[0] <= 30
    assert few[1] <= 12


@pytest.mark.django_db
def test_a_draft_s_page_and_its_review_take_the_same_queries_for_many_guardrails() -> None:
    portal_user()
    made = make_experiment(flag_named("storm.reward"))
    client, manager = Client(), person("manager")
    client.force_login(manager)
    page, review, token = f"{LIST}{made.pk}/change/", f"/api/v1/experiments/{made.pk}/review/", bearer(manager)
    add_guardrail(made.pk, "m", **WATCHED, actor=SYSTEM)
    few = counted(client, page), counted(Client(), review, **token)
    for number in range(10):
        add_guardrail(made.pk, f"m{number}", **WATCHED, actor=SYSTEM)
    assert (counted(client, page), counted(Client(), review, **token)) == few
    assert few[0] <= 60
    assert few[1] <= 20
