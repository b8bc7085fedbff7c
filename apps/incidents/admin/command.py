"""What the command page shows, as frozen values: the template only prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.foundation.clock import now
from apps.foundation.markdown import to_html
from apps.incidents.admin.choices import stop_options
from apps.incidents.admin.clocks import clocks_of
from apps.incidents.admin.escalating import EscalationView, PageRow, escalation_view, page_rows
from apps.incidents.admin.home import PanelBox
from apps.incidents.admin.next_step import NextStep, Powers, next_step
from apps.incidents.admin.showing import (
    Clock,
    Moment,
    Person,
    SeverityChip,
    chip_of,
    clock_text,
    moment,
    person_of,
)
from apps.incidents.admin.timeline import TimelineView, timeline_view
from apps.incidents.contacts import WhoToCall, who_to_call
from apps.incidents.incident_types import types_of
from apps.incidents.loose_ends import LooseEnd, loose_ends
from apps.incidents.models import Incident, Milestone, RoleAssignment
from apps.incidents.panels import panels
from apps.incidents.permissions import COMMAND, RESPOND, user_may
from apps.incidents.policy import lifecycle, roles
from apps.incidents.queries import current_roles, milestones_of
from apps.paging.models import Page
from apps.people.models import User
from apps.people.zones import zone_of


@dataclass(frozen=True, slots=True)
class PhaseStep:
    slug: str
    label: str
    state: str  # done, current or ahead
    may_set: bool


@dataclass(frozen=True, slots=True)
class RoleRow:
    slug: str
    name: str
    required: bool  # and still to be filled: once it is resolved, nobody is asked any more
    duties: str
    holder: Person | None
    since: Moment | None
    is_mine: bool
    may_take: bool
    may_give: bool
    may_hand_over: bool


@dataclass(frozen=True, slots=True)
class MilestoneRow:
    slug: str
    label: str
    at: Moment | None
    by: str
    after: str


@dataclass(frozen=True, slots=True)
class Header:
    number: str
    title: str
    summary: SafeString | None
    chip: SeverityChip
    is_open: bool
    is_drill: bool
    is_private: bool
    team: str
    services: tuple[str, ...]
    environment: str
    source: str
    pack: str
    type: str
    has_types: bool
    has_stops: bool
    phases: tuple[PhaseStep, ...]
    clocks: tuple[Clock, ...]
    reopened: int


@dataclass(frozen=True, slots=True)
class CommandView:
    """The whole page. `act` maps each verb, with underscores, to the address of its button."""

    id: int
    url: str
    live_url: str
    stream_url: str
    record_url: str
    history_url: str
    header: Header
    powers: Powers
    next: NextStep
    roles: tuple[RoleRow, ...]
    escalation: EscalationView
    pages: tuple[PageRow, ...]
    milestones: tuple[MilestoneRow, ...]
    loose_ends: tuple[LooseEnd, ...]
    panels: tuple[PanelBox, ...]
    contacts: tuple[WhoToCall, ...]
    timeline: TimelineView
    composer_key: str
    act: Mapping[str, str]


def command_view(incident: Incident, request: HttpRequest, verbs: Sequence[str], *, after: int = 0) -> CommandView:
    """Everything the person of `request` may see and do on one incident; a constant number of queries.

    `after` leaves out the timeline up to that number, for a page that has it already.
    """
    user, at = request.user, now()
    zone = zone_of(user)
    powers = Powers(respond=user_may(user, RESPOND, incident), command=user_may(user, COMMAND, incident))
    held = current_roles([incident.pk])[incident.pk]
    milestones = milestones_of(incident.pk)
    pages = page_rows(incident, zone, at)
    key = [incident.pk]
    return CommandView(
        id=incident.pk,
        url=reverse("admin:incidents_incident_command", args=key),
        live_url=reverse("admin:incidents_incident_live", args=key),
        stream_url=f"/events/incidents/{incident.pk}/",
        record_url=reverse("admin:incidents_incident_change", args=key),
        history_url=reverse("admin:incidents_incident_history", args=key),
        header=_header(incident, powers, at),
        powers=powers,
        next=next_step(incident, powers, held, was_paged=_was_paged(pages, user), user=user),
        roles=_roles(incident, held, user, powers=powers, zone=zone, at=at),
        escalation=escalation_view(incident, powers, zone, at),
        pages=pages,
        milestones=_milestones(incident, milestones, zone, at),
        loose_ends=loose_ends(incident, user) if powers.command and incident.is_open else (),
        panels=_panels(incident, request),
        contacts=tuple(who_to_call(incident, at)),
        timeline=timeline_view(incident.pk, user, zone, at, after=after),
        composer_key=uuid4().hex,
        act=_addresses(incident, verbs),
    )


def _addresses(incident: Incident, verbs: Sequence[str]) -> dict[str, str]:
    return {verb.replace("-", "_"): reverse("admin:incidents_incident_act", args=[incident.pk, verb]) for verb in verbs}


def _header(incident: Incident, powers: Powers, at: datetime) -> Header:
    labels = lifecycle(incident.policy_version_id).labels
    order = [str(value) for value in Incident.Phase.values]
    reached = order.index(incident.phase)
    steps = tuple(
        PhaseStep(
            slug=slug,
            label=labels[slug],
            state="current" if place == reached else "done" if place < reached else "ahead",
            may_set=powers.respond and incident.is_open and place != reached and slug != Incident.Phase.RESOLVED,
        )
        for place, slug in enumerate(order)
    )
    return Header(
        number=incident.number,
        title=incident.title,
        summary=to_html(incident.summary) if incident.summary else None,
        chip=chip_of(incident),
        is_open=incident.is_open,
        is_drill=incident.kind == Incident.Kind.DRILL,
        is_private=incident.visibility == Incident.Visibility.PRIVATE,
        team=incident.team.name if incident.team else "",
        services=tuple(service.name for service in incident.services.all()),
        environment=incident.environment.name if incident.environment else "",
        source=_source(incident),
        pack=str(incident.policy_version),
        type=types_of(incident.policy_version_id).text(incident.type, incident.subtype),
        has_types=bool(types_of(incident.policy_version_id).root),
        has_stops=bool(stop_options(incident)),
        phases=steps,
        clocks=clocks_of(incident, at),
        reopened=incident.reopened_count,
    )


def _source(incident: Incident) -> str:
    """Who or what opened it."""
    if incident.declared_by is not None and incident.source == "person":
        return f"declared by {incident.declared_by.name}"
    return f"opened by {incident.source}"


def _was_paged(pages: Sequence[PageRow], user: User | AnonymousUser) -> bool:
    return any(page.person.id == user.pk and page.state == Page.State.OPEN for page in pages)


def _roles(
    incident: Incident,
    held: Mapping[str, RoleAssignment],
    user: User | AnonymousUser,
    *,
    powers: Powers,
    zone: ZoneInfo,
    at: datetime,
) -> tuple[RoleRow, ...]:
    known = roles(incident.policy_version_id)
    rows: list[RoleRow] = []
    for kind in known.root:
        assignment = held.get(kind.slug)
        mine = assignment is not None and assignment.user_id == user.pk
        leads = kind.slug == known.commander.slug
        may_act = incident.is_open and (powers.command or (powers.respond and not leads))
        rows.append(
            RoleRow(
                slug=kind.slug,
                name=kind.name,
                required=kind.required and incident.is_open,
                duties="; ".join(kind.responsibilities),
                holder=person_of(assignment.user) if assignment else None,
                since=moment(assignment.since, zone, at) if assignment else None,
                is_mine=mine,
                may_take=assignment is None and may_act,
                may_give=assignment is None and incident.is_open and powers.command,
                may_hand_over=assignment is not None and incident.is_open and (powers.command or mine),
            )
        )
    return tuple(rows)


def _milestones(
    incident: Incident, found: Sequence[Milestone], zone: ZoneInfo, at: datetime
) -> tuple[MilestoneRow, ...]:
    """Those of the present cycle with the time they took, then what is still to come: the end comes last."""
    known = lifecycle(incident.policy_version_id)
    now_marked = {row.name: row for row in found if row.cycle == incident.reopened_count}
    start = now_marked.get("detected") or now_marked.get("reopened")
    rows: list[MilestoneRow] = []
    for slug in dict.fromkeys([*known.milestone_slugs, *now_marked]):
        row = now_marked.get(slug)
        took = clock_text((row.at - start.at).total_seconds()) if row and start and row is not start else ""
        rows.append(
            MilestoneRow(
                slug=slug,
                label=known.milestone_label(slug),
                at=moment(row.at, zone, at) if row else None,
                by=row.marked_by.name if row and row.marked_by else "",
                after=took,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.at is None, row.at.iso if row.at else "", row.slug == "resolved")))


def _panels(incident: Incident, request: HttpRequest) -> tuple[PanelBox, ...]:
    """What upper apps show of this incident."""
    return tuple(
        PanelBox(
            panel.name,
            panel.title,
            render_to_string(panel.template, {**panel.context(incident, request), "incident": incident}, request),
        )
        for panel in panels(is_open=incident.is_open)
    )
