"""Pages of policy packs and their versions."""

from apps.policies.admin.packs import PackAdmin
from apps.policies.admin.versions import VersionAdmin

__all__ = ["PackAdmin", "VersionAdmin"]
