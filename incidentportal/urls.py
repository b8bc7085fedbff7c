"""All addresses. Intake (`/in/`) and streams (`/events/`) are routed before Django, in asgi.py and wsgi.py."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from apps.engine.views import healthz, metrics, readyz
from incidentportal.installable import manifest, service_worker

handler500 = "apps.people.api.problems.crashed"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("manifest.webmanifest", manifest, name="manifest"),
    path("service-worker.js", service_worker, name="service-worker"),
    path("", include("incidentportal.api")),
    path("", include("apps.oncall.urls")),
    path("", include("apps.paging.urls")),
    path("", include("apps.messaging.hooks.urls")),
    path("", include("apps.demo.urls")),
    path("admin/", admin.site.urls),
]
