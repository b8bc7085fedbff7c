"""What no flag can be, sent to a real server: refused with the reason, at its place, and at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.flags.models import Experiment, Flag
from apps.flags.operations import add_guardrail, edit_flag, start_experiment
from apps.foundation.clock import now
from apps.people.operations import create_token
from tests.factories import person
from tests.flags.conftest import make_flag
from tests.flags.experimenting import REWARDS, make_experiment
from tests.flags.serving import Server, serving
from tests.flags.world import SYSTEM, World, world

__all__ = ["world"]

OFF: dict[str, Any] = {"variants": {"on": True, "off": False}, "off": "off", "serve": "off"}
MATCHES = {"attribute": "a", "operator": "matches"}
SECONDS = 5.0


def split(*weights: Any) -> dict[str, Any]:
    names = ("on", "off")
    return {**OFF, "serve": {"split": [{"variant": name, "weight": n} for name, n in zip(names, weights, strict=True)]}}


def rule(condition: Any) -> dict[str, Any]:
    return {**OFF, "rules": [{"name": "r", "when": [condition], "serve": "on"}]}


def deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"attribute": "x", "exists": True}
    for _ in range(levels):
        found = {"not": found}
    return found


DEFINITIONS = [
    (split(0, 0), "The weights add up to nothing"),
    (split(-5, 5), "greater than or equal to 0"),
    (split(33.3, 66.7), "valid integer"),
    (rule({**MATCHES, "values": ["a{1,100000}"]}), "too large once its repetitions are written out"),
    (rule({**MATCHES, "values": ["((a{1,999}){1,999}){1,999}"]}), "too large once its repetitions are written out"),
    (rule({**MATCHES, "values": [f"a{{1,999}}{n}" for n in range(900)]}), "too large once its repetitions"),
    (rule({**MATCHES, "values": [r"(a)\1"]}), "Back-references"),
    (rule({**MATCHES, "values": ["x" * 5000]}), "Give a text of at most 2,000 characters, a number, true or false."),
    (rule({"attribute": "a", "operator": "in", "values": ["v" * 900] * 80}), "at most 65,536 are allowed"),
    (rule(deep(6)), "nested deeper than 5 levels"),
    (rule(deep(500)), "nested deeper than 32 levels"),
    ({**OFF, "prerequisites": [{"flag": "on", "variants": ["on"]}]}, "its own prerequisite"),
    ({**OFF, "prerequisites": [{"flag": "switched", "variants": ["on"]}]}, "can't go in a ring"),
]
CHANGES = [
    ({"state": []}, "Choose the state among"),
    ({"state": {"on": 1}}, "Choose the state among"),
    ({"start": "nothing"}, "names the key of an experiment"),
    ({"serve": "on", "state": "on"}, "Give exactly one of"),
]


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[Server]:
    """One, with `switched` in need of `on`, and an experiment; and a manager's token in `server.token`."""
    with world.blocker.unblock():
        flag = Flag.objects.get(key="on", environment__slug="production")
        needs = {**OFF, "prerequisites": [{"flag": "on", "variants": ["on"]}]}
        edit_flag(world.flags["switched"], definition=needs, actor=SYSTEM)
        given: Any = {"kind": "experiment", "value_type": "string", "definition": REWARDS}
        reward = make_flag("storm.reward", flag.environment, flag.owner, **given)
        world.flags["experiment"] = start_experiment(make_experiment(reward).pk, actor=SYSTEM).pk
        world.token = create_token(person("manager").pk, "all", ("*",), actor=SYSTEM)[1]
    with serving("wsgi") as [found]:
        yield found


def sent(server: Server, world: World, path: str, body: Any, method: str = "POST") -> str:
    """What is said about it; a 400, soon."""
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {world.token}", "Content-Type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, answer = server.send(f"/api/v1/{path}", content, method, **headers)
    assert (status, time.monotonic() - began < SECONDS) == (400, True), answer
    return str(answer["detail"])


@pytest.mark.postgres
def test_a_definition_that_can_t_be_is_refused_with_the_reason(server: Server, world: World) -> None:
    path = f"flags/{world.flags['on']}/"
    for definition, words in DEFINITIONS:
        assert words in sent(server, world, path, {"definition": definition}, "PATCH"), definition
    raw = b'{"definition":' + b'{"not":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
    assert "nested deeper" in sent(server, world, path, raw, "PATCH")
    with world.blocker.unblock():
        assert Flag.objects.get(pk=world.flags["on"]).version == 1


@pytest.mark.postgres
def test_a_change_that_can_t_be_is_refused_with_the_reason(server: Server, world: World) -> None:
    path = f"flags/{world.flags['on']}/"
    for at in ("2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2020-01-01T00:00:00"):
        body = {"at": at, "change": {"serve": "on"}, "reason": "x"}
        assert "in the next 366 days" in sent(server, world, f"{path}schedule/", body)
    body = {"at": "9999-12-31T23:59:59-14:00", "change": {"serve": "on"}, "reason": "x"}
    assert "out of range" in sent(server, world, f"{path}schedule/", body)
    soon = (now() + timedelta(days=1)).isoformat()
    for change, words in CHANGES:
        assert words in sent(server, world, f"{path}schedule/", {"at": soon, "change": change, "reason": "x"}), change
        assert words in sent(server, world, f"{path}who-changes/", {"change": change}), change


@pytest.mark.postgres
def test_an_experiment_that_can_t_be_is_refused_with_the_reason(server: Server, world: World) -> None:
    path = f"experiments/{world.flags['experiment']}/"
    for percents, words in (
        ({"control": 60, "a": 60}, "add up to 120 %"),
        ({"control": -1, "a": 101}, "no percentage"),
        ({"control": 50, "zzz": 50}, "no variant 'zzz'"),
        ({"control": 100}, "Give 2 to 20 variants"),
    ):
        assert words in sent(server, world, f"{path}allocate/", {"percents": percents, "reason": "x"})
    thin = {"percents": {"control": 50, "a": 50}, "traffic": 1e-300, "reason": "x"}
    assert "0.01 to 100" in sent(server, world, f"{path}allocate/", thin)
    watched = {"metric": "m", "kind": "mean", "worse": "higher", "against": "limit", "sensitivity": 1}
    assert "at most 1e100" in sent(server, world, f"{path}guardrails/", {**watched, "threshold": 1e308})
    with world.blocker.unblock():
        add_guardrail(world.flags["experiment"], **watched, threshold=1.0, actor=SYSTEM)
    big = {"samples": [{"metric": "m", "variant": "a", "count": 1000, "sum": 1e308, "sum_squares": 1e308}]}
    assert "sums of at most 1e100" in sent(server, world, f"{path}guardrail-samples/", big)
    with world.blocker.unblock():
        assert Experiment.objects.get().version == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("button", "given", "words"),
    [
        (
            "rollout",
            {"variant": "on", "percents": "1,2", "begins_at": "9999-12-31 23:00", "every_hours": "720"},
            "more than 366 days ahead",
        ),
        ("try_it", {"context": "[" * 5000}, "nested too deeply"),
        ("try_it", {"context": '{"a": ' + "9" * 5000 + "}"}, "too many digits"),
    ],
)
def test_a_dialog_says_what_it_can_t_take(flag: Flag, button: str, given: Any, words: str) -> None:
    client = Client()
    client.force_login(person("manager"))
    address = reverse(f"admin:flags_flag_{button}", args=[flag.pk])
    shown = client.post(address, {"_form_submitted": "on", "reason": "x", **given})
    assert (shown.status_code, words in shown.content.decode()) == (200, True)
