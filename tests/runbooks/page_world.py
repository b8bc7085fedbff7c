"""A small world for the pages: a shop with a bad configuration, the runbook that heals it, a flag and a button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.test import Client

from apps.approvals.operations import approve
from apps.catalog.models import Environment, Service, Team
from apps.flags.models import Flag
from apps.flags.operations import create_flag
from apps.foundation.actor import Actor
from apps.incidents.models import Incident
from apps.people.models import User
from apps.runbooks.models import DryRun, Execution, Mitigation, Runbook
from apps.runbooks.operations.authoring import create_runbook, save_version
from apps.runbooks.operations.buttons import create_mitigation
from apps.runbooks.operations.executing import execute, start
from apps.runbooks.planning import make_dry_run
from apps.runbooks.worker import run_due
from apps.state.models import ConfigDocument
from apps.state.operations import create_document, edit_config, set_baseline
from tests.factories import actor, incident, named, novacron, service, team

SYSTEM = Actor.system()
GOOD = {"drop_rate": 0.05, "prices": {"sword": 100, "shield": 80}, "tax": 2}
BAD = {"drop_rate": 5, "prices": {"sword": 1, "potion": 9}, "tax": 2}

ROLLBACK = """
title: Economy rollback
command: economy
estimate: 2m
target: 30m
approval: {approval}
parameters:
  type: object
  additionalProperties: false
  properties:
    area: {{type: string, title: Area, description: which part of the game, default: shop}}
    ratio: {{type: number, default: 0.5, minimum: 0, maximum: 1}}
    rounds: {{type: integer, default: 2}}
    careful: {{type: boolean, default: true}}
    mode: {{enum: [soft, hard], default: soft}}
    limits: {{type: array, default: [1, 2]}}
steps:
  - slug: restore
    name: Put the baseline back
    kind: config_restore
    with: {{document: economy}}
{more}"""
MANUAL = """  - slug: look
    name: Look at the shop
    kind: manual
    with: {instructions: "Buy a sword in {{ params.area }}"}
"""


@dataclass(frozen=True)
class World:
    """Who and what the tests speak of."""

    ana: User  # commands
    max: User  # approves
    vic: User  # only looks
    core: Team
    shop: Service
    production: Environment
    document: ConfigDocument
    runbook: Runbook
    flag: Flag
    button: Mitigation
    incident: Incident


def runbook(name: str, text: str, owner: Team, *services: Service) -> Runbook:
    """An active runbook with this text."""
    slug = name.lower().replace(" ", "-")
    made = create_runbook(
        slug,
        name,
        owner_id=owner.pk,
        service_ids=[row.pk for row in services],
        description=f"About {name}.",
        actor=SYSTEM,
    )
    save_version(made.pk, text, activate=True, actor=SYSTEM)
    made.refresh_from_db()
    return made


def flag(key: str, world_or_team: Team, production: Environment, *services: Service) -> Flag:
    """A flag that is on."""
    return create_flag(
        key,
        environment_id=production.pk,
        owner_id=world_or_team.pk,
        name=key.replace(".", " ").capitalize(),
        blast_radius="Nobody can pay.",
        rollback_expectation="Carts stay; payments come back within seconds.",
        service_ids=[row.pk for row in services],
        actor=SYSTEM,
    )


def world(*, approval: str = "required", more: str = "", visibility: str = "open") -> World:
    """An incident of a shop whose configuration was broken a moment ago."""
    novacron()
    ana, approver, vic = named("ana", "commander"), named("max", "approver"), named("vic", "viewer")
    core = team("Core", ana, approver)
    shop = service("Shop", core)
    production = Environment.objects.create(slug="production", name="Production", position=1)
    document = create_document(
        slug="economy", name="Economy", service_id=shop.pk, environment_id=production.pk, content=GOOD, actor=SYSTEM
    )
    first = document.versions.get()
    set_baseline(document.pk, first.pk, reason="known to be good", actor=SYSTEM)
    document.refresh_from_db()
    edit_config(document.pk, BAD, expected_revision=document.revision, note="more drops", actor=SYSTEM)
    text = ROLLBACK.format(approval=approval, more=more)
    rollback = runbook("Economy rollback", text, core, shop)
    return World(
        ana=ana,
        max=approver,
        vic=vic,
        core=core,
        shop=shop,
        production=production,
        document=document,
        runbook=rollback,
        flag=flag("payments.checkout", core, production, shop),
        button=create_mitigation("economy-back", "Economy back to the baseline", runbook_id=rollback.pk, actor=SYSTEM),
        incident=incident(
            "Purchases fail", "P1", service_ids=[shop.pk], team_id=core.pk, visibility=visibility
        ),
    )  # fmt: skip


def looked(at: World, by: User | None = None) -> DryRun:
    """A dry run for the incident."""
    return make_dry_run(at.runbook.pk, {}, incident_id=at.incident.pk, actor=actor(by or at.ana))


def asked(at: World) -> Execution:
    """An execution that Ana asked for."""
    return start(looked(at).pk, reason="it loses money", actor=actor(at.ana))


def allowed(at: World) -> Execution:
    """One that Max has approved as well."""
    execution = asked(at)
    assert execution.approval_id is not None
    approve(execution.approval_id, actor=actor(at.max))
    execution.refresh_from_db()
    return execution


def at_work(at: World) -> Execution:
    """One that was started; no step has been done yet."""
    execution = allowed(at) if at.runbook.active_version.content["approval"] == "required" else asked(at)
    return execute(execution.pk, actor=actor(at.ana))


def work() -> None:
    """Let the worker do all there is to do."""
    for _ in range(100):
        if not run_due():
            return
    raise AssertionError("the work does not end")


def client(user: User) -> Client:
    """A browser without scripts, logged in."""
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def get(user: User, path: str, *, part: bool = False) -> Any:
    """The answer to a page, or to a part of one that htmx asks for."""
    return client(user).get(path, headers={"HX-Request": "true"} if part else {})


def post(user: User, path: str, part: bool = False, **data: Any) -> Any:
    """The answer to a form."""
    return client(user).post(path, data, headers={"HX-Request": "true"} if part else {})


def command(at: World) -> str:
    return f"/admin/incidents/incident/{at.incident.pk}/command/"


def of_incident(at: World, rest: str) -> str:
    return f"/admin/runbooks/execution/of-incident/{at.incident.pk}/{rest}"


def page(execution: Execution, verb: str = "change") -> str:
    return f"/admin/runbooks/execution/{execution.pk}/{verb}/"
