"""Opening incidents: one by a person, or hundreds at once by alerts, with the same code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from simple_history.utils import bulk_create_with_history

from apps.catalog.models import Environment, Membership, Service, Team
from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.incidents.events import Declared
from apps.incidents.metrics import DECLARED, DETECTED
from apps.incidents.models import Incident, Milestone
from apps.incidents.operations import checking
from apps.incidents.operations.classifying import checked_stop, checked_type
from apps.incidents.operations.escalating import escalation_start
from apps.incidents.operations.numbering import allocate_numbers
from apps.incidents.operations.recording import NewEntry, entry_by, save_stream_numbers, write_entries
from apps.incidents.operations.signing import history_signature
from apps.incidents.operations.telling import paging_entries
from apps.incidents.permissions import DECLARE
from apps.incidents.policy import Severity
from apps.incidents.queries import subject_of
from apps.paging.operations import start_escalations
from apps.people.permissions import require
from apps.policies.models import PolicyVersion
from apps.policies.queries import active_versions


@dataclass(frozen=True, slots=True)
class Declaration:
    """What is known when an incident opens. Title and severity are enough.

    Without a team it belongs to the owner of its first service, else to the declarer's own team. It pins
    `policy_version_id`, or the active version of its service's or team's pack. `pages=False` opens it quietly.
    `metric` is what the alert measures; the pack may have a limit for it.
    """

    title: str
    severity: str
    summary: str = ""
    team_id: int | None = None
    service_ids: tuple[int, ...] = ()
    environment_id: int | None = None
    visibility: str = Incident.Visibility.OPEN
    kind: str = Incident.Kind.REAL
    source: str = "person"
    detected_at: datetime | None = None
    policy_version_id: int | None = None
    pages: bool = True
    type: str = ""
    subtype: str = ""
    metric: str = ""
    stop_milestone: str = ""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A declaration with everything it names found and valid."""

    declaration: Declaration
    title: str
    summary: str
    severity: Severity
    team_id: int | None
    version_id: int
    services: tuple[tuple[int, int], ...]
    type: tuple[str, str] = ("", "")


def declare(
    title: str,
    severity: str,
    *,
    summary: str = "",
    team_id: int | None = None,
    service_ids: Iterable[int] = (),
    environment_id: int | None = None,
    visibility: str = Incident.Visibility.OPEN,
    kind: str = Incident.Kind.REAL,
    page: bool = True,
    source: str = "person",
    detected_at: datetime | None = None,
    policy_version_id: int | None = None,
    type: str = "",  # noqa: A002  # its name everywhere else, too
    subtype: str = "",
    stop_milestone: str = "",
    actor: Actor,
) -> Incident:
    """Open one incident, page as its pack says, and start its timeline, all in one transaction.

    Needs `declare_incident`. Each call opens another incident; an edge guards against repeats by its
    `Idempotency-Key`. Raises Forbidden, and Invalid for a wrong severity (listing the valid ones), title,
    team, service, environment, type, or milestone at which its clock is to stop.
    """
    declaration = Declaration(
        title=title,
        severity=severity,
        summary=summary,
        team_id=team_id,
        service_ids=tuple(dict.fromkeys(service_ids)),
        environment_id=environment_id,
        visibility=visibility,
        kind=kind,
        source=source,
        detected_at=detected_at,
        policy_version_id=policy_version_id,
        pages=page,
        type=type,
        subtype=subtype,
        stop_milestone=stop_milestone,
    )
    return declare_many([declaration], actor=actor)[0]


@operation
def declare_many(declarations: Sequence[Declaration], *, actor: Actor) -> list[Incident]:
    """Open many incidents with a number of queries that does not grow with them (in batches of 200).

    The same as `declare` for each; all or none. Returns them in the order of `declarations`.
    """
    require(actor, DECLARE)
    if not declarations:
        return []
    at = now()
    checked = _check(declarations, actor)
    numbers = allocate_numbers([item.version_id for item in checked], at)
    rows = [_row(item, number, at, actor) for item, number in zip(checked, numbers, strict=True)]
    incidents: list[Incident] = bulk_create_with_history(rows, Incident, batch_size=200, **history_signature())
    _attach_services(checked, incidents)
    _first_milestones(incidents, actor)
    entries = _declared_entries(incidents, checked, actor)
    _start_paging(incidents, checked, actor)
    entries += paging_entries([incident.pk for incident in incidents], since=at)
    write_entries({incident.pk: incident for incident in incidents}, entries)
    save_stream_numbers(incidents)
    return incidents


def _check(declarations: Sequence[Declaration], actor: Actor) -> list[_Checked]:
    """Everything the declarations name, looked up with one query for each kind of thing."""
    services = _services({pk for item in declarations for pk in item.service_ids})
    default_team = _own_team(actor.user_id) if actor.user_id is not None else None
    team_ids: list[int | None] = []
    for item in declarations:
        owner = services[item.service_ids[0]].owner_id if item.service_ids else None
        team_ids.append(item.team_id or owner or default_team)
    teams = _teams({pk for pk in team_ids if pk is not None})
    _environments({item.environment_id for item in declarations if item.environment_id is not None})
    packs = [
        _pack(services[item.service_ids[0]] if item.service_ids else None, teams.get(team_id) if team_id else None)
        for item, team_id in zip(declarations, team_ids, strict=True)
    ]
    versions = _versions(declarations, packs)
    return [
        _checked(item, team_id, version_id, services)
        for item, team_id, version_id in zip(declarations, team_ids, versions, strict=True)
    ]


def _checked(item: Declaration, team_id: int | None, version_id: int, services: Mapping[int, Service]) -> _Checked:
    checking.choice(item.visibility, "visibility", Incident.Visibility.values)
    checking.choice(item.kind, "kind", Incident.Kind.values)
    return _Checked(
        declaration=item,
        title=checked_text(item.title, "title", most=checking.MAX_TITLE),
        summary=checked_text(item.summary, "summary", most=checking.MAX_SUMMARY, required=False),
        severity=checking.severity(version_id, item.severity),
        team_id=team_id,
        version_id=version_id,
        services=tuple((pk, services[pk].owner_id) for pk in item.service_ids),
        type=checked_type(version_id, item.type, item.subtype),
    )


def _own_team(user_id: int) -> int | None:
    """The team that the declarer joined first."""
    return Membership.objects.filter(user_id=user_id).order_by("pk").values_list("team_id", flat=True).first()


def _services(ids: set[int]) -> dict[int, Service]:
    found = Service.objects.in_bulk(ids) if ids else {}
    if missing := sorted(ids - set(found)):
        raise invalid("service_ids", f"There is no service {missing[0]}.")
    return found


def _teams(ids: set[int]) -> dict[int, Team]:
    found = Team.objects.in_bulk(ids) if ids else {}
    if missing := sorted(ids - set(found)):
        raise invalid("team_id", f"There is no team {missing[0]}.")
    return found


def _environments(ids: set[int]) -> None:
    if ids and (missing := sorted(ids - set(Environment.objects.filter(pk__in=ids).values_list("pk", flat=True)))):
        raise invalid("environment_id", f"There is no environment {missing[0]}.")


def _pack(service: Service | None, team: Team | None) -> int | None:
    """Whose pack holds: the service's own, else the team's; None is the default pack."""
    return (service.policy_pack_id if service else None) or (team.policy_pack_id if team else None)


def _versions(declarations: Sequence[Declaration], packs: Sequence[int | None]) -> list[int]:
    given = {item.policy_version_id for item in declarations if item.policy_version_id is not None}
    known = set(PolicyVersion.objects.filter(pk__in=given).values_list("pk", flat=True)) if given else set()
    if missing := sorted(given - known):
        raise invalid("policy_version_id", f"There is no policy version {missing[0]}.")
    wanted = {pack for item, pack in zip(declarations, packs, strict=True) if item.policy_version_id is None}
    active = active_versions(wanted) if wanted else {}
    return [
        item.policy_version_id if item.policy_version_id is not None else active[pack].pk
        for item, pack in zip(declarations, packs, strict=True)
    ]


def _row(item: _Checked, number: str, at: datetime, actor: Actor) -> Incident:
    declaration = item.declaration
    incident = Incident(
        number=number,
        title=item.title,
        summary=item.summary,
        kind=declaration.kind,
        severity=item.severity.id,
        severity_rank=item.severity.rank,
        visibility=declaration.visibility,
        team_id=item.team_id,
        environment_id=declaration.environment_id,
        policy_version_id=item.version_id,
        source=declaration.source[:40],
        declared_by_id=actor.user_id,
        detected_at=min(declaration.detected_at or at, at),
        declared_at=at,
        type=item.type[0],
        subtype=item.type[1],
        metric=declaration.metric[:120],
    )
    incident.stop_milestone = checked_stop(incident, declaration.stop_milestone)
    return incident


def _attach_services(checked: Sequence[_Checked], incidents: Sequence[Incident]) -> None:
    through = Incident.services.through
    rows = [
        through(incident_id=incident.pk, service_id=service_id)
        for item, incident in zip(checked, incidents, strict=True)
        for service_id in item.declaration.service_ids
    ]
    through.objects.bulk_create(rows, batch_size=500)


def _first_milestones(incidents: Sequence[Incident], actor: Actor) -> None:
    rows = [
        Milestone(incident=incident, name=name, at=at, marked_by_id=actor.user_id)
        for incident in incidents
        for name, at in ((DETECTED, incident.detected_at), (DECLARED, incident.declared_at))
    ]
    bulk_create_with_history(rows, Milestone, batch_size=500, **history_signature())


def _declared_entries(incidents: Sequence[Incident], checked: Sequence[_Checked], actor: Actor) -> list[NewEntry]:
    events: list[tuple[DomainEvent, Subject, Actor]] = [
        (
            Declared(
                incident_id=incident.pk,
                number=incident.number,
                title=incident.title,
                severity=incident.severity,
                team_id=incident.team_id,
                source=incident.source,
            ),
            subject_of(incident),
            actor,
        )
        for incident in incidents
    ]
    return [
        entry_by(
            actor,
            incident.pk,
            "declared",
            f"Declared {incident.severity} {item.severity.name}: {incident.title}",
            at=incident.declared_at,
            event_id=event_id,
            data={"severity": incident.severity, "source": incident.source},
        )
        for incident, item, event_id in zip(incidents, checked, publish_many(events), strict=True)
    ]


def _start_paging(incidents: Sequence[Incident], checked: Sequence[_Checked], actor: Actor) -> None:
    """Start both tracks of those whose severity calls for anybody at all; the pack's path says whom."""
    starts = [
        escalation_start(incident, item.services)
        for incident, item in zip(incidents, checked, strict=True)
        if item.declaration.pages and item.severity.paging != "none"
    ]
    if starts:
        start_escalations(starts, actor=actor)
