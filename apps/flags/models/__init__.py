"""The rows of this app."""

from apps.flags.models.flags import (
    Flag,
    FlagChange,
    FlagGroupPermission,
    FlagRevision,
    FlagUserPermission,
    Segment,
)

__all__ = [
    "Flag",
    "FlagChange",
    "FlagGroupPermission",
    "FlagRevision",
    "FlagUserPermission",
    "Segment",
]
