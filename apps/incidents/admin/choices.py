"""What the forms of the command and declare pages offer to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser

from apps.catalog.models import Service, Team
from apps.incidents.admin.showing import SeverityChip, readable_on
from apps.incidents.incident_types import types_of
from apps.incidents.models import Incident, IncidentUserPermission
from apps.incidents.operations import milestones_to_mark
from apps.incidents.policy import lifecycle, severities
from apps.incidents.service_levels import clocks_for, stops_for
from apps.oncall.models import RoleBinding
from apps.paging.conditions import MARKED
from apps.people.models import User
from apps.people.queries import visible_users

MOST_PEOPLE = 500


@dataclass(frozen=True, slots=True)
class Option:
    value: str
    label: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class SeverityOption:
    chip: SeverityChip
    definition: str
    impact: str
    examples: str
    pages: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class TypeGroup:
    """A type and its sub-types; the first option is the type without one."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class CommandChoices:
    people: tuple[Option, ...]
    roles: tuple[Option, ...]
    teams: tuple[Option, ...]
    severities: tuple[SeverityOption, ...]
    types: tuple[TypeGroup, ...]
    stops: tuple[Option, ...]
    milestones: tuple[Option, ...]
    conditions: tuple[Option, ...]
    granted: tuple[Option, ...]
    now_local: str


_PAGING = {"page": "pages people at once", "notify": "tells people, wakes nobody", "none": "pages nobody"}


def severity_options(version_id: int, chosen: str = "") -> tuple[SeverityOption, ...]:
    """All severities of a policy version, the worst first."""
    return tuple(
        SeverityOption(
            chip=SeverityChip(item.id, item.name, item.color, readable_on(item.color)),
            definition=item.definition,
            impact=item.impact or "",
            examples=", ".join(item.examples),
            pages=_PAGING[item.paging],
            chosen=item.id == chosen,
        )
        for item in severities(version_id).root
    )


def type_options(version_id: int, chosen: str = "") -> tuple[TypeGroup, ...]:
    """The types of a policy version; `chosen` is a type, or a type and its sub-type with a bar between them."""

    def option(value: str, label: str) -> Option:
        return Option(value, label, value == chosen)

    return tuple(
        TypeGroup(
            kind.name,
            (
                option(kind.slug, f"{kind.name}, not told apart"),
                *(option(f"{kind.slug}|{name}", name) for name in kind.subtypes),
            ),
        )
        for kind in types_of(version_id).root
    )


def stop_options(incident: Incident) -> tuple[Option, ...]:
    """At which milestones the clock of its target may stop; none where there is nothing to choose."""
    known, chosen, stops = lifecycle(incident.policy_version_id), clocks_for(incident).stop, stops_for(incident)
    if len(stops) == 1 or clocks_for(incident).target_seconds is None:
        return ()
    return tuple(Option(stop, known.milestone_label(stop), stop == chosen) for stop in stops)


def people_options(user: User | AnonymousUser, chosen: str = "") -> tuple[Option, ...]:
    """Active people whom `user` may see, by name."""
    rows = visible_users(user).filter(is_active=True, kind=User.Kind.PERSON)[:MOST_PEOPLE]
    found = [Option(str(row.pk), row.name, str(row.pk) == chosen) for row in rows]
    return tuple(sorted(found, key=lambda option: option.label.lower()))


def team_options(chosen: str = "") -> tuple[Option, ...]:
    return tuple(Option(str(row.pk), row.name, str(row.pk) == chosen) for row in Team.objects.order_by("name"))


def service_options(chosen: set[str]) -> tuple[Option, ...]:
    """Services with their owners, by name."""
    rows = Service.objects.select_related("owner").order_by("name")
    return tuple(Option(str(row.pk), f"{row.name} – {row.owner.name}", str(row.pk) in chosen) for row in rows)


def command_choices(incident: Incident, user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> CommandChoices:
    """The choices of all dialogs of one incident; a constant number of queries."""
    roles = RoleBinding.objects.order_by("role").values_list("role", flat=True).distinct()
    grants = IncidentUserPermission.objects.filter(content_object=incident, permission__codename="view_incident")
    return CommandChoices(
        people=people_options(user),
        roles=tuple(Option(role, role.replace("-", " ").replace("_", " ")) for role in roles),
        teams=team_options(),
        severities=severity_options(incident.policy_version_id, incident.severity),
        types=type_options(incident.policy_version_id, "|".join(filter(None, (incident.type, incident.subtype)))),
        stops=stop_options(incident),
        milestones=tuple(Option(slug, label) for slug, label in milestones_to_mark(incident).items()),
        conditions=tuple(Option(slug, label) for slug, label in MARKED.items()),
        granted=tuple(Option(str(row.user_id), row.user.name) for row in grants.select_related("user")),
        now_local=f"{at.astimezone(zone):%Y-%m-%dT%H:%M}",
    )
