"""The verbs of this app."""

from apps.flags.operations.editing import create_flag, edit_flag
from apps.flags.operations.experiments import (
    create_experiment,
    edit_experiment,
    end_experiment,
    reallocate,
    start_experiment,
)
from apps.flags.operations.exposing import Seen, record_exposures
from apps.flags.operations.grants import FLAG_PERMISSIONS, grant_flag, revoke_flag
from apps.flags.operations.guarding import Sample, push_samples
from apps.flags.operations.guardrails import add_guardrail, edit_guardrail, remove_guardrail
from apps.flags.operations.killing import kill_variant
from apps.flags.operations.scheduling import Step, answer_proposal, schedule_change, schedule_rollout, withdraw_change
from apps.flags.operations.segments import create_segment, delete_segment, edit_segment
from apps.flags.operations.switching import bring_back, disable, enable, kill

__all__ = [
    "FLAG_PERMISSIONS",
    "Sample",
    "Seen",
    "Step",
    "add_guardrail",
    "answer_proposal",
    "bring_back",
    "create_experiment",
    "create_flag",
    "create_segment",
    "delete_segment",
    "disable",
    "edit_experiment",
    "edit_flag",
    "edit_guardrail",
    "edit_segment",
    "enable",
    "end_experiment",
    "grant_flag",
    "kill",
    "kill_variant",
    "push_samples",
    "reallocate",
    "record_exposures",
    "remove_guardrail",
    "revoke_flag",
    "schedule_change",
    "schedule_rollout",
    "start_experiment",
    "withdraw_change",
]
