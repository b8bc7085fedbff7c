"""Pages of on-call: rotations and layers, covers and swaps, pauses and holidays, and what roles mean."""

from apps.oncall.admin.binding import RoleBindingAdmin
from apps.oncall.admin.covering import CoverageAdmin, OverrideAdmin
from apps.oncall.admin.feeds import CalendarFeedAdmin
from apps.oncall.admin.layers import LayerAdmin
from apps.oncall.admin.pausing import HolidayCalendarAdmin, PauseAdmin
from apps.oncall.admin.rotations import RotationAdmin
from apps.oncall.admin.swapping import SwapAdmin

__all__ = [
    "CalendarFeedAdmin",
    "CoverageAdmin",
    "HolidayCalendarAdmin",
    "LayerAdmin",
    "OverrideAdmin",
    "PauseAdmin",
    "RoleBindingAdmin",
    "RotationAdmin",
    "SwapAdmin",
]
