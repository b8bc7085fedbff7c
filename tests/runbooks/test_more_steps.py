"""The kinds that change flags, configurations and events, ask people, and wait for conditions."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, refuse
from apps.catalog.models import Environment
from apps.demo.world.game import World
from apps.engine.operations import deliver
from apps.flags.models import Flag
from apps.flags.operations import create_flag, kill
from apps.foundation.clock import ManualClock, now, use_clock
from apps.messaging.providers.webhook import portal_signing_key
from apps.runbooks.models import StepRun
from apps.runbooks.operations.executing import cancel
from apps.runbooks.steps.preparing import NotReady, prepare, prepare_compensation
from apps.state.models import ConfigVersion
from tests.demo.test_world_http import port, world
from tests.factories import actor, incident, named, person, team
from tests.runbooks.rehearsal import FAILS, SCRIPT, begun, commander, run, runbook
from tests.runbooks.rehearsal import step as rehearsed
from tests.runbooks.test_steps import perform, preview_problems, step
from tests.runbooks.writing import PORTAL, Receiver, context, receiver  # noqa: F401  # pytest finds the fixture by its name
from tests.state.making import again, held_here

__all__ = ["port", "world"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def script() -> None:
    SCRIPT.clear()


def flag(**more: Any) -> Flag:
    given: dict[str, Any] = {
        "name": "Checkout",
        "blast_radius": "Nobody buys.",
        "rollback_expectation": "Bring it back.",
    }
    owner, place = team("Shop"), Environment.objects.create(slug="live", name="Live")
    return create_flag("shop.checkout", environment_id=place.pk, owner_id=owner.pk, actor=PORTAL, **{**given, **more})


def on(do: str, **more: Any) -> dict[str, Any]:
    return {"slug": "flag", "name": "Flag", "kind": "flag_change", "with": {**_FLAG, "do": do, **more}}


_FLAG = {"flag": "shop.checkout", "environment": "live"}


# --- flag_change ----------------------------------------------------------------------------------------------------


def test_a_flag_is_killed_for_the_incident_and_brought_back_when_a_later_step_fails() -> None:
    made, about = flag(), incident()
    SCRIPT.on("two", lambda _: (seen.append(Flag.objects.get(pk=made.pk)), FAILS)[1])
    seen: list[Flag] = []
    execution = run(begun(runbook(on("kill"), rehearsed("two")), incident_id=about.pk))
    assert (seen[0].state, seen[0].about_key) == ("killed", str(about.pk))
    made.refresh_from_db()
    assert (execution.state, made.state, made.version) == ("undone", "on", 3)


def test_the_dry_run_of_a_kill_tells_the_radius_and_of_a_missing_flag_that_there_is_none() -> None:
    assert "no flag `shop.checkout`" in preview_problems(step("flag_change", do="kill", **_FLAG), context(looking=True))
    flag()
    ready = prepare(step("flag_change", do="kill", **_FLAG), context(looking=True))
    seen = ready.kind.preview(ready.options, context(looking=True))
    assert "Nobody buys." in seen.text
    assert seen.diff == [{"path": "shop.checkout@live.state", "op": "changed", "before": "on", "after": "killed"}]


def test_another_variant_is_served_and_the_one_before_comes_back() -> None:
    made = flag()
    asked = step("flag_change", do="serve", serve="off", **_FLAG)
    done = perform(asked, context(idempotency_key="k1"))
    assert (again_flag(made).definition["serve"], done.data["changed"]) == ("off", True)
    back = prepare_compensation(asked, context(idempotency_key="k2"), done.data)
    assert back is not None
    assert back.kind.perform(back.options, context()).state == "succeeded"
    assert again_flag(made).definition["serve"] == "on"
    assert "has no variant" in preview_problems(step("flag_change", do="serve", serve="x", **_FLAG), context())


def again_flag(made: Flag) -> Flag:
    return Flag.objects.get(pk=made.pk)


def test_what_somebody_did_to_a_flag_since_the_approval_is_not_undone_but_a_kill_always_counts() -> None:
    made = flag()
    execution = begun(runbook(rehearsed("one"), on("bring_back")))
    kill(made.pk, reason="Fraud.", actor=PORTAL)
    assert run(execution).state == "failed"
    assert again_flag(made).state == "killed"
    assert perform(step("flag_change", do="kill", **_FLAG), context()).data["changed"] is False


# --- config_apply ---------------------------------------------------------------------------------------------------


def test_values_are_applied_once_and_what_was_live_goes_back() -> None:
    document = held_here({"drop": {"rate": 1, "cap": 5}})
    asked, known = step("config_apply", document=document.slug, set={"drop.rate": 2}), context(idempotency_key="k1")
    done = perform(asked, known)
    assert again(document).head.content == {"drop": {"rate": 2, "cap": 5}}
    assert perform(asked, known).data == done.data
    assert ConfigVersion.objects.filter(document=document).count() == 2
    back = prepare_compensation(asked, context(idempotency_key="k2"), done.data)
    assert back is not None
    assert back.kind.perform(back.options, context(idempotency_key="k2")).state == "succeeded"
    assert again(document).head.content == {"drop": {"rate": 1, "cap": 5}}


def test_values_that_break_the_schema_or_stand_nowhere_are_problems() -> None:
    document = held_here({"rate": 1}, schema={"properties": {"rate": {"maximum": 5}}})
    wrong = step("config_apply", document=document.slug, set={"rate": 9})
    assert "break its schema" in preview_problems(wrong, context(looking=True))
    assert perform(wrong, context()).state == "failed"
    nowhere = step("config_apply", document=document.slug, set={"a.b": 1})
    assert "There is no a.b" in preview_problems(nowhere, context(looking=True))
    with pytest.raises(NotReady, match="either `set`"):
        prepare(step("config_apply", document=document.slug), context())


# --- webhook --------------------------------------------------------------------------------------------------------


def test_a_webhook_is_signed_as_outgoing_ones_are(receiver: Receiver) -> None:  # noqa: F811
    asked = step(
        "webhook", url=receiver.url + "/hook", type="runbook.drained", data={"queue": "eu"}, secret="whsec_12345"
    )
    assert perform(asked, context()).state == "succeeded"
    _, _, headers, body = receiver.asked[0]
    assert json.loads(body) == {"id": "key-1", "type": "runbook.drained", "data": {"queue": "eu"}}
    stamp, _, signed = headers["portal-signature"].partition(",v1=")
    wanted = hmac.new(b"whsec_12345", f"{stamp.removeprefix('t=')}.".encode() + body, hashlib.sha256).hexdigest()
    assert (signed, headers["idempotency-key"], headers["portal-event"]) == (wanted, "key-1", "runbook.drained")
    assert "whsec" not in json.dumps(
        prepare(asked, context()).kind.intent(prepare(asked, context()).options, context())
    )
    perform(step("webhook", url=receiver.url + "/hook"), context())
    assert portal_signing_key().encode() not in receiver.asked[1][3]


# --- wait_until -----------------------------------------------------------------------------------------------------


def test_until_an_instant_and_until_an_answer(receiver: Receiver) -> None:  # noqa: F811
    clock = ManualClock(now())
    receiver.answers["/health"] = (503, b"")
    with use_clock(clock):
        at = (now() + timedelta(minutes=5)).isoformat()
        assert perform(step("wait_until", at=at), context()).due_at == now() + timedelta(minutes=5)
        asked, known = (
            step("wait_until", url=receiver.url + "/health", every="10s", most="1m"),
            context(started_at=now()),
        )
        first = perform(asked, known)
        assert (first.state, first.due_at) == ("waiting", now() + timedelta(seconds=10))
        clock.advance(timedelta(minutes=1))
        assert "Not within 1 min" in perform(asked, known).error
        del receiver.answers["/health"]
        assert perform(asked, known).data["status"] == 200
        clock.advance(timedelta(minutes=5))
        assert perform(step("wait_until", at=at), context()).state == "succeeded"
    with pytest.raises(NotReady, match="no zone"):
        prepare(step("wait_until", at="2026-11-22T18:00:00"), context())
    abroad = prepare(step("wait_until", at="2026-11-22T18:00:00+09:00"), context(looking=True))
    assert "until 2026-11-22 09:00:00 UTC" in abroad.kind.preview(abroad.options, context(looking=True)).text


@pytest.mark.parametrize("what", [{"at": "2026-11-22T18:00:00Z"}, {"url": "https://a.example/health"}])
@pytest.mark.parametrize("beside", [{"comparison": "<"}, {"threshold": 5}, {"query": "up"}, {"labels": {"a": "b"}}])
def test_what_would_measure_nothing_is_refused(what: dict[str, Any], beside: dict[str, Any]) -> None:
    with pytest.raises(NotReady, match="would count for nothing"):
        prepare(step("wait_until", **what, **beside), context())


def test_until_a_number_holds(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/metrics"] = (200, b"queue 700\n")
    given = {"url": receiver.url + "/metrics", "metric": "queue", "comparison": "<", "threshold": 500}
    assert perform(step("wait_until", **given), context(started_at=now())).state == "waiting"
    receiver.answers["/metrics"] = (200, b"queue 180\n")
    assert perform(step("wait_until", **given), context()).data == {"value": 180.0}


# --- approval -------------------------------------------------------------------------------------------------------

ASKS = {"slug": "ask", "name": "Ask", "kind": "approval", "with": {"asks": "Give it all back?", "within": "10m"}}


def test_somebody_else_is_asked_in_the_middle_and_it_goes_on_once_they_said_yes() -> None:
    execution = run(begun(runbook(rehearsed("one"), ASKS, rehearsed("two"))))
    request, ada = ApprovalRequest.objects.get(), named("ada", "approver")
    assert (SCRIPT.names, request.requested_by) == (["one"], commander())
    approve(request.pk, reason="Fine.", actor=actor(ada))
    drain()
    execution = run(execution)
    assert (execution.state, SCRIPT.names) == ("succeeded", ["one", "two"])
    assert execution.steps.get(slug="ask").outcome == {"request_id": request.pk, "by": "Ada", "note": "Fine."}


def test_a_no_is_a_failed_step_and_stopping_takes_the_question_back() -> None:
    execution = run(begun(runbook(rehearsed("one", with_undo="yes"), ASKS)))
    refuse(ApprovalRequest.objects.get().pk, reason="Too much.", actor=actor(person("approver")))
    drain()
    execution = run(execution)
    assert (execution.state, SCRIPT.names) == ("undone", ["one", "undo one"])
    assert "Too much." in execution.steps.get(slug="ask").error
    other = run(begun(runbook(ASKS)))
    cancel(other.pk, reason="not needed", actor=actor(commander()))
    assert ApprovalRequest.objects.latest("pk").state == ApprovalRequest.State.VOID


def test_nobody_in_time_is_a_failed_step() -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        execution = run(begun(runbook(ASKS)))
        clock.advance(timedelta(minutes=11))
        assert run(execution).state == "failed"
    assert StepRun.objects.get(slug="ask").state == "failed"


def drain() -> None:
    """Let everybody who listens hear of what happened."""
    while deliver():
        pass


# --- pagerduty_resolve ----------------------------------------------------------------------------------------------


def test_an_alert_is_resolved_by_its_key(receiver: Receiver) -> None:  # noqa: F811
    asked = step("pagerduty_resolve", routing_key="0123456789", dedup_key="down", url=receiver.url)
    assert perform(asked, context()).data == {"resolved": 1}
    _, path, _, body = receiver.asked[0]
    assert (path, json.loads(body)["event_action"], json.loads(body)["dedup_key"]) == ("/v2/enqueue", "resolve", "down")
    assert "Without an incident" in preview_problems(step("pagerduty_resolve"), context(looking=True))
    assert perform(step("pagerduty_resolve"), context(incident_id=incident().pk)).data == {"resolved": 0}


# --- events ---------------------------------------------------------------------------------------------------------


def pause(port: int, **more: Any) -> dict[str, Any]:
    given = {
        "url": f"http://127.0.0.1:{port}",
        "event": "storm-trails",
        "message": "A moment.",
        "undo_message": "Open.",
    }
    return {"slug": "pause", "name": "Pause", "kind": "event_pause", "with": {**given, **more}}


def test_an_event_is_paused_with_a_message_and_resumed_when_a_later_step_fails(
    port: int, world: World, settings: Any
) -> None:
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    seen: list[dict[str, Any]] = []
    SCRIPT.on("two", lambda _: (seen.append(world.event("storm-trails")), FAILS)[1])
    execution = run(begun(runbook(pause(port), rehearsed("two"))))
    assert (seen[0]["state"], seen[0]["message"]) == ("paused", "A moment.")
    assert (execution.state, world.event("storm-trails")["state"]) == ("undone", "active")
    assert world.event("storm-trails")["message"] == "Open."


def test_a_paused_event_stays_so_and_needs_no_undoing_and_a_strange_one_is_a_problem(
    port: int, world: World, settings: Any
) -> None:
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    world.pause_event("storm-trails", paused=True, message="before")
    asked = step("event_pause", **pause(port)["with"])
    done = perform(asked, context())
    assert (done.data["changed"], world.event("storm-trails")["message"]) == (False, "before")
    assert prepare_compensation(asked, context(), done.data) is None
    assert "is idle" in preview_problems(step("event_pause", **pause(port, event="world-boss")["with"]), context())
    assert "no event `x`" in preview_problems(step("event_pause", **pause(port, event="x")["with"]), context())


def test_after_a_lost_attempt_the_game_is_asked_whether_it_happened(port: int, world: World, settings: Any) -> None:
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    asked = prepare(step("event_pause", **pause(port)["with"]), context())
    assert asked.kind.probe(asked.options, context()) is None
    perform(step("event_pause", **pause(port)["with"]), context())
    found = asked.kind.probe(asked.options, context())
    assert found is not None
    assert found.data["changed"]


# --- where no step may go -------------------------------------------------------------------------------------------

REACHING: dict[str, dict[str, Any]] = {
    "http_request": {"method": "POST"},
    "webhook": {},
    "wait_until": {},
    "pagerduty_resolve": {"routing_key": "0123456789", "dedup_key": "down"},
    "event_pause": {"event": "storm-trails"},
    "health_check": {},
}


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[::1]/", "http://localhost/", "http://0.0.0.0/"]
)
@pytest.mark.parametrize("name", REACHING)
def test_inner_addresses_are_a_problem_before_and_a_failure_at_work(name: str, url: str, settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    asked = step(name, url=url, **REACHING[name])
    assert "only public addresses may be reached" in preview_problems(asked, context(looking=True))
    known = context(started_at=now() - timedelta(hours=2), timeout_seconds=0.2)
    failed = perform(asked, known)
    assert (failed.state, failed.maybe_done) == ("failed", False)
    assert "only public addresses" in failed.error


def test_a_redirect_into_loopback_is_an_answer_that_is_not_followed(receiver: Receiver) -> None:  # noqa: F811
    receiver.answers["/hook"] = (302, b"")
    failed = perform(step("webhook", url=receiver.url + "/hook"), context())
    assert (failed.error, len(receiver.asked)) == ("It answered 302, not 2xx.", 1)
