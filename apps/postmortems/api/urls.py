"""The addresses of this app under /api/v1/."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.postmortems.api.items import ActionItemViewSet
from apps.postmortems.api.reviews import ReviewViewSet
from apps.postmortems.api.sections import SectionViewSet


def register(router: BaseRouter) -> None:
    """Called once by the project."""
    router.register("reviews", ReviewViewSet, basename="review")
    router.register("review-sections", SectionViewSet, basename="review-section")
    router.register("action-items", ActionItemViewSet, basename="action-item")
