"""The verbs of incidents. Each locks the incident, authorizes, checks, writes once, and is harmless to repeat."""

from apps.incidents.operations.access import change_visibility, grant_access, revoke_access
from apps.incidents.operations.acknowledging import acknowledge, note_acknowledgement
from apps.incidents.operations.classifying import change_type, choose_clock_stop
from apps.incidents.operations.clearing import alerts_cleared, alerts_firing, keep_open
from apps.incidents.operations.commanding import hand_over, release_role, take_role
from apps.incidents.operations.declaring import Declaration, declare, declare_many
from apps.incidents.operations.escalating import (
    clear_condition,
    mark_condition,
    note_unacknowledged,
    snooze,
    unacknowledge,
    unsnooze,
)
from apps.incidents.operations.marking import mark, milestones_to_mark
from apps.incidents.operations.paging_in import page_in
from apps.incidents.operations.raising import Raise, raise_severities
from apps.incidents.operations.recording import NewEntry, append_entries, entry_about
from apps.incidents.operations.resolving import reopen, resolve
from apps.incidents.operations.steering import change_severity, set_phase
from apps.incidents.operations.timeline import post

__all__ = [
    "Declaration",
    "NewEntry",
    "Raise",
    "acknowledge",
    "alerts_cleared",
    "alerts_firing",
    "append_entries",
    "change_severity",
    "change_type",
    "change_visibility",
    "choose_clock_stop",
    "clear_condition",
    "declare",
    "declare_many",
    "entry_about",
    "grant_access",
    "hand_over",
    "keep_open",
    "mark",
    "mark_condition",
    "milestones_to_mark",
    "note_acknowledgement",
    "note_unacknowledged",
    "page_in",
    "post",
    "raise_severities",
    "release_role",
    "reopen",
    "resolve",
    "revoke_access",
    "set_phase",
    "snooze",
    "take_role",
    "unacknowledge",
    "unsnooze",
]
