"""Each kind of step against a real server: what it sends, what it makes of the answer, what it leaves open."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.foundation.clock import ManualClock, now, use_clock
from apps.messaging.models import Message
from apps.runbooks.documents import Step
from apps.runbooks.steps import Outcome, kind, kinds
from apps.runbooks.steps.base import StepContext
from apps.runbooks.steps.preparing import NotReady, prepare, prepare_compensation
from apps.runbooks.steps.shipped import SHIPPED
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations import edit_config
from tests.factories import answers_for, incident, named, person, team
from tests.runbooks.writing import PORTAL, Receiver, context, receiver  # noqa: F401  # pytest finds the fixture by its name
from tests.state.making import again, held_here

pytestmark = pytest.mark.django_db


def step(kind_name: str, **options: Any) -> Step:
    return Step.model_validate({"slug": "s", "name": "S", "kind": kind_name, "with": options})


def perform(found: Step, known: StepContext) -> Outcome:
    ready = prepare(found, known)
    return ready.kind.perform(ready.options, known)


def test_the_kinds_that_ship_are_registered() -> None:
    assert {found.name for found in SHIPPED} <= {found.name for found in kinds()}


# --- http_request ---------------------------------------------------------------------------------------------------


def test_a_request_carries_its_idempotency_key_and_its_placeholders(receiver: Receiver) -> None:  # noqa: F811
    asked = step(
        "http_request",
        method="POST",
        url="{{ params.base }}/users/{{ params.user }}?q={{ params.user }}",
        json={"count": "{{ params.count }}", "text": "n={{ params.count }}"},
    )
    known = context(parameters={"base": receiver.url + "/", "user": "a/b?c&d", "count": 3})
    outcome = perform(asked, known)
    method, path, headers, body = receiver.asked[0]
    assert (method, path) == ("POST", "/users/a%2Fb%3Fc%26d?q=a%2Fb%3Fc%26d")
    assert (headers["idempotency-key"], headers["content-type"]) == ("key-1", "application/json")
    assert json.loads(body) == {"count": 3, "text": "n=3"}
    assert outcome.state == "succeeded"
    assert outcome.data["json"] == {"status": "ok"}


def test_a_dot_segment_never_climbs_out_of_an_address(receiver: Receiver) -> None:  # noqa: F811
    with pytest.raises(NotReady, match="no name inside an address"):
        prepare(
            step("http_request", url=receiver.url + "/users/{{ params.user }}/x"), context(parameters={"user": ".."})
        )


def test_an_unexpected_answer_is_a_failure_that_is_known(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/x"] = (409, b"no")
    failed = perform(step("http_request", method="POST", url=receiver.url + "/x"), context())
    assert (failed.state, failed.maybe_done, failed.data["status"]) == ("failed", False, 409)
    fine = perform(step("http_request", method="POST", url=receiver.url + "/x", expect={"status": [409]}), context())
    assert fine.state == "succeeded"


def test_expected_text_and_json_are_compared_with_their_types(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/x"] = (200, b'{"a": {"b": [1, true]}, "n": 1.0}')
    for expect, state in [
        ({"json": {"a.b.0": 1, "a.b.1": True, "n": 1}}, "succeeded"),
        ({"json": {"a.b.0": True}}, "failed"),
        ({"json": {"a.c": 1}}, "failed"),
        ({"text": '"n"'}, "succeeded"),
        ({"text": "nothing"}, "failed"),
    ]:
        assert perform(step("http_request", url=receiver.url + "/x", expect=expect), context()).state == state, expect


def test_a_time_out_after_sending_leaves_open_whether_it_was_done(receiver: Receiver) -> None:  # noqa: F811
    receiver.slow["/x"] = 1.0
    late = context(timeout_seconds=0.2)
    sent = perform(step("http_request", method="POST", url=receiver.url + "/x"), late)
    assert (sent.state, sent.maybe_done) == ("failed", True)
    assert not perform(step("http_request", url=receiver.url + "/x"), late).maybe_done
    never = perform(step("http_request", method="POST", url="http://127.0.0.1:1/"), context())
    assert (never.state, never.maybe_done) == ("failed", False)
    assert receiver.methods == {"GET", "POST"}


def test_a_gateway_that_does_not_know_leaves_it_open_too(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/x"] = (504, b"")
    assert perform(step("http_request", method="POST", url=receiver.url + "/x"), context()).maybe_done


@pytest.mark.parametrize(
    ("method", "idempotent", "effect"),
    [("GET", True, "none"), ("PUT", True, "external"), ("DELETE", True, "external"), ("POST", False, "external")],
)
def test_methods_say_whether_they_may_be_repeated(method: str, idempotent: bool, effect: str) -> None:
    ready = prepare(step("http_request", method=method, url="https://a.example/"), context())
    assert (ready.idempotent, ready.effect) == (idempotent, effect)
    said = Step.model_validate(
        {**step("http_request", method=method, url="https://a.example/").model_dump(by_alias=True), "idempotent": True}
    )
    assert prepare(said, context()).idempotent


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://a.example/"},
        {"url": "https://user:word@a.example/"},
        {"url": "https://a.example/ x"},
        {"url": "https://a.example/", "headers": {"X": "a\r\nY: b"}},
        {"url": "https://a.example/", "headers": {"Idempotency-Key": "mine"}},
        {"url": "https://a.example/", "headers": {"Host": "b.example"}},
        {"url": "https://a.example/", "json": {}},
        {"url": "https://a.example/", "method": "POST", "json": {}, "body": ""},
    ],
)
def test_requests_that_can_not_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NotReady):
        prepare(step("http_request", **options), context())


def test_an_answer_that_no_column_could_hold_is_kept_without_what_it_could_not(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/x"] = (200, b'{"a": "b\\u0000c\\ud800", "n": NaN, "big": 1' + b"0" * 400 + b"}")
    data = perform(step("http_request", url=receiver.url + "/x"), context()).data
    assert data["json"]["a"] == "bc?"
    assert data["json"]["n"] == "nan"
    assert "\0" not in json.dumps(data)


# --- checks ---------------------------------------------------------------------------------------------------------


def test_a_health_check_asks_again_until_the_answer_is_good(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/health"] = (503, b"")
    lines: list[str] = []
    asked = step("health_check", url=receiver.url + "/health", attempts=3, every=0)
    failed = perform(asked, context(lines=lines))
    assert (failed.state, failed.data["attempts"], len(receiver.asked)) == ("failed", 3, 3)
    assert "503" in lines[0]
    del receiver.answers["/health"]
    assert perform(asked, context()).data["attempts"] == 1


def test_a_health_check_ends_with_the_time_of_its_step(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/health"] = (503, b"")
    asked = step("health_check", url=receiver.url + "/health", attempts=1000, every=1)
    assert perform(asked, context(timeout_seconds=0.3)).state == "failed"
    assert len(receiver.asked) == 1


PAGE = b"""# TYPE errors gauge
errors{zone="a"} 0.01
errors{zone="b"} 0.5
broken NaN
"""


def test_a_metric_is_read_from_a_page_and_every_series_must_hold(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/metrics"] = (200, PAGE)
    for options, state in [
        ({"metric": "errors", "labels": {"zone": "a"}}, "succeeded"),
        ({"metric": "errors"}, "failed"),
        ({"metric": "nothing"}, "failed"),
        ({"metric": "broken"}, "failed"),
        ({"metric": "broken", "comparison": "!="}, "failed"),
    ]:
        given = {"comparison": "<", "threshold": 0.05, "url": receiver.url + "/metrics", **options}
        assert perform(step("metric_check", **given), context(timeout_seconds=0.3)).state == state, options


def test_a_metric_is_asked_of_prometheus(receiver: Receiver) -> None:  # noqa: F811
    series = b'[{"metric": {}, "value": [1, "0.02"]}]'
    receiver.answers["/api/v1/query"] = (
        200,
        b'{"status": "success", "data": {"resultType": "vector", "result": ' + series + b"}}",
    )
    options = {"prometheus": receiver.url, "query": 'rate(x{a="b"}[5m])', "comparison": "<=", "threshold": 0.02}
    assert perform(step("metric_check", **options), context()).data["value"] == 0.02
    assert receiver.asked[0][1] == "/api/v1/query?query=rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29"
    receiver.answers["/api/v1/query"] = (200, b'{"status": "success", "data": {"resultType": "vector", "result": []}}')
    assert "no series" in perform(step("metric_check", **options), context(timeout_seconds=0.2)).error
    receiver.answers["/api/v1/query"] = (200, b"[]")
    assert "as Prometheus does" in perform(step("metric_check", **options), context(timeout_seconds=0.2)).error


def test_a_metric_must_hold_as_long_as_it_is_told_to(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/metrics"] = (200, PAGE)
    options = {"url": receiver.url + "/metrics", "metric": "errors", "labels": {"zone": "a"}, "every": 1, "for": 1}
    asked = step("metric_check", comparison="<", threshold=0.05, **options)
    done = perform(asked, context())
    assert done.data["held_seconds"] >= 1
    assert len(receiver.asked) >= 2
    assert "less than" in perform(asked, context(timeout_seconds=0.5)).error
    assert "raise its `timeout`" in preview_problems(asked, context(timeout_seconds=0.5, looking=True))


def test_a_value_that_stays_wrong_keeps_no_worker_busy_and_still_fails_in_time(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/metrics"] = (200, PAGE)
    page = receiver.url + "/metrics"
    asked = step("metric_check", url=page, metric="errors", comparison="<", threshold=0.05, every=2)
    until = (now() + timedelta(seconds=30)).isoformat()
    given_back = perform(asked, context(waited={"until": until}))
    assert (given_back.state, given_back.data) == ("waiting", {"value": 0.01, "until": until})
    assert given_back.due_at is not None
    assert given_back.due_at > now() + timedelta(seconds=1)
    assert len(receiver.asked) == 1
    failed = perform(asked, context(waited={"until": now().isoformat()}))
    assert (failed.state, failed.data) == ("failed", {"value": 0.01})
    assert perform(asked, context(waited={}, timeout_seconds=20)).state == "waiting"
    assert perform(asked, context(timeout_seconds=0.3)).state == "failed"  # a probe, of which one answer is wanted


def preview_problems(found: Step, known: StepContext) -> str:
    ready = prepare(found, known)
    return " ".join(ready.kind.preview(ready.options, known).problems)


# --- waiting --------------------------------------------------------------------------------------------------------


def test_a_wait_says_until_when_and_is_over_then() -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        known = context(started_at=now())
        first = perform(step("wait", seconds="1m"), known)
        assert (first.state, first.due_at) == ("waiting", now() + timedelta(seconds=60))
        clock.advance(timedelta(seconds=60))
        assert perform(step("wait", seconds="1m"), known).state == "succeeded"


def test_a_manual_step_waits_for_a_person() -> None:
    outcome = perform(step("manual", instructions="Pull the *lever*."), context())
    assert (outcome.state, outcome.due_at) == ("waiting", None)


# --- config_restore -------------------------------------------------------------------------------------------------


def changed(document: ConfigDocument, content: dict[str, Any]) -> ConfigVersion:
    edit_config(document.pk, content, expected_revision=again(document).revision, note="oops", actor=PORTAL)
    head = again(document).head
    assert head is not None
    return head


def test_a_restore_puts_the_baseline_back_once_and_names_what_undoes_it() -> None:
    document = held_here({"rate": 1})
    bad = changed(document, {"rate": 9})
    asked, known = step("config_restore", document=document.slug), context(idempotency_key="k1")
    assert prepare(asked, known).effect == "internal"
    done = perform(asked, known)
    assert (done.data["changed"], again(document).head.content) == (True, {"rate": 1})
    assert perform(asked, known).data == done.data
    back = prepare_compensation(asked, context(idempotency_key="k2"), done.data)
    assert back is not None
    undone = back.kind.perform(back.options, context(idempotency_key="k2"))
    assert (undone.state, again(document).head.checksum) == ("succeeded", bad.checksum)


def test_what_somebody_changed_meanwhile_is_never_written_over() -> None:
    document = held_here({"rate": 1})
    seen = changed(document, {"rate": 9}).checksum
    changed(document, {"rate": 10})
    targets = [{"kind": "config", "key": document.slug, "before": seen, "after": "", "version": ""}]
    refused = perform(step("config_restore", document=document.slug), context(targets=targets))
    assert (refused.state, refused.maybe_done) == ("failed", False)


def test_a_restore_that_changed_nothing_needs_no_undoing() -> None:
    document = held_here({"rate": 1})
    asked = step("config_restore", document=document.slug)
    done = perform(asked, context())
    assert prepare_compensation(asked, context(), done.data) is None


def test_a_document_that_is_not_there_is_a_problem() -> None:
    assert "no configuration document" in preview_problems(
        step("config_restore", document="nothing"), context(looking=True)
    )
    document = held_here({"rate": 1})
    asked = step("config_restore", document=document.slug, version=99)
    assert "has no version 99" in preview_problems(asked, context(looking=True))


# --- notify ---------------------------------------------------------------------------------------------------------


def test_a_message_goes_to_people_roles_and_lists_once() -> None:
    ana, ben = named("ana", "viewer"), named("ben", "viewer")
    answers_for("primary", ben)
    core = team("Core")
    core.email = "core@example.com"
    core.save()
    asked = step("notify", people=["ana"], roles=["primary"], teams=["core"], title="Done", text="All well.")
    for _ in range(2):
        with transaction.atomic():
            assert perform(asked, context()).data["messages"] == 3
    rows = Message.objects.order_by("id")
    assert {(row.recipient_id, row.channel) for row in rows} == {(ana.pk, "inbox"), (ben.pk, "inbox"), (None, "email")}
    assert rows.count() == 3


def test_of_a_private_incident_only_those_hear_who_see_it() -> None:
    named("ana", "viewer")
    lead = named("lea", "viewer")
    private = incident(visibility="private", team_id=team("Core", lead).pk)
    asked = step("notify", people=["ana", "lea"], title="Done")
    with transaction.atomic():
        done = perform(asked, context(incident_id=private.pk))
    assert done.data == {"messages": 1, "left_out": ["Ana"]}
    assert Message.objects.filter(title="Done").get().recipient_id == lead.pk


def test_without_an_incident_roles_are_those_of_the_team_that_owns_the_runbook() -> None:
    core, ana = team("Core"), named("ana", "viewer")
    answers_for("primary", ana, core)
    ready = prepare(step("notify", roles=["primary"], title="Done"), context())
    assert "Ana: inbox" in ready.kind.preview(ready.options, context(team_id=core.pk)).text
    assert "goes to nobody" in ready.kind.preview(ready.options, context()).text


def test_a_dry_run_tells_who_would_get_what_and_who_is_unknown() -> None:
    named("ana", "viewer")
    person("viewer", username="gone", is_active=False)
    ready = prepare(step("notify", people=["ana", "gone"], roles=["nobody"], teams=["none"], title="Done"), context())
    seen = kind("notify").preview(ready.options, context(looking=True))
    assert "Ana: inbox" in seen.text
    for missing in ("account `gone`", "role `nobody`", "team `none`"):
        assert missing in seen.text
    assert seen.problems == []
    assert not Message.objects.exists()
