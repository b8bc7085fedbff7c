"""Addresses."""

from __future__ import annotations

from django.urls import path

from apps.paging.views import ack, ack_bundle, test_arrived

app_name = "paging"
urlpatterns = [
    path("ack/<str:token>/", ack, name="ack"),
    path("ack/together/<str:token>/", ack_bundle, name="ack_bundle"),
    path("ack/test/<str:token>/", test_arrived, name="test"),
]
