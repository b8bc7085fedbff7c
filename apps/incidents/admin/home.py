"""What the home page shows: what is wrong now, whom it waits for, and whether the portal itself is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.catalog.models import Change
from apps.catalog.queries import told_once
from apps.foundation.clock import now
from apps.incidents.admin.clocks import since_clock, stops_reached, target_clock
from apps.incidents.admin.escalating import NextPage, next_pages
from apps.incidents.admin.health import HealthLine, health_lines
from apps.incidents.admin.showing import (
    Clock,
    Moment,
    SeverityChip,
    Tone,
    admin_url,
    chip_of,
    moment,
)
from apps.incidents.home_panels import home_panels
from apps.incidents.models import Incident
from apps.incidents.permissions import DECLARE
from apps.incidents.policy import lifecycle, roles
from apps.incidents.queries import SUBJECT_KIND, current_roles, cycle_starts, open_incidents, url
from apps.oncall.queries import next_shift_of, on_call_now, visible_rotations
from apps.paging.models import Page
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.people.zones import zone_of

MOST_INCIDENTS, MOST_CHANGES, MOST_ROTATIONS, MOST_WAITING = 50, 6, 8, 20


@dataclass(frozen=True, slots=True)
class IncidentCard:
    id: int
    url: str
    number: str
    title: str
    chip: SeverityChip
    phase: str
    team: str
    commander: str
    commander_role: str
    acknowledged: Moment | None
    since: Clock
    target: Clock | None
    next_page: NextPage | None
    is_drill: bool
    is_private: bool
    resolve_proposed: bool


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """A page of mine that nobody answered yet."""

    incident_id: int
    url: str
    acknowledge_url: str
    number: str
    title: str
    chip: SeverityChip
    at: Moment
    reason: str


@dataclass(frozen=True, slots=True)
class OnCallRow:
    rotation: str
    url: str
    team: str
    person: str
    is_me: bool
    until: Moment | None
    next_person: str


@dataclass(frozen=True, slots=True)
class MyShift:
    """The reader's shift that runs, or their next one; `at` is when it ends (None: not soon) or begins."""

    rotation: str
    runs: bool
    at: Moment | None
    url: str


@dataclass(frozen=True, slots=True)
class ChangeRow:
    url: str
    title: str
    what: str
    service: str
    author: str
    at: Moment


@dataclass(frozen=True, slots=True)
class PanelBox:
    name: str
    title: str
    html: SafeString


@dataclass(frozen=True, slots=True)
class Home:
    headline: str
    subline: str
    tone: Tone
    waiting: tuple[WaitingPage, ...]
    incidents: tuple[IncidentCard, ...]
    more_incidents: bool
    on_call: tuple[OnCallRow, ...]
    my_shift: MyShift | None
    changes: tuple[ChangeRow, ...]
    health: tuple[HealthLine, ...]
    panels: tuple[PanelBox, ...]
    may_declare: bool
    may_see_changes: bool
    list_url: str
    declare_url: str
    live_url: str
    stream_url: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback for the index page."""
    return {**context, "title": "Home", "home": home(request)}


def home(request: HttpRequest) -> Home:
    """Everything on the home page that the person of `request` may see; a constant number of queries."""
    user, at = request.user, now()
    zone = zone_of(user)
    found = list(open_incidents(user)[: MOST_INCIDENTS + 1])
    shown = found[:MOST_INCIDENTS]
    cards = _cards(shown, zone, at)
    waiting = _waiting(user, zone, at)
    headline, subline, tone = _headline(cards, len(found), waiting)
    return Home(
        headline=headline,
        subline=subline,
        tone=tone,
        waiting=waiting,
        incidents=cards,
        more_incidents=len(found) > MOST_INCIDENTS,
        on_call=_on_call(user, zone, at),
        my_shift=_my_shift(user, zone, at),
        changes=_changes(user, zone, at),
        health=health_lines(at),
        panels=_panels(request),
        may_declare=isinstance(user, User) and user_allowed(user, DECLARE),
        may_see_changes=user.has_perm("catalog.view_change"),
        list_url=reverse("admin:incidents_incident_changelist"),
        declare_url=reverse("admin:incidents_incident_declare"),
        live_url=reverse("admin:incidents_incident_home"),
        stream_url="/events/home/",
    )


def _headline(cards: Sequence[IncidentCard], count: int, waiting: Sequence[WaitingPage]) -> tuple[str, str, Tone]:
    real = [card for card in cards if not card.is_drill]
    if not count:
        return "All quiet", "No incident is open. Below: who is on call, and what changed lately.", "ok"
    unanswered = sum(1 for card in cards if card.acknowledged is None)
    number = f"{MOST_INCIDENTS}+" if count > MOST_INCIDENTS else str(count)
    headline = f"{number} open incident" + ("" if count == 1 else "s")
    if waiting:
        return headline, "You were paged and the portal waits for your answer.", "danger"
    if unanswered:
        who = "Nobody has acknowledged it." if count == 1 else f"Nobody has acknowledged {unanswered} of them."
        return headline, who, "danger"
    return headline, "All are acknowledged." if real else "Only drills are running.", ""


def _cards(incidents: Sequence[Incident], zone: ZoneInfo, at: datetime) -> tuple[IncidentCard, ...]:
    held = current_roles(incident.pk for incident in incidents)
    pages = next_pages(incidents, zone, at)
    stopped, begun = stops_reached(incidents), cycle_starts(incidents)
    cards: list[IncidentCard] = []
    for incident in incidents:
        commander = roles(incident.policy_version_id).commander
        assignment = held[incident.pk].get(commander.slug)
        cards.append(
            IncidentCard(
                id=incident.pk,
                url=url(str(incident.pk)),
                number=incident.number,
                title=incident.title,
                chip=chip_of(incident),
                phase=lifecycle(incident.policy_version_id).labels[incident.phase],
                team=incident.team.name if incident.team else "",
                commander=assignment.user.name if assignment else "",
                commander_role=commander.name,
                acknowledged=moment(incident.acknowledged_at, zone, at) if incident.acknowledged_at else None,
                since=since_clock(incident, at),
                target=target_clock(incident, begun[incident.pk], at, stopped.get(incident.pk)),
                next_page=pages.get(incident.pk),
                is_drill=incident.kind == Incident.Kind.DRILL,
                is_private=incident.visibility == Incident.Visibility.PRIVATE,
                resolve_proposed=incident.resolve_proposed_at is not None,
            )
        )
    return tuple(cards)


def _waiting(user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> tuple[WaitingPage, ...]:
    """Open pages of mine, one line for each incident."""
    rows = Page.objects.filter(user_id=user.pk or 0, state=Page.State.OPEN, subject_kind=SUBJECT_KIND)
    pages: dict[int, Page] = {}
    for page in rows.order_by("-id")[: MOST_WAITING * 3]:
        pages.setdefault(int(page.subject_key), page)
    incidents = open_incidents(user).filter(pk__in=list(pages))[:MOST_WAITING] if pages else []
    return tuple(
        WaitingPage(
            incident_id=incident.pk,
            url=url(str(incident.pk)),
            acknowledge_url=reverse("admin:incidents_incident_act", args=[incident.pk, "acknowledge"]),
            number=incident.number,
            title=incident.title,
            chip=chip_of(incident),
            at=moment(pages[incident.pk].created_at, zone, at),
            reason=pages[incident.pk].reason,
        )
        for incident in incidents
    )


def _on_call(user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> tuple[OnCallRow, ...]:
    rotations = list(visible_rotations(user)[:MOST_ROTATIONS])
    if not rotations:
        return ()
    return tuple(
        OnCallRow(
            rotation=row.rotation.name,
            url=admin_url("oncall_rotation_change", row.rotation.pk),
            team=row.rotation.team.name,
            person=row.user.name if row.user else "",
            is_me=row.user is not None and row.user.pk == user.pk,
            until=moment(row.until, zone, at) if row.until else None,
            next_person=row.next_user.name if row.next_user else "",
        )
        for row in on_call_now(rotations, at)
    )


def _my_shift(user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> MyShift | None:
    found = next_shift_of(user, at) if isinstance(user, User) else None
    if found is None:
        return None
    edge = found.until if found.runs else found.shift.starts_at
    url = f"{reverse('admin:oncall_rotation_calendar')}?show=mine&date={(edge or at).astimezone(zone):%Y-%m-%d}"
    return MyShift(found.rotation.name, found.runs, moment(edge, zone, at) if edge else None, url)


def _changes(user: User | AnonymousUser, zone: ZoneInfo, at: datetime) -> tuple[ChangeRow, ...]:
    if not user.has_perm("catalog.view_change"):
        return ()
    rows = Change.objects.select_related("service").order_by("-occurred_at", "-id")[: 2 * MOST_CHANGES]
    return tuple(
        ChangeRow(
            url=admin_url("catalog_change_change", row.pk),
            title=row.title,
            what=row.get_kind_display() + (f" {row.version}" if row.version else ""),
            service=row.service.name if row.service else "",
            author=row.author,
            at=moment(row.occurred_at, zone, at),
        )
        for row in told_once(rows)[:MOST_CHANGES]
    )


def _panels(request: HttpRequest) -> tuple[PanelBox, ...]:
    """What upper apps show here."""
    return tuple(
        PanelBox(panel.name, panel.title, render_to_string(panel.template, found, request))
        for panel in home_panels()
        if (found := panel.context(request)) is not None
    )
