"""The admin pages of entities."""

from apps.state.entities.admin.diffs import SnapshotDiffAdmin
from apps.state.entities.admin.restores import EntityRestoreAdmin
from apps.state.entities.admin.snapshots import SnapshotAdmin
from apps.state.entities.admin.sources import EntitySourceAdmin

__all__ = ["EntityRestoreAdmin", "EntitySourceAdmin", "SnapshotAdmin", "SnapshotDiffAdmin"]
