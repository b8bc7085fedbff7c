"""Every shipped runbook against the demo world: its text is good and complete, and its dry run changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model

from apps.catalog.models import Environment, Service
from apps.demo.levers import SWITCHES
from apps.demo.world.game import World
from apps.demo.world.schema import CONFIG_SCHEMA
from apps.flags.operations import create_flag, start_experiment
from apps.runbooks.documents import problems_of, read_document
from apps.runbooks.models import DryRun
from apps.runbooks.operations.library import shipped_runbooks
from apps.runbooks.planning import make_dry_run
from apps.state.models import ConfigDocument
from apps.state.operations import capture, create_document, set_baseline
from tests.demo.test_world_http import call, port, world
from tests.factories import service, team
from tests.flags.experimenting import REWARDS, make_experiment
from tests.runbooks.writing import PORTAL, runbook

__all__ = ["port", "world"]
BOOKS = {path.stem: path.read_text(encoding="utf-8") for path in shipped_runbooks()}
CHANGING = {"flag_change", "config_apply", "config_restore", "event_pause", "event_resume"}
DIFFS = {
    "api-performance": ["events.world-boss@production.state"],
    "budget": ["events.world-boss@production.state"],
    "data-corruption": [
        "combat.attacks@production.state", "payments.checkout@production.state", "economy.drop_rate",
        "payments.checkout@production.state", "combat.attacks@production.state",
    ],
    "database": ["events.storm-trails.state", "events.storm-trails.message"] * 2,
    "economy-rollback": ["economy.drop_rate"],
    "event-pause": ["events.storm-trails.state", "events.storm-trails.message"],
    "event-resume": [],
    "experiment-kill": ["experiments.abx-storm-reward.shares"],
    "exploit": ["combat.attacks@production.state"],
    "flag-kill": ["events.world-boss@production.state"],
    "hotfix": ["economy.drop_rate"] * 2,
    "login-outage": [],
    "payment-failure": ["payments.checkout@production.state"] * 2,
    "rate-limiting": ["combat.attacks@production.state"] * 2,
    "service-restart": [],
    "tick-backlog": ["combat.attacks@production.state"] * 2,
}  # fmt: skip


def text_of(slug: str, port: int) -> str:
    return BOOKS[slug].replace("@WORLD@", f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("slug", BOOKS)
def test_every_shipped_runbook_is_good_and_says_all_that_a_responder_asks(slug: str) -> None:
    assert problems_of(text_of(slug, 8900)) == []
    document = read_document(text_of(slug, 8900))
    assert all((document.signals, document.expected, document.contacts, document.escalation, document.comms))
    assert (document.target or 0) > (document.estimate or 0)


def organisation(port: int) -> None:
    """The switches and the config that the demo has; the world's config has just gone bad."""
    place, owner = Environment.objects.create(slug="production", name="Production"), team("Core")
    for plan in SWITCHES:
        texts = {"blast_radius": plan.blast_radius, "rollback_expectation": plan.rollback_expectation}
        create_flag(plan.key, environment_id=place.pk, owner_id=owner.pk, name=plan.name, actor=PORTAL, **texts)
    texts = {"blast_radius": "A reward.", "rollback_expectation": "At once."}
    reward = create_flag(
        "storm.reward", environment_id=place.pk, owner_id=owner.pk, name="Reward", kind="experiment",
        value_type="string", definition=REWARDS, actor=PORTAL, **texts,
    )  # fmt: skip
    start_experiment(make_experiment(reward).pk, actor=PORTAL)
    game: Service = service("Game")
    document = create_document(
        slug="economy",
        name="Economy",
        service_id=game.pk,
        schema=CONFIG_SCHEMA,
        source_url=f"http://127.0.0.1:{port}/config",
        actor=PORTAL,
    )
    set_baseline(document.pk, capture(document.pk, actor=PORTAL).pk, reason="good", actor=PORTAL)
    runbook(text_of("economy-rollback", port), slug="economy-rollback")


def everything() -> dict[str, Any]:
    """How many rows there are, and the versions of those that have one."""
    found: dict[str, Any] = {}
    models: list[type[Model]] = [model for model in apps.get_models() if model is not DryRun and model._meta.managed]
    for model in models:
        rows = model._default_manager.order_by("pk")
        versioned = any(field.name == "version" for field in model._meta.concrete_fields)
        found[model._meta.label] = list(rows.values_list("pk", "version")) if versioned else rows.count()
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("slug", BOOKS)
def test_the_dry_run_of_every_shipped_runbook_changes_nothing_and_its_diff_is_complete(
    slug: str, port: int, world: World, settings: Any
) -> None:
    settings.EGRESS_ALLOW = [f"127.0.0.1:{port}"]
    organisation(port)
    world.break_it("bad-config")
    capture(ConfigDocument.objects.get().pk, actor=PORTAL)
    book = runbook(text_of(slug, port), slug=slug)[0]
    before = everything()
    dry_run = make_dry_run(book.pk, {}, actor=PORTAL)
    assert (everything(), DryRun.objects.count()) == (before, 1)
    assert call(port, "GET", "/requests")[1]["requests"] == []
    assert dry_run.problems == []
    assert [change["path"] for step in dry_run.steps for change in step["diff"]] == DIFFS[slug]
    told = [step["text"] for step in dry_run.steps if step["kind"] in CHANGING and not step["diff"]]
    assert all("nothing to do" in text for text in told), told
