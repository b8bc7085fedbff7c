"""Verbs of paging: start, restart, stop, escalate, acknowledge, snooze, mark what calls, and page somebody in."""

from apps.paging.operations.acknowledging import acknowledge, acknowledge_by_link, refuse_link
from apps.paging.operations.calling import escalate_now, page_people, page_roles
from apps.paging.operations.maintaining import move_maintenance_end, plan_maintenance
from apps.paging.operations.marking import clear_condition, mark_condition, stop_target
from apps.paging.operations.resting import WORKING_HOURS, snooze, unacknowledge, unsnooze
from apps.paging.operations.starting import EscalationStart, restart, start_escalations, stop, stop_many

__all__ = [
    "WORKING_HOURS",
    "EscalationStart",
    "acknowledge",
    "acknowledge_by_link",
    "clear_condition",
    "escalate_now",
    "mark_condition",
    "move_maintenance_end",
    "page_people",
    "page_roles",
    "plan_maintenance",
    "refuse_link",
    "restart",
    "snooze",
    "start_escalations",
    "stop",
    "stop_many",
    "stop_target",
    "unacknowledge",
    "unsnooze",
]
