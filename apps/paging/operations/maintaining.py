"""Maintenance windows: planned, changed, ended early."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.catalog.models import Service, Team
from apps.engine.operations import publish
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.oncall.permissions import may_edit
from apps.paging.events import MaintenancePlanned
from apps.paging.models import EscalationRun, MaintenanceWindow
from apps.paging.operations.firing import save_runs, timer_of
from apps.people.permissions import require
from apps.people.queries import user_of

ADD, CHANGE = "paging.add_maintenancewindow", "paging.change_maintenancewindow"
LONGEST = timedelta(days=30)


@operation
def plan_maintenance(
    *,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    team_id: int | None = None,
    service_id: int | None = None,
    actor: Actor,
) -> MaintenanceWindow:
    """Let nobody be paged for what opens in [starts_at, ends_at) in a team, a service, or, with neither, anywhere.

    Needs `paging.add_maintenancewindow`, or to lead the team (the service's owner). What is open already goes on. Each
    call plans another window. Raises Forbidden, NotFound, Invalid for an empty, past or too long time, or no reason.
    """
    team, service = _of(team_id, service_id)
    _require(actor, team, service, ADD)
    _check(starts_at, ends_at)
    if not reason.strip():
        raise Invalid("Say why nobody is to be paged.", fields={"reason": ["This must not be empty."]})
    if team is not None and service is not None:
        raise Invalid(
            "Name a team or a service, not both.", fields={"service": ["Name a team or a service, not both."]}
        )
    window = MaintenanceWindow.objects.create(
        team=team,
        service=service,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason.strip()[:200],
        created_by=user_of(actor),
    )
    _tell(window, actor)
    return window


@operation
def move_maintenance_end(
    window_id: int, ends_at: datetime | None = None, *, reason: str = "", actor: Actor
) -> MaintenanceWindow:
    """Let a window end earlier or later; without `ends_at` now. What it held and is still open pages at the new end.

    The same end changes nothing. Raises NotFound, Forbidden, Conflict when it is over, Invalid for a bad end.
    """
    window = (
        MaintenanceWindow.objects.select_for_update(of=("self",))
        .select_related("team", "service")
        .filter(pk=window_id)
        .first()
    )
    if window is None:
        raise NotFound("There is no such maintenance window.")
    _require(actor, window.team, window.service, CHANGE)
    at = now()
    end = ends_at or max(at, window.starts_at)
    if end == window.ends_at:
        return window
    if window.ends_at <= at:
        raise Conflict("This window is over. Plan another one.", code="maintenance_over")
    if end < at or end < window.starts_at or end > window.starts_at + LONGEST:
        text = f"A window ends in the future, after its start and at most {LONGEST.days} days later."
        raise Invalid(text, fields={"ends_at": [text]})
    window.ends_at = end
    window.save(update_fields=["ends_at"])
    _release(window)
    _tell(window, actor)
    return window


def _release(window: MaintenanceWindow) -> None:
    """Whoever it holds looks again at the new end: paging begins then, unless another window holds it."""
    held = EscalationRun.objects.select_for_update().filter(maintenance=window, state=EscalationRun.State.HELD)
    runs = list(held.order_by("pk"))
    for run in runs:
        run.next_due_at = window.ends_at
    schedule_many([timer_of(run, window.ends_at) for run in runs])
    save_runs(runs)


def _of(team_id: int | None, service_id: int | None) -> tuple[Team | None, Service | None]:
    team = Team.objects.filter(pk=team_id).first() if team_id is not None else None
    if team_id is not None and team is None:
        raise NotFound("There is no such team.", fields={"team": ["There is no such team."]})
    service = Service.objects.select_related("owner").filter(pk=service_id).first() if service_id is not None else None
    if service_id is not None and service is None:
        raise NotFound("There is no such service.", fields={"service": ["There is no such service."]})
    return team, service


def may_maintain(actor: Actor, window: MaintenanceWindow) -> bool:
    """Whether the actor may change this window: by permission, or as the lead of its team."""
    team_id = window.service.owner_id if window.service is not None else window.team_id
    return may_edit(actor, team_id, CHANGE)


def _require(actor: Actor, team: Team | None, service: Service | None, permission: str) -> None:
    team_id = service.owner_id if service is not None else team.pk if team is not None else None
    if not may_edit(actor, team_id, permission):
        require(actor, permission)


def _check(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise Invalid("A window ends after it starts.", fields={"ends_at": ["This is not after the start."]})
    if ends_at <= now():
        raise Invalid("This window would be over already.", fields={"ends_at": ["This instant is past."]})
    if ends_at - starts_at > LONGEST:
        text = f"A window lasts at most {LONGEST.days} days."
        raise Invalid(text, fields={"ends_at": [text]})


def _tell(window: MaintenanceWindow, actor: Actor) -> None:
    event = MaintenancePlanned(
        window_id=window.pk,
        of=str(window),
        starts_at=window.starts_at.isoformat(),
        ends_at=window.ends_at.isoformat(),
        reason=window.reason,
    )
    publish(event, subject=Subject("", ""), actor=actor)
