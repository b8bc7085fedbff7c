"""Experiments over the API, on their page, from a terminal, and what they raise the alarm about."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.flags.management.commands import ab_experiment
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Flag, GuardrailTotal
from apps.flags.operations import (
    Sample,
    Seen,
    add_guardrail,
    edit_experiment,
    edit_flag,
    kill_variant,
    push_samples,
    record_exposures,
    start_experiment,
)
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.people.models import User
from tests.factories import actor, bearer, incident, novacron, person, superuser
from tests.flags.experimenting import REWARDS, THIRDS, make_experiment, values

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
API = "/api/v1/experiments/"
INFLATION = {"metric": "inflation", "kind": "mean", "worse": "higher", "against": "limit"}
WATCHED = {**INFLATION, "threshold": 1.08, "sensitivity": 0.03}
HIGH = {"metric": "inflation", "variant": "b", "count": 2000, "sum": 2220.0, "sum_squares": 2484.2}


def send(client: Client, user: User, path: str = "", body: Any = None, method: str = "post", **headers: str) -> Any:
    kwargs = {} if method == "get" else {"data": {} if body is None else body, "content_type": "application/json"}
    return getattr(client, method)(f"{API}{path}", headers={**bearer(user), **headers}, **kwargs)


def enrol_some(experiment: Experiment, number: int = 60) -> dict[str, str]:
    found = values(experiment, [f"user-{n}" for n in range(number)])
    record_exposures(experiment.pk, [Seen(key, variant) for key, variant in found.items()], actor=SYSTEM)
    return found


# --- the API -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", ["34", True])
def test_a_share_that_is_no_number_is_refused(client: Client, reward_flag: Flag, share: object) -> None:
    body = {"key": "x", "name": "X", "flag": reward_flag.pk, "fallback": "control", "percents": {**THIRDS, "a": share}}
    refused = send(client, person("manager"), body=body)
    assert (refused.status_code, refused.json()["detail"]) == (400, "percents: Must be a number.")
    assert not Experiment.objects.exists()


def test_a_variant_without_samples_has_no_mean_on_the_page(client: Client, running: Experiment) -> None:
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    push_samples(running.pk, [Sample("inflation", "b", 2000, 2220.0, 2484.2)], actor=SYSTEM)
    client.force_login(person("viewer"))
    shown = client.get(page_of(running)).content.decode()
    assert '<td class="ip-num">0</td><td class="ip-num">–</td><td class="ip-num">–</td>' in shown
    assert "1.1100" in shown


def test_an_experiment_is_planned_started_watched_and_ended_over_the_api(client: Client, reward_flag: Flag) -> None:
    manager = person("manager")
    plan = {"key": "abx", "flag": reward_flag.pk, "name": "Reward", "fallback": "control", "percents": THIRDS}
    made = send(client, manager, body=plan)
    assert (made.status_code, made.json()["state"], made.json()["epochs"]) == (201, "draft", [])
    one = f"{made.json()['id']}/"
    assert send(client, manager, f"{one}guardrails/", WATCHED).status_code == 201
    started = send(client, manager, f"{one}start/")
    assert [epoch["number"] for epoch in started.json()["epochs"]] == [1]
    shares = {"percents": {"control": 50, "a": 50, "b": 0}, "reason": "x"}
    assert len(send(client, manager, f"{one}allocate/", shares).json()["epochs"]) == 2
    assert send(client, manager, f"{one}end/", {"reason": "done", "winner": "a"}).json()["state"] == "ended"
    assert Flag.objects.get(pk=reward_flag.pk).definition["serve"] == "a"


def test_a_program_reports_what_was_seen_and_measured_and_can_do_nothing_else(
    client: Client, running: Experiment
) -> None:
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    program, one = person("responder"), f"{running.pk}/"
    seen = {"exposures": [{"key": "u-1", "variant": "a"}, {"key": "u-1", "variant": "a"}]}
    assert [send(client, program, f"{one}exposures/", seen).json() for _ in range(2)] == [{"taken": 2}] * 2
    assert Exposure.objects.count() == 1
    answers = [send(client, program, f"{one}guardrail-samples/", {"samples": [HIGH]}, **{"Idempotency-Key": "1"})]
    answers += [send(client, program, f"{one}guardrail-samples/", {"samples": [HIGH]}, **{"Idempotency-Key": "1"})]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert GuardrailTotal.objects.get(variant="b").sample_count == 2000
    for verb in ("kill", "end", "start", "allocate", "guardrails"):
        assert send(client, program, f"{one}{verb}/", {"nonsense": 1}).status_code == 403
    assert send(client, person("viewer"), f"{one}exposures/", {"nonsense": 1}).status_code == 403


def test_the_preview_counts_and_the_kill_does_that(client: Client, running: Experiment) -> None:
    commander, one = person("commander"), f"{running.pk}/"
    before = list(enrol_some(running).values())
    preview = send(client, commander, f"{one}preview/?variant=b", method="get").json()
    assert preview["moves"] == {"control": before.count("b")}
    assert preview["stays"] == {"control": before.count("control"), "a": before.count("a")}
    killed = send(client, commander, f"{one}kill/", {"variant": "b", "reason": "inflation"})
    assert (killed.status_code, killed.json()["epochs"][-1]["moves"]) == (200, {"b": "control"})
    again = send(client, commander, f"{one}kill/", {"variant": "b", "reason": "inflation"})
    assert again.headers["ETag"] == killed.headers["ETag"]
    figures = send(client, commander, f"{one}figures/", method="get").json()
    assert figures["enrolled"]["by_variant"] == {
        "control": before.count("control") + before.count("b"),
        "a": before.count("a"),
    }


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("kill", {"variant": "b"}, 400),
        ("kill", {"variant": "z", "reason": "x"}, 400),
        ("kill", {"variant": "b", "reason": "x", "mode": "sideways"}, 400),
        ("exposures", {"exposures": []}, 400),
        ("exposures", {"exposures": [{"key": "", "variant": "a"}]}, 400),
        ("exposures", {"exposures": [{"key": "u", "variant": "z"}]}, 400),
        ("exposures", {"exposures": [{"key": "u", "variant": "a"}] * 1001}, 400),
        ("guardrail-samples", {"samples": [HIGH]}, 400),
        ("guardrail-samples", {"samples": [{"metric": "x", "variant": "a", "trials": 1}]}, 400),
        ("allocate", {"percents": {"control": 60, "a": 60}, "reason": "x"}, 400),
        ("guardrails", {**WATCHED, "sensitivity": 0}, 400),
        ("guardrails", {**WATCHED, "sensitivity": 1e200}, 400),
        ("guardrails", {**WATCHED, "against": "fallback", "threshold": -1}, 400),
    ],
)
def test_wrong_input_is_refused_with_the_reason(
    client: Client, running: Experiment, verb: str, body: Any, status: int
) -> None:
    answer = send(client, person("manager"), f"{running.pk}/{verb}/", body)
    assert answer.status_code == status, answer.content
    assert answer.json()["errors"] or answer.json()["detail"]
    assert AllocationEpoch.objects.count() == 1


def test_why_a_variant_was_killed_is_as_private_as_what_it_was_killed_for(client: Client, running: Experiment) -> None:
    owner = superuser()
    about = Subject("incident", str(incident(visibility="private").pk))
    kill_variant(running.pk, "b", reason="a breach at Acme", about=about, actor=actor(owner))
    for user, may in ((owner, True), (person("manager"), False)):
        client.force_login(user)
        history = reverse("admin:flags_experiment_history", args=[running.pk])
        seen = [send(client, user, f"{running.pk}/", method="get"), client.get(page_of(running))]
        assert ["Acme" in answer.content.decode() for answer in seen] == [may, may]
        assert "Acme" not in client.get(history).content.decode()


# --- guardrails ----------------------------------------------------------------------------------------------------


def test_a_breach_proposes_the_kill_and_opens_one_incident(running: Experiment) -> None:
    novacron()
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    ordinary = [Sample("inflation", variant, 2000, 2100.0, 2225.0) for variant in ("control", "a")]
    push_samples(running.pk, ordinary, actor=SYSTEM)
    assert not Event.objects.filter(kind="flags.guardrail_breached").exists()
    for _ in range(2):
        push_samples(running.pk, [Sample("inflation", "b", 2000, 2220.0, 2484.2)], actor=SYSTEM)
    event = Event.objects.get(kind="flags.guardrail_breached")
    assert (event.payload["variant"], event.payload["response"]) == ("b", "a kill is proposed")
    deliver()
    deliver()
    found = Incident.objects.get(source="experiment")
    assert (found.team_id, "inflation of b is 1.11" in found.summary) == (running.flag.owner_id, True)
    manager = Client()
    manager.force_login(person("manager"))
    assert "killing b is proposed" in manager.get(page_of(running)).content.decode()


def test_a_breach_kills_where_the_experiment_allows_it(running: Experiment) -> None:
    edit_experiment(running.pk, auto_kill=True, actor=SYSTEM)
    add_guardrail(running.pk, "crashes", kind="rate", worse="higher", against="fallback",
                  threshold=0.001, sensitivity=0.01, actor=SYSTEM)  # fmt: skip
    samples = [("control", 5), ("a", 6), ("b", 90)]
    push_samples(running.pk, [Sample("crashes", name, 1000, bad, bad) for name, bad in samples], actor=SYSTEM)
    assert AllocationEpoch.objects.latest("number").moves == {"b": "control"}
    assert Event.objects.get(kind="flags.guardrail_breached").payload["response"] == "it was killed"
    assert "crashes of b is 0.09" in Event.objects.get(kind="flags.variant_killed").payload["reason"]


def test_a_limit_judges_the_fallback_too_so_each_has_its_part_of_alpha(running: Experiment) -> None:
    """p is 0.0043: below a half of alpha, not below a third."""
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    push_samples(running.pk, [Sample("inflation", "b", 1000, 1101.5, 1244.5)], actor=SYSTEM)
    row = GuardrailTotal.objects.get(variant="b")
    assert (0.01 / 3 < row.p_value < 0.01 / 2, row.breached_at) == (True, None)


def test_of_values_that_never_differ_only_a_harm_is_one(running: Experiment) -> None:
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    bad, fine = (sum([value] * 1000) for value in (1.1, 1.08))
    samples = [Sample("inflation", "a", 1000, fine, fine * 1.08), Sample("inflation", "b", 1000, bad, bad * 1.1)]
    push_samples(running.pk, samples, actor=SYSTEM)
    assert dict(GuardrailTotal.objects.values_list("variant", "p_value")) == {"control": 1, "a": 1, "b": 0}


def test_samples_that_no_measuring_gives_are_refused(running: Experiment) -> None:
    add_guardrail(running.pk, **WATCHED, actor=SYSTEM)
    for wrong in (Sample("inflation", "b", 10, 100.0, 1.0), Sample("inflation", "b", 10, float("nan"), 1.0)):
        with pytest.raises(Invalid):
            push_samples(running.pk, [wrong], actor=SYSTEM)
    assert not GuardrailTotal.objects.filter(sample_count__gt=0).exists()


# --- the page ------------------------------------------------------------------------------------------------------


def client_of(role: str) -> Client:
    client = Client()
    client.force_login(person(role))
    return client


def page_of(experiment: Experiment) -> str:
    return reverse("admin:flags_experiment_change", args=[experiment.pk])


def test_the_page_tells_who_gets_what_and_kills_after_a_preview(running: Experiment) -> None:
    before = list(enrol_some(running).values())
    client = Client()
    client.force_login(person("commander"))
    button = reverse("admin:flags_experiment_kill_variant", args=[running.pk])
    with CaptureQueriesContext(connection) as queries:
        assert f"{before.count('b')} enrolled go to control" in client.get(button).content.decode()
    assert sum('COUNT("flags_exposure"' in query["sql"] for query in queries) == 1  # however many variants
    assert AllocationEpoch.objects.count() == 1
    given = {"_form_submitted": "on", "variant": "b", "mode": "fallback", "reason": "inflation"}
    client.post(button, given)
    shown = client.get(page_of(running)).content.decode()
    assert "its enrolled went to control" in shown
    assert "“inflation”" in shown
    end = client_of("manager").get(reverse("admin:flags_experiment_end", args=[running.pk])).content.decode()
    assert ('value="a"' in end, 'value="b"' in end) == (True, False)


def test_a_manager_plans_and_starts_one_on_the_page(reward_flag: Flag) -> None:
    client = Client()
    client.force_login(person("manager"))
    plan = {"key": "abx", "flag": reward_flag.pk, "name": "Reward", "fallback": "control", "traffic": "50"}
    client.post(reverse("admin:flags_experiment_add"), {**plan, "shares": "control 50\na: 50 %", "hypothesis": ""})
    made = Experiment.objects.get()
    assert (made.percents, made.traffic) == ({"control": 50, "a": 50}, 50)
    start = reverse("admin:flags_experiment_start", args=[made.pk])
    client.post(start, {"_form_submitted": "on", "reason": "reviewed"})
    assert Experiment.objects.get().state == "running"


def test_a_page_takes_the_same_queries_whatever_is_enrolled(running: Experiment) -> None:
    client = Client()
    client.force_login(person("manager"))
    client.get(page_of(running))
    counts = []
    for number in (1, 200):
        enrol_some(running, number)
        with CaptureQueriesContext(connection) as queries:
            client.get(page_of(running))
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 60


# --- the terminal --------------------------------------------------------------------------------------------------


def command(*given: str) -> str:
    out = StringIO()
    call_command("ab_experiment", *given, stdout=out)
    return out.getvalue()


def test_the_command_shows_kills_and_verifies(running: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ab_experiment.time, "sleep", lambda seconds: None)
    user, before = person("commander"), list(enrol_some(running).values())
    looked = command("abx-storm-reward", "b", "--dry-run", "--as", user.username)
    assert f"{before.count('b')} enrolled go to control" in looked
    assert AllocationEpoch.objects.count() == 1
    done = command(str(running.pk), "b", "--force", "--reason", "inflation 1.11", "--as", user.username)
    assert "[3/3]" in done
    assert AllocationEpoch.objects.latest("number").reason == "inflation 1.11"
    assert "killed already" in command("abx-storm-reward", "b", "--force", "--as", user.username)


def test_the_command_sees_who_gets_the_variant_by_the_flag_itself(
    reward_flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab_experiment.time, "sleep", lambda seconds: None)
    testers = {"name": "testers", "when": [{"attribute": "tester", "exists": True}], "serve": "b"}
    edit_flag(reward_flag.pk, definition={**REWARDS, "serve": "b", "rules": [testers]}, actor=SYSTEM)
    made = start_experiment(make_experiment(reward_flag, traffic=50).pk, actor=SYSTEM)
    given, user = (made.key, "b", "--force", "--reason", "x", "--as"), person("commander").username
    looked = command(*given, user, "--dry-run")
    assert "the rule 'testers' still gives it" in looked
    assert "the flag's default gives it to whom takes no part" in looked
    with pytest.raises(CommandError, match="probes still get b") as failed:
        command(*given, user)
    assert failed.value.returncode == 1


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (["nothing", "b", "--force", "--reason", "x"], 2),
        (["abx-storm-reward", "z", "--force", "--reason", "x"], 2),
        (["abx-storm-reward", "control", "--force", "--reason", "x"], 2),
        (["abx-storm-reward", "b", "--force"], 2),
        (["abx-storm-reward", "b", "--reason", "x"], 2),
    ],
)
def test_the_command_tells_by_its_exit_code_why_not(running: Experiment, given: list[str], code: int) -> None:
    with pytest.raises(CommandError) as refused:
        command(*given, "--as", person("commander").username)
    assert refused.value.returncode == code
    assert AllocationEpoch.objects.count() == 1


def test_the_command_is_refused_to_who_may_not_kill(running: Experiment) -> None:
    with pytest.raises(CommandError) as refused:
        command("abx-storm-reward", "b", "--force", "--reason", "x", "--as", person("viewer").username)
    assert refused.value.returncode == 3
