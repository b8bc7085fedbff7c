"""Verbs of paging: start, restart, stop, escalate, acknowledge, and page somebody in."""

from apps.paging.operations.acknowledging import acknowledge, acknowledge_by_link, refuse_link
from apps.paging.operations.calling import escalate_now, page_people, page_roles
from apps.paging.operations.starting import EscalationStart, restart, start_escalations, stop, stop_many

__all__ = [
    "EscalationStart",
    "acknowledge",
    "acknowledge_by_link",
    "escalate_now",
    "page_people",
    "page_roles",
    "refuse_link",
    "restart",
    "start_escalations",
    "stop",
    "stop_many",
]
