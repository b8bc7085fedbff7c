"""Addresses."""

from __future__ import annotations

from django.urls import path

from apps.paging.views import ack

app_name = "paging"
urlpatterns = [
    path("ack/<str:token>/", ack, name="ack"),
]
