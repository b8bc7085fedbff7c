"""Reads: schedules out of rows, shifts, who answers for a role, and what is wrong with a rotation."""

from apps.oncall.queries.current import NextShift, OnCallNow, next_shift_of, on_call_now
from apps.oncall.queries.roster import Roster, TeamRole, people_for_many, people_for_roles, roster
from apps.oncall.queries.rotations import rotation_titles, rotation_url, visible_rotation_keys, visible_rotations
from apps.oncall.queries.schedules import holidays_of_year, layer_terms, schedules_of, shifts_of
from apps.oncall.queries.warnings import warnings_of

__all__ = [
    "NextShift",
    "OnCallNow",
    "Roster",
    "TeamRole",
    "holidays_of_year",
    "layer_terms",
    "next_shift_of",
    "on_call_now",
    "people_for_many",
    "people_for_roles",
    "roster",
    "rotation_titles",
    "rotation_url",
    "schedules_of",
    "shifts_of",
    "visible_rotation_keys",
    "visible_rotations",
    "warnings_of",
]
