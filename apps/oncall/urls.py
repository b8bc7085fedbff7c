"""Addresses."""

from __future__ import annotations

from django.urls import path

from apps.oncall.views import feed

app_name = "oncall"
urlpatterns = [
    path("oncall/feed/<str:token>.ics", feed, name="feed"),
]
