"""Verbs on rotations, their members, overrides and roles."""

from apps.oncall.operations.binding import bind_role, unbind_role
from apps.oncall.operations.checking import check_instant
from apps.oncall.operations.covering import add_override, cancel_override
from apps.oncall.operations.rotations import add_member, create_rotation, delete_rotation, end_member, update_rotation

__all__ = [
    "add_member",
    "add_override",
    "bind_role",
    "cancel_override",
    "check_instant",
    "create_rotation",
    "delete_rotation",
    "end_member",
    "unbind_role",
    "update_rotation",
]
