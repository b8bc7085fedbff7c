"""The verbs of this app."""

from apps.flags.operations.editing import create_flag, edit_flag
from apps.flags.operations.grants import FLAG_PERMISSIONS, grant_flag, revoke_flag
from apps.flags.operations.scheduling import Step, schedule_change, schedule_rollout, withdraw_change
from apps.flags.operations.segments import create_segment, delete_segment, edit_segment
from apps.flags.operations.switching import bring_back, disable, enable, kill

__all__ = [
    "FLAG_PERMISSIONS",
    "Step",
    "bring_back",
    "create_flag",
    "create_segment",
    "delete_segment",
    "disable",
    "edit_flag",
    "edit_segment",
    "enable",
    "grant_flag",
    "kill",
    "revoke_flag",
    "schedule_change",
    "schedule_rollout",
    "withdraw_change",
]
