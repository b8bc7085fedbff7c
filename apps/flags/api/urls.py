"""The addresses of this app under /api/v1/."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.flags.api.changes import FlagChangeViewSet
from apps.flags.api.experiments import ExperimentViewSet
from apps.flags.api.segments import SegmentViewSet
from apps.flags.api.views import FlagViewSet


def register(router: BaseRouter) -> None:
    """Called once by the project."""
    router.register("flags", FlagViewSet)
    router.register("segments", SegmentViewSet)
    router.register("flag-changes", FlagChangeViewSet)
    router.register("experiments", ExperimentViewSet)
