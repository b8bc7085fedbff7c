"""The verbs of config documents."""

from apps.state.operations.authoring import create_document, edit_document, set_baseline
from apps.state.operations.canarying import canary_backup, end_canary, probe_canary, start_canary
from apps.state.operations.capturing import capture, capture_due
from apps.state.operations.editing import edit_config
from apps.state.operations.restoring import Restored, probe_restore, restore

__all__ = [
    "Restored",
    "canary_backup",
    "capture",
    "capture_due",
    "create_document",
    "edit_config",
    "edit_document",
    "end_canary",
    "probe_canary",
    "probe_restore",
    "restore",
    "set_baseline",
    "start_canary",
]
