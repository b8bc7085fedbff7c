"""A grant for one row opens this row only: in the admin's base, and in the API's."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory
from guardian.shortcuts import assign_perm
from rest_framework import serializers
from rest_framework.test import APIRequestFactory, force_authenticate

from apps.catalog.models import Team
from apps.people.admin.base import PortalModelAdmin
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.models import User
from tests.factories import person

pytestmark = pytest.mark.django_db


class PlainTeamAdmin(PortalModelAdmin):
    """The base, with nothing of its own."""


class TeamSerializer(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ("id", "slug")


class TeamViewSet(PortalReadOnlyViewSet):
    """Teams, for those with a grant."""

    row_grants = True
    queryset = Team.objects.all()
    serializer_class = TeamSerializer


@pytest.fixture
def teams() -> list[Team]:
    return [Team.objects.create(slug=slug, name=slug) for slug in ("core", "payments")]


def on_page(user: User) -> tuple[PlainTeamAdmin, Any]:
    request = RequestFactory().get("/")
    request.user = User.objects.get(pk=user.pk)
    return PlainTeamAdmin(Team, admin.site), request


def test_a_grant_shows_its_row_in_the_list_and_nothing_else(teams: list[Team]) -> None:
    user = person()
    assign_perm("catalog.view_team", user, teams[0])
    page, request = on_page(user)
    assert list(page.get_queryset(request)) == teams[:1]
    assert page.has_module_permission(request)
    assert page.has_view_permission(request)
    assert not page.has_change_permission(request)


def test_a_grant_to_change_is_for_its_row_only(teams: list[Team]) -> None:
    user = person()
    assign_perm("catalog.change_team", user, teams[0])
    page, request = on_page(user)
    assert page.has_change_permission(request, teams[0])
    assert not page.has_change_permission(request, teams[1])
    assert not page.has_delete_permission(request, teams[0])


def test_without_a_grant_there_is_neither_a_list_nor_a_menu_entry(teams: list[Team]) -> None:
    page, request = on_page(person())
    assert not page.get_queryset(request).exists()
    assert not page.has_module_permission(request)
    assert not page.has_view_permission(request, teams[0])


def test_asking_for_the_list_twice_asks_the_database_once(teams: list[Team], django_assert_num_queries: Any) -> None:
    user = person()
    assign_perm("catalog.view_team", user, teams[0])
    page, request = on_page(user)
    assert page.has_view_permission(request)
    with django_assert_num_queries(0):
        assert page.has_view_permission(request)


@pytest.mark.parametrize(("granted", "status"), [(True, 200), (False, 403)])
def test_the_api_honours_a_grant_where_its_view_says_so(teams: list[Team], granted: bool, status: int) -> None:
    user = person()
    if granted:
        assign_perm("catalog.view_team", user, teams[0])
    request = APIRequestFactory().get("/")
    force_authenticate(request, User.objects.get(pk=user.pk))
    assert TeamViewSet.as_view({"get": "retrieve"})(request, pk=str(teams[0].pk)).status_code == status
