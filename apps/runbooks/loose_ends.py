"""What an incident may leave behind: kill switches that are still off, executions that have not ended."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse

from apps.flags.models import Flag
from apps.flags.queries import visible_flags
from apps.incidents.loose_ends import LooseEnd, register_loose_ends
from apps.incidents.models import Incident
from apps.incidents.queries import SUBJECT_KIND as INCIDENT
from apps.people.models import User
from apps.runbooks.models import Execution
from apps.runbooks.queries import execution_url, visible_executions

MOST = 20


def killed_flags(incident: Incident, user: User | AnonymousUser) -> list[LooseEnd]:
    """The flags that were killed for this incident and not brought back."""
    rows = visible_flags(user).filter(about_kind=INCIDENT, about_key=str(incident.pk), state=Flag.State.KILLED)
    return [
        LooseEnd(
            kind="flag",
            id=flag.pk,
            title=f"{flag.name} in {flag.environment.name}",
            state="still killed",
            url=reverse("admin:flags_flag_change", args=[flag.pk]),
        )
        for flag in rows.order_by("state_changed_at", "pk")[:MOST]
    ]


def open_executions(incident: Incident, user: User | AnonymousUser) -> list[LooseEnd]:
    """The executions for this incident that are at work, wait for somebody, or were never started."""
    rows = visible_executions(user).filter(incident=incident).exclude(state__in=Execution.FINAL)
    return [
        LooseEnd(
            kind="execution",
            id=execution.pk,
            title=str(execution),
            state=execution.get_state_display().lower(),
            url=execution_url(str(execution.pk)),
        )
        for execution in rows.select_related("runbook").order_by("requested_at", "pk")[:MOST]
    ]


def register() -> None:
    """Called once from `ready()`."""
    register_loose_ends("executions", open_executions)
    register_loose_ends("flags", killed_flags)
