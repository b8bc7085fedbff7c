"""The verbs of entity sources, their snapshots, diffs and restores."""

from apps.state.entities.operations.authoring import create_source, edit_source
from apps.state.entities.operations.comparing import compare
from apps.state.entities.operations.restoring import (
    confirm_restore,
    plan_restore,
    plan_restore_of_diff,
    plan_undo,
    resume_restore,
    start_restore,
    stop_restore,
)
from apps.state.entities.operations.taking import pin_snapshot, stop_snapshot, take_snapshot
from apps.state.entities.operations.working import advance, run_due

__all__ = [
    "advance",
    "compare",
    "confirm_restore",
    "create_source",
    "edit_source",
    "pin_snapshot",
    "plan_restore",
    "plan_restore_of_diff",
    "plan_undo",
    "resume_restore",
    "run_due",
    "start_restore",
    "stop_restore",
    "stop_snapshot",
    "take_snapshot",
]
