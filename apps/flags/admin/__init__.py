"""The admin pages of this app."""

from apps.flags.admin.changes import FlagChangeAdmin
from apps.flags.admin.experiments import ExperimentAdmin
from apps.flags.admin.flags import FlagAdmin
from apps.flags.admin.segments import SegmentAdmin

__all__ = ["ExperimentAdmin", "FlagAdmin", "FlagChangeAdmin", "SegmentAdmin"]
