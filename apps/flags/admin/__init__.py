"""The admin pages of this app."""

from apps.flags.admin.flags import FlagAdmin

__all__ = ["FlagAdmin"]
