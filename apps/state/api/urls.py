"""The addresses of this app under /api/v1/."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.state.api import configs, versions
from apps.state.entities.api import views as entities


def register(router: BaseRouter) -> None:
    """Called once by the project."""
    router.register("configs", configs.ConfigViewSet, basename="config")
    router.register("config-versions", versions.ConfigVersionViewSet, basename="config-version")
    router.register("entity-sources", entities.EntitySourceViewSet, basename="entity-source")
    router.register("snapshots", entities.SnapshotViewSet, basename="snapshot")
    router.register("snapshot-diffs", entities.SnapshotDiffViewSet, basename="snapshot-diff")
    router.register("entity-restores", entities.EntityRestoreViewSet, basename="entity-restore")
