"""The demo's kill switches, its config document with a baseline, its runbooks and the button of one."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings

from apps.catalog.models import Environment, Service, Team
from apps.demo.levers import BUTTONS, ECONOMY, ENTITIES, RUNBOOK_OWNER, RUNBOOK_SERVICES, SWITCHES
from apps.demo.world.game import HEALTHY_CONFIG
from apps.demo.world.schema import CONFIG_SCHEMA
from apps.flags.models import Flag
from apps.flags.operations import create_flag
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.runbooks.models import Mitigation, Runbook
from apps.runbooks.operations import create_mitigation, load_library
from apps.state.entities.models import EntitySource
from apps.state.entities.operations import create_source, edit_source
from apps.state.models import ConfigDocument
from apps.state.operations import create_document, edit_document, set_baseline


@operation
def seed_switches(teams: Mapping[str, Team], services: Mapping[str, Service], *, actor: Actor) -> None:
    """A kill switch of each kind in each environment. Those that are there already stay as they are."""
    known = set(Flag.objects.values_list("key", "environment_id"))
    for environment in Environment.objects.all():
        for plan in SWITCHES:
            if (plan.key, environment.pk) not in known:
                create_flag(
                    plan.key,
                    environment_id=environment.pk,
                    owner_id=teams[plan.team].pk,
                    name=plan.name,
                    description=plan.description,
                    blast_radius=plan.blast_radius,
                    rollback_expectation=plan.rollback_expectation,
                    service_ids=[services[slug].pk for slug in plan.services],
                    actor=actor,
                )


@operation
def seed_config(services: Mapping[str, Service], *, actor: Actor) -> None:
    """The game's config, held by the demo world, with a baseline that the world begins with; once.

    The world may not run yet, so the first version is written here; from then on the portal looks every ten seconds.
    """
    if ConfigDocument.objects.filter(slug=ECONOMY.slug).exists():
        return
    document = create_document(
        slug=ECONOMY.slug,
        name=ECONOMY.name,
        description=ECONOMY.description,
        service_id=services[ECONOMY.service].pk,
        environment_id=Environment.objects.get(slug=ECONOMY.environment).pk,
        schema=CONFIG_SCHEMA,
        content=HEALTHY_CONFIG,
        actor=actor,
    )
    assert document.head_id is not None
    set_baseline(document.pk, document.head_id, reason="the config that the world begins with", actor=actor)
    edit_document(
        document.pk,
        source_url=f"{settings.WORLD_URL}/config",
        capture_every_seconds=ECONOMY.capture_every_seconds,
        reason="the demo world holds it",
        actor=actor,
    )


@operation
def seed_entities(services: Mapping[str, Service], *, actor: Actor) -> None:
    """The world's players and villages as sources of snapshots; those that are there already stay as they are."""
    known = set(EntitySource.objects.values_list("slug", flat=True))
    for plan in ENTITIES:
        if plan.slug not in known:
            create_source(
                slug=plan.slug,
                name=plan.name,
                kind=plan.kind,
                description=plan.description,
                service_id=services[plan.service].pk,
                environment_id=Environment.objects.get(slug=plan.environment).pk,
                base_url=f"{settings.WORLD_URL}/{plan.slug}",
                snapshot_every_seconds=plan.snapshot_every_seconds,
                actor=actor,
            )


def follow_the_world(*, actor: Actor) -> None:
    """Let config and sources point to where the demo world listens now; it may have another port than last time."""
    for source in EntitySource.objects.filter(slug__in=[plan.slug for plan in ENTITIES]):
        there = f"{settings.WORLD_URL}/{source.slug}"
        if source.base_url.startswith("http://127.0.0.1:") and source.base_url != there:
            edit_source(source.pk, base_url=there, reason="the demo world listens elsewhere", actor=actor)
    document = ConfigDocument.objects.filter(slug=ECONOMY.slug).first()
    address = f"{settings.WORLD_URL}/config"
    if document is not None and document.source_url.startswith("http://127.0.0.1:") and document.source_url != address:
        edit_document(document.pk, source_url=address, reason="the demo world listens elsewhere", actor=actor)


def seed_runbooks(teams: Mapping[str, Team], services: Mapping[str, Service], *, actor: Actor) -> None:
    """The shipped runbooks, owned and active, and the button of one. What people changed stays."""
    load_library(
        actor,
        owner_id=teams[RUNBOOK_OWNER].pk,
        services={slug: [services[name].pk for name in names] for slug, names in RUNBOOK_SERVICES.items()},
        values={"WORLD": settings.WORLD_URL},
    )
    known = set(Mitigation.objects.values_list("slug", flat=True))
    for plan in BUTTONS:
        runbook = Runbook.objects.filter(slug=plan.runbook, active_version__isnull=False).first()
        if runbook is not None and plan.slug not in known:
            create_mitigation(
                plan.slug,
                plan.name,
                runbook_id=runbook.pk,
                parameters=dict(plan.parameters),
                description=plan.description,
                position=BUTTONS.index(plan),
                actor=actor,
            )
