"""`config_apply` for a share first, against the demo world: seen in the dry run, done once, ended when it is undone."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.demo.world.game import World
from apps.demo.world.schema import CONFIG_SCHEMA
from apps.runbooks.steps.base import Outcome
from apps.runbooks.steps.preparing import prepare, prepare_compensation
from apps.state.models import ConfigDocument
from apps.state.operations import capture, create_document, edit_config, set_baseline
from tests.demo.test_world_http import call, port, world
from tests.factories import bearer, person, service, superuser
from tests.runbooks.rehearsal import FAILS, SCRIPT, begun, run, runbook, steps_of
from tests.runbooks.rehearsal import step as rehearsed
from tests.runbooks.test_library import text_of
from tests.runbooks.test_steps import perform, preview_problems, step
from tests.runbooks.writing import PORTAL, context
from tests.state.making import again, held_here

__all__ = ["port", "world"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def economy(port: int, world: World, settings: Any) -> ConfigDocument:
    """The config of the demo world, known to be good."""
    SCRIPT.clear()
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    texts: dict[str, Any] = {"slug": "economy", "name": "Economy", "schema": CONFIG_SCHEMA}
    url = f"http://127.0.0.1:{port}/config"
    made = create_document(service_id=service("Game").pk, source_url=url, actor=PORTAL, **texts)
    return set_baseline(made.pk, capture(made.pk, actor=PORTAL).pk, reason="good", actor=PORTAL)


def canary(rate: float = 0.04, **more: Any) -> dict[str, Any]:
    given = {"document": "economy", "set": {"economy.drop_rate": rate}, "percentage": 10, **more}
    return {"slug": "canary", "name": "Canary", "kind": "config_apply", "with": given}


def for_all(rate: float = 0.04) -> dict[str, Any]:
    given = {"document": "economy", "set": {"economy.drop_rate": rate}}
    return {"slug": "all", "name": "All", "kind": "config_apply", "with": given}


def drop_rate(world: World) -> float:
    return float(world.config()["document"]["economy"]["drop_rate"])


def test_a_share_first_then_all_and_the_dry_run_says_so(economy: ConfigDocument, world: World) -> None:
    execution = begun(runbook(canary(), for_all()))
    first, last = execution.dry_run.steps
    assert first["text"] == "Changes Economy for 10 %, as a canary: 1 value. All others keep what is live."
    assert [row["path"] for row in (*first["diff"], *last["diff"])] == ["economy.drop_rate"] * 2
    assert run(execution).state == "succeeded"
    assert (drop_rate(world), "canary" in world.config(), world.config()["version"]) == (0.04, False, 2)


def test_a_later_failure_ends_the_canary(economy: ConfigDocument, world: World) -> None:
    seen: list[Any] = []

    def fails(_: Any) -> Any:
        seen.append((world.config()["canary"]["percentage"], drop_rate(world)))
        return FAILS

    SCRIPT.on("two", fails)
    execution = run(begun(runbook(canary(), rehearsed("two"))))
    assert (execution.state, seen) == ("undone", [(10, 0.05)])
    assert steps_of(execution)[-1] == "undo canary:succeeded"
    assert ("canary" in world.config(), drop_rate(world), world.config()["version"]) == (False, 0.05, 1)


def test_what_is_undone_after_it_went_to_all_is_as_it_was(economy: ConfigDocument, world: World) -> None:
    SCRIPT.on("last", FAILS)
    execution = run(begun(runbook(canary(), for_all(), rehearsed("last"))))
    assert (execution.state, drop_rate(world), "canary" in world.config()) == ("undone", 0.05, False)


def test_one_key_gives_one_canary_also_after_a_lost_attempt(economy: ConfigDocument, port: int) -> None:
    asked, known = step("config_apply", **canary()["with"]), context(idempotency_key="k1")
    ready = prepare(asked, known)
    assert ready.kind.probe(ready.options, known) is None
    done = perform(asked, known)
    assert perform(asked, known).data == done.data
    found = ready.kind.probe(ready.options, known)
    assert found is not None
    assert found.data == done.data
    puts = [row for row in call(port, "GET", "/requests")[1]["requests"] if row["method"] == "PUT"]
    assert [row["idempotency_key"] for row in puts] == ["k1"]


def test_undoing_leaves_the_canary_of_somebody_else(economy: ConfigDocument, world: World) -> None:
    asked = step("config_apply", **canary()["with"])
    done = perform(asked, context(idempotency_key="k1"))
    now = world.config()
    theirs = {**now["document"], "economy": {**now["document"]["economy"], "gold_per_kill": 13}}
    given: dict[str, Any] = {"expected_version": 1, "author": "ada", "note": ""}
    world.put_config(now["document"], percentage=0, **given)
    world.put_config(theirs, percentage=20, **given)
    back = prepare_compensation(asked, context(idempotency_key="k2"), done.data)
    assert back is not None
    assert back.kind.perform(back.options, context(idempotency_key="k2")).data["changed"] is False
    assert world.config()["canary"]["percentage"] == 20
    assert "A canary of 20 % of Economy runs already; it changes economy.gold_per_kill" in preview_problems(
        asked, context(looking=True)
    )
    failed = perform(asked, context(idempotency_key="k3"))
    assert (failed.state, "A canary of 20 %" in failed.error) == ("failed", True)


def test_what_somebody_changed_since_the_approval_is_not_tried(economy: ConfigDocument, world: World) -> None:
    SCRIPT.on("one", lambda _: _edited(world))
    execution = run(begun(runbook(rehearsed("one"), canary())))
    assert (execution.state, "canary" in world.config()) == ("failed", False)
    assert "was changed" in execution.steps.get(slug="canary").error


def _edited(world: World) -> Outcome:
    document = ConfigDocument.objects.get()
    content = {**world.config()["document"], "message_of_the_day": "hello"}
    edit_config(document.pk, content, expected_revision=again(document).revision, actor=PORTAL)
    return Outcome("succeeded")


def test_a_document_that_the_portal_holds_is_refused_in_the_dry_run_and_at_work() -> None:
    asked = step("config_apply", document=held_here({"rate": 1}).slug, set={"rate": 2}, percentage=10)
    assert "held by the portal itself" in preview_problems(asked, context(looking=True))
    assert "held by the portal itself" in perform(asked, context()).error


def test_page_and_api_show_the_share_and_what_differs(economy: ConfigDocument) -> None:
    perform(step("config_apply", **canary()["with"]), context(idempotency_key="k1"))
    client = Client()
    client.force_login(superuser(), backend="django.contrib.auth.backends.ModelBackend")
    box = client.get(f"/admin/state/configdocument/{economy.pk}/live/").content.decode()
    assert "Canary: 10 %" in box
    assert "economy.drop_rate" in box
    shown = Client().get(f"/api/v1/configs/{economy.pk}/diff/", headers=bearer(person("viewer"))).json()["canary"]
    assert (shown["percentage"], [row["after"] for row in shown["changes"]]) == (10, [0.04])


def test_the_shipped_hotfix_heals_the_world(economy: ConfigDocument, port: int, world: World) -> None:
    import yaml

    document = yaml.safe_load(text_of("hotfix", port))
    for row in document["steps"]:
        row["with"].pop("for", None)
    book = runbook(*document.pop("steps"), **{**document, "approval": "none"})
    world.break_it("bad-config")
    capture(economy.pk, actor=PORTAL)
    execution = run(begun(book, wait=0, values={"economy.drop_rate": 0.06}))
    assert (execution.state, drop_rate(world), world.faults()) == ("succeeded", 0.06, [])
