"""The page on which a person declares an incident: a title and a severity are enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.http import QueryDict
from django.urls import reverse

from apps.catalog.models import Membership, Service, Team
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.incidents import operations
from apps.incidents.admin.choices import (
    Option,
    SeverityOption,
    TypeGroup,
    service_options,
    severity_options,
    team_options,
    type_options,
)
from apps.incidents.admin.showing import Moment, SeverityChip, chip_of, moment
from apps.incidents.models import Incident
from apps.incidents.policy import lifecycle
from apps.incidents.queries import alike_open_incidents, url
from apps.people.models import User
from apps.people.zones import zone_of
from apps.policies.models import PolicyVersion
from apps.policies.queries import active_version

_LONGEST_KEY = 18


@dataclass(frozen=True, slots=True)
class AlikeIncident:
    url: str
    number: str
    title: str
    chip: SeverityChip
    phase: str
    since: Moment


@dataclass(frozen=True, slots=True)
class DeclareView:
    title: str
    summary: str
    visibility: str
    is_drill: bool
    pages: bool
    severities: tuple[SeverityOption, ...]
    types: tuple[TypeGroup, ...]
    pack: str
    teams: tuple[Option, ...]
    services: tuple[Option, ...]
    alike: tuple[AlikeIncident, ...]
    errors: Mapping[str, str]
    alike_url: str
    severities_url: str


def declare_view(
    data: QueryDict, user: User | AnonymousUser, *, errors: Mapping[str, str] | None = None
) -> DeclareView:
    """The form with what has been filled in so far, and open incidents that look like it."""
    services = {value for value in data.getlist("services") if _is_key(value)}
    version = version_for(data, user)
    return DeclareView(
        title=data.get("title", ""),
        summary=data.get("summary", ""),
        visibility=data.get("visibility", Incident.Visibility.OPEN),
        is_drill=data.get("kind") == Incident.Kind.DRILL,
        pages=data.get("quiet") != "1",
        severities=severity_options(version.pk, data.get("severity", "")),
        types=type_options(version.pk, data.get("type", "")),
        pack=str(version),
        teams=team_options(data.get("team", "")),
        services=service_options(services),
        alike=alike(data, user),
        errors=errors or {},
        alike_url=reverse("admin:incidents_incident_alike"),
        severities_url=reverse("admin:incidents_incident_severities"),
    )


def version_for(data: QueryDict, user: User | AnonymousUser) -> PolicyVersion:
    """The policy version under which this declaration would stand: of its service, its team, or one's own team."""
    chosen = next((value for value in data.getlist("services") if _is_key(value)), None)
    service = Service.objects.select_related("owner__policy_pack", "policy_pack").filter(pk=chosen or 0).first()
    team_id = data.get("team", "")
    team: Team | None = None
    if _is_key(team_id):
        team = Team.objects.select_related("policy_pack").filter(pk=team_id).first()
    elif service is not None:
        team = service.owner
    else:
        own = Membership.objects.filter(user_id=user.pk or 0).select_related("team__policy_pack").order_by("pk").first()
        team = own.team if own else None
    return active_version(team, service)


def alike(data: QueryDict, user: User | AnonymousUser) -> tuple[AlikeIncident, ...]:
    """Open incidents that may already be this one."""
    services = [int(value) for value in data.getlist("services") if _is_key(value)]
    at, zone = now(), zone_of(user)
    return tuple(
        AlikeIncident(
            url=url(str(row.pk)),
            number=row.number,
            title=row.title,
            chip=chip_of(row),
            phase=lifecycle(row.policy_version_id).labels[row.phase],
            since=moment(row.detected_at, zone, at),
        )
        for row in alike_open_incidents(data.get("title", ""), services, user)
    )


def declare(data: QueryDict, actor: Actor) -> Incident:
    """Call the one operation with what the form says. Invalid where a choice is none."""
    team = data.get("team", "")
    wrong = [value for value in [team, *data.getlist("services")] if value and not _is_key(value)]
    if wrong:
        raise Invalid(f"{wrong[0][:40]!r} is not a choice.")
    kind, _, subtype = data.get("type", "").partition("|")
    return operations.declare(
        data.get("title", ""),
        data.get("severity", ""),
        summary=data.get("summary", ""),
        team_id=int(team) if team else None,
        service_ids=[int(value) for value in data.getlist("services") if value],
        visibility=data.get("visibility", Incident.Visibility.OPEN),
        kind=data.get("kind", Incident.Kind.REAL),
        page=data.get("quiet") != "1",
        type=kind,
        subtype=subtype,
        actor=actor,
    )


def _is_key(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) <= _LONGEST_KEY
