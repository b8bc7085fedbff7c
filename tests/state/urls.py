"""The config documents by themselves: their API and their admin pages."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from rest_framework.routers import DefaultRouter

from apps.state.api.urls import register

router = DefaultRouter()
router.include_format_suffixes = False
register(router)

urlpatterns = [path("api/v1/", include(router.urls)), path("admin/", admin.site.urls)]
