"""Addresses."""

from __future__ import annotations

from django.urls import path

from apps.demo import views

urlpatterns = [
    path("demo/mail/", views.mailbox, name="demo_mailbox"),
    path("demo/mail/<str:key>/", views.mail, name="demo_mail"),
]
