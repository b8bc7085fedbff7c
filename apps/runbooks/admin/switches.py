"""The kill switches as the command page of an incident shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse

from apps.flags.models import Flag
from apps.flags.queries import visible_flags, with_about_shown
from apps.foundation.clock import now
from apps.incidents.admin.showing import Moment, Tone, admin_url, moment
from apps.incidents.models import Incident
from apps.people.zones import zone_of
from apps.runbooks.admin.powers import killable
from apps.runbooks.admin.showing import StateChip

MOST_FLAGS = 40

_FLAG_MARKS: dict[str, tuple[str, Tone]] = {
    Flag.State.ON: ("toggle_on", "ok"),
    Flag.State.KILLED: ("power_settings_new", "danger"),
    Flag.State.DISABLED: ("toggle_off", ""),
}


@dataclass(frozen=True, slots=True)
class FlagRow:
    id: int
    name: str
    key: str
    environment: str
    chip: StateChip
    reason: str
    since: Moment
    by: str
    url: str
    kill_url: str
    back_url: str


@dataclass(frozen=True, slots=True)
class FlagsView:
    own: tuple[FlagRow, ...]
    others: tuple[FlagRow, ...]
    more_url: str
    killed_count: int


def flags_view(incident: Incident, request: HttpRequest) -> FlagsView:
    """Kill switches: those of the incident's services, and all others; a constant number of queries."""
    zone, at = zone_of(request.user), now()
    of_services = Flag.services.through.objects.filter(
        flag_id=OuterRef("pk"), service__in=incident.services.order_by().values("pk")
    )
    mine = killable(request.user).filter(pk=OuterRef("pk"))
    rows = (
        with_about_shown(visible_flags(request.user), request.user)
        .annotate(is_concerned=Exists(of_services), may_kill=Exists(mine))
        .select_related("state_changed_by")
        .order_by("-is_concerned", "name", "environment__name")[: MOST_FLAGS + 1]
    )
    found = list(rows)
    shown = [(flag.is_concerned, _flag(flag, incident, zone, at)) for flag in found[:MOST_FLAGS]]
    return FlagsView(
        own=tuple(row for concerned, row in shown if concerned),
        others=tuple(row for concerned, row in shown if not concerned),
        more_url=reverse("admin:flags_flag_changelist") if len(found) > MOST_FLAGS else "",
        killed_count=sum(1 for flag in found if flag.state == Flag.State.KILLED),
    )


def _flag(flag: Any, incident: Incident, zone: ZoneInfo, at: datetime) -> FlagRow:
    icon, tone = _FLAG_MARKS.get(flag.state, ("help", ""))
    may = flag.may_kill
    on, killed = flag.state == Flag.State.ON, flag.state == Flag.State.KILLED
    key = [incident.pk, flag.pk]
    return FlagRow(
        id=flag.pk,
        name=flag.name,
        key=flag.key,
        environment=flag.environment.name,
        chip=StateChip(flag.state, flag.state, icon, tone),
        reason=flag.state_reason if flag.about_is_shown else "",
        since=moment(flag.state_changed_at, zone, at),
        by=flag.state_changed_by.name if flag.state_changed_by else "",
        url=admin_url("flags_flag_change", flag.pk),
        kill_url=reverse("admin:runbooks_incident_kill", args=key) if may and on else "",
        back_url=reverse("admin:runbooks_incident_bring_back", args=key) if may and killed else "",
    )
