"""Verbs of paging: start, restart, stop, escalate, acknowledge, snooze, mark what calls, and page somebody in."""

from apps.paging.operations.acknowledging import acknowledge, acknowledge_bundle, acknowledge_by_link, refuse_link
from apps.paging.operations.calling import escalate_now, page_people, page_roles
from apps.paging.operations.maintaining import move_maintenance_end, plan_maintenance
from apps.paging.operations.marking import clear_condition, mark_condition, settle_target, settle_targets
from apps.paging.operations.notifying import change_rules, confirm_page_test, page_me_now, reset_rules
from apps.paging.operations.resting import WORKING_HOURS, snooze, unacknowledge, unsnooze
from apps.paging.operations.starting import EscalationStart, restart, restart_many, start_escalations, stop, stop_many
from apps.paging.operations.together import told_together

__all__ = [
    "WORKING_HOURS",
    "EscalationStart",
    "acknowledge",
    "acknowledge_bundle",
    "acknowledge_by_link",
    "change_rules",
    "clear_condition",
    "confirm_page_test",
    "escalate_now",
    "mark_condition",
    "move_maintenance_end",
    "page_me_now",
    "page_people",
    "page_roles",
    "plan_maintenance",
    "refuse_link",
    "reset_rules",
    "restart",
    "restart_many",
    "settle_target",
    "settle_targets",
    "snooze",
    "start_escalations",
    "stop",
    "stop_many",
    "told_together",
    "unacknowledge",
    "unsnooze",
]
