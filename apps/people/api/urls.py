"""Where accounts are in the API."""

from __future__ import annotations

from rest_framework.routers import BaseRouter

from apps.people.api import views


def register(router: BaseRouter) -> None:
    """Put this app's views under /api/v1/."""
    router.register("me", views.MeViewSet, basename="me")
    router.register("users", views.UserViewSet, basename="user")
    router.register("contact-points", views.ContactPointViewSet, basename="contact-point")
    router.register("tokens", views.TokenViewSet, basename="token")
    router.register("service-accounts", views.ServiceAccountViewSet, basename="service-account")
