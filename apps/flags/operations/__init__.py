"""The verbs of this app."""

from apps.flags.operations.editing import create_flag, edit_flag
from apps.flags.operations.grants import FLAG_PERMISSIONS, grant_flag, revoke_flag
from apps.flags.operations.switching import bring_back, disable, enable, kill

__all__ = [
    "FLAG_PERMISSIONS",
    "bring_back",
    "create_flag",
    "disable",
    "edit_flag",
    "enable",
    "grant_flag",
    "kill",
    "revoke_flag",
]
