"""The admin pages of this app."""

from apps.state.admin.documents import ConfigDocumentAdmin
from apps.state.admin.versions import ConfigVersionAdmin
from apps.state.entities.admin import EntityRestoreAdmin, EntitySourceAdmin, SnapshotAdmin, SnapshotDiffAdmin

__all__ = [
    "ConfigDocumentAdmin",
    "ConfigVersionAdmin",
    "EntityRestoreAdmin",
    "EntitySourceAdmin",
    "SnapshotAdmin",
    "SnapshotDiffAdmin",
]
