"""Verbs on rotations, their layers and members, covers, coverage, pauses, swaps, holidays and roles."""

from apps.oncall.operations.binding import bind_role, unbind_role
from apps.oncall.operations.checking import check_instant
from apps.oncall.operations.coverage import add_coverage, cancel_coverage
from apps.oncall.operations.covering import add_override, cancel_override
from apps.oncall.operations.feeds import create_feed, revoke_feed, rotate_feed, set_reminder
from apps.oncall.operations.holidays import (
    create_holiday_calendar,
    delete_holiday_calendar,
    update_holiday_calendar,
)
from apps.oncall.operations.layers import add_layer, delete_layer, update_layer
from apps.oncall.operations.members import add_member, end_member, set_members
from apps.oncall.operations.pausing import pause, resume
from apps.oncall.operations.rotations import create_rotation, delete_rotation, update_rotation
from apps.oncall.operations.swapping import (
    approve_swap,
    decline_swap,
    give_back_swap,
    request_swap,
    take_swap,
    withdraw_swap,
)

__all__ = [
    "add_coverage",
    "add_layer",
    "add_member",
    "add_override",
    "approve_swap",
    "bind_role",
    "cancel_coverage",
    "cancel_override",
    "check_instant",
    "create_feed",
    "create_holiday_calendar",
    "create_rotation",
    "decline_swap",
    "delete_holiday_calendar",
    "delete_layer",
    "delete_rotation",
    "end_member",
    "give_back_swap",
    "pause",
    "request_swap",
    "resume",
    "revoke_feed",
    "rotate_feed",
    "set_members",
    "set_reminder",
    "take_swap",
    "unbind_role",
    "update_holiday_calendar",
    "update_layer",
    "update_rotation",
    "withdraw_swap",
]
