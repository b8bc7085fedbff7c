"""The API under /api/v1/: each app registers its views in `api/urls.py`."""

from __future__ import annotations

from importlib import import_module

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import DefaultRouter

from apps.people.api.viewsets import UnknownRoute

APPS = (
    "people",
    "policies",
    "catalog",
    "messaging",
    "approvals",
    "oncall",
    "flags",
    "state",
    "paging",
    "incidents",
    "runbooks",
    "alerts",
    "postmortems",
)


class PortalRouter(DefaultRouter):
    """One content type, hence no `.json` endings."""

    include_format_suffixes = False


router = PortalRouter()
for app in APPS:
    import_module(f"apps.{app}.api.urls").register(router)

urlpatterns = [
    path("api/v1/", include(router.urls)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^api(/[\s\S]*)?\Z", UnknownRoute.as_view(), name="api-unknown"),
]
