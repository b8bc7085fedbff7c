"""Teams, services and what was changed lately in the demo."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings

from apps.catalog.models import Change, Environment, Membership, Service, Team
from apps.catalog.operations import (
    NewChange,
    add_dependency,
    add_member,
    create_environment,
    create_service,
    create_team,
    record_changes,
)
from apps.demo.organisation import CHANGES, ENVIRONMENTS, MAIL_DOMAIN, PEOPLE, SERVICES, TEAMS, ServicePlan, TeamPlan
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.people.models import User


@operation
def seed_teams(people: Mapping[str, User], *, actor: Actor) -> dict[str, Team]:
    """The teams by slug, with their members. A team that is there already stays as it is, its members too."""
    known = Team.objects.in_bulk([plan.slug for plan in TEAMS], field_name="slug")
    for plan in TEAMS:
        if plan.slug not in known:
            known[plan.slug] = _add_team(plan, people, actor)
    return known


def _add_team(plan: TeamPlan, people: Mapping[str, User], actor: Actor) -> Team:
    team = create_team(
        {
            "slug": plan.slug,
            "name": plan.name,
            "description": plan.description,
            "time_zone": plan.time_zone,
            "email": f"{plan.slug}@{MAIL_DOMAIN}",
        },
        actor=actor,
    )
    for person in PEOPLE:
        if person.team == plan.slug:
            role = Membership.Role.LEAD if person.lead else Membership.Role.MEMBER
            add_member(team.pk, people[person.username].pk, role=role, actor=actor)
    return team


@operation
def seed_services(teams: Mapping[str, Team], *, actor: Actor) -> dict[str, Service]:
    """The services by slug, with environments and dependencies. Those that are there already stay as they are."""
    environments = _environments(actor)
    known = Service.objects.in_bulk([plan.slug for plan in SERVICES], field_name="slug")
    for plan in SERVICES:
        if plan.slug not in known:
            known[plan.slug] = _add_service(plan, teams[plan.team], known, environments, actor)
    return known


def _environments(actor: Actor) -> list[int]:
    known = Environment.objects.in_bulk([slug for slug, _ in ENVIRONMENTS], field_name="slug")
    for position, (slug, name) in enumerate(ENVIRONMENTS):
        if slug not in known:
            known[slug] = create_environment({"slug": slug, "name": name, "position": position}, actor=actor)
    return [environment.pk for environment in known.values()]


def _add_service(
    plan: ServicePlan, team: Team, known: Mapping[str, Service], environments: list[int], actor: Actor
) -> Service:
    service = create_service(
        {
            "slug": plan.slug,
            "name": plan.name,
            "description": plan.description,
            "owner_id": team.pk,
            "criticality": plan.criticality,
            "dashboard_url": f"{settings.WORLD_URL}/",
        },
        environment_ids=environments,
        actor=actor,
    )
    for slug, kind in plan.needs:
        add_dependency(service.pk, known[slug].pk, kind=kind, actor=actor)
    return service


@operation
def seed_changes(services: Mapping[str, Service], *, actor: Actor) -> None:
    """What was deployed and configured in the last weeks, so that "what changed?" has an answer; once."""
    if Change.objects.filter(source="demo").exists():
        return
    production = Environment.objects.get(slug="production")
    record_changes(
        [
            NewChange(
                title=plan.title,
                kind=plan.kind,
                service_id=services[plan.service].pk,
                environment_id=production.pk,
                version=plan.version,
                author=plan.author,
                source="demo",
                dedup_key=f"{plan.service}-{plan.version}",
                occurred_at=now() - timedelta(days=plan.days_ago),
            )
            for plan in CHANGES
        ],
        actor=actor,
    )
