"""The messaging app by itself: its API and the admin pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import DefaultRouter

from apps.messaging.api.urls import register
from apps.people.api.viewsets import UnknownRoute

router = DefaultRouter()
router.include_format_suffixes = False
register(router)

urlpatterns = [
    path("api/v1/", include(router.urls)),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    re_path(r"^api(/.*)?$", UnknownRoute.as_view()),
    path("admin/", admin.site.urls),
]
