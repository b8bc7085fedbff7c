"""What opens in a maintenance window is stored and shown, and pages nobody before the window's end."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.operations import publish_many
from apps.engine.timers import schedule_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.paging.events import Held
from apps.paging.models import EscalationRun, MaintenanceWindow
from apps.paging.operations.firing import subject_of, timer_of

_State = EscalationRun.State


def hold_for_maintenance(runs: Sequence[EscalationRun], actor: Actor) -> set[int]:
    """Put off the locked runs that are in maintenance; returns their ids. One query where no window is in force.

    The caller saves the runs.
    """
    at = now()
    windows = list(
        MaintenanceWindow.objects.filter(ends_at__gt=at, starts_at__lte=at).select_related("team", "service")
    )
    if not windows:
        return set()
    held = [(run, window) for run in runs if (window := _window_over(run, windows)) is not None]
    for run, window in held:
        run.state, run.ended_at, run.next_due_at, run.maintenance = _State.HELD, None, window.ends_at, window
    schedule_many([timer_of(run, window.ends_at) for run, window in held])
    publish_many(
        [
            (
                Held(
                    window_id=window.pk,
                    of=str(window),
                    reason=window.reason,
                    until=window.ends_at.isoformat(),
                    run=run.run,
                ),
                subject_of(run),
                actor,
            )
            for run, window in held
            if run.track == EscalationRun.Track.PAGE
        ]
    )
    return {run.pk for run, _ in held}


def _window_over(run: EscalationRun, windows: Sequence[MaintenanceWindow]) -> MaintenanceWindow | None:
    """The window that holds a run the longest; None while anything affected is in none.

    One of a team, or of everything, holds all of it. Those of services hold it while all its services are in one.
    """
    found = [window for window in windows if window.service_id is None and window.team_id in {None, run.team_id}]
    of_services = {window.service_id: window for window in windows if window.service_id is not None}
    if run.service_ids and set(run.service_ids) <= set(of_services):
        found.append(min((of_services[pk] for pk in run.service_ids), key=lambda window: window.ends_at))
    return max(found, key=lambda window: window.ends_at, default=None)
