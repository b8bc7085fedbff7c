"""Pages of on-call: rotations, covers, and what roles mean."""

from apps.oncall.admin.binding import RoleBindingAdmin
from apps.oncall.admin.covering import OverrideAdmin
from apps.oncall.admin.rotations import RotationAdmin

__all__ = ["OverrideAdmin", "RoleBindingAdmin", "RotationAdmin"]
