"""Where on-call is in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.oncall.api import covering, feeds, layers, pausing, reports, rotations, swapping


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("rotations", rotations.RotationViewSet, basename="rotation")
    router.register("layers", layers.LayerViewSet, basename="layer")
    router.register("rotation-members", layers.MemberViewSet, basename="rotation-member")
    router.register("pauses", pausing.PauseViewSet, basename="pause")
    router.register("holiday-calendars", pausing.HolidayCalendarViewSet, basename="holiday-calendar")
    router.register("overrides", covering.OverrideViewSet, basename="override")
    router.register("coverages", covering.CoverageViewSet, basename="coverage")
    router.register("swaps", swapping.SwapViewSet, basename="swap")
    router.register("role-bindings", covering.RoleBindingViewSet, basename="role-binding")
    router.register("oncall", covering.OnCallViewSet, basename="oncall")
    router.register("oncall", reports.OnCallReportViewSet, basename="oncall-report")
    router.register("calendar-feeds", feeds.CalendarFeedViewSet, basename="calendar-feed")
