"""How many queries a page needs does not grow with what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Change
from apps.incidents.operations import post, take_role
from tests.factories import actor, answers_for, incident, named, service

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana() -> Any:
    made = named("ana", "commander")
    answers_for("primary", made)
    answers_for("secondary", named("ben", "responder"))
    return made


def queries(user: Any, path: str) -> list[str]:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    client.get(path)  # what a process reads only once
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in captured]


def _open(user: Any, count: int) -> None:
    login = service("Login") if not Change.objects.exists() else None
    for number in range(count):
        row = incident(f"Trouble {number}", "P0")
        take_role(row.pk, "commander", actor=actor(user))
        Change.objects.create(title=f"Deploy {number}", service=login)


def _grows(user: Any, path: str, fill: Callable[[int], None], most: int) -> None:
    fill(3)
    few = queries(user, path)
    fill(27)
    many = queries(user, path)
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert len(many) <= most


def test_home_needs_as_many_queries_for_30_incidents_as_for_3(ana: Any) -> None:
    _grows(ana, "/admin/", lambda count: _open(ana, count), most=50)


def test_the_incident_list_needs_as_many_queries_for_30_as_for_3(ana: Any) -> None:
    _grows(ana, "/admin/incidents/incident/", lambda count: _open(ana, count), most=30)


def test_the_command_page_needs_as_many_queries_for_30_entries_as_for_3(ana: Any) -> None:
    row = incident("Trouble", "P0")

    def fill(count: int) -> None:
        for number in range(count):
            post(row.pk, f"note {number}", actor=actor(ana))

    _grows(ana, f"/admin/incidents/incident/{row.pk}/command/", fill, most=52)


def test_the_alert_list_needs_as_many_queries_for_30_as_for_3(ana: Any) -> None:
    from apps.alerts.models import Alert
    from tests.factories import integration

    source = integration()

    def fill(count: int) -> None:
        Alert.objects.bulk_create(
            Alert(integration=source, dedup_key=f"k{count}-{number}", title=f"Alert {number}")
            for number in range(count)
        )

    _grows(ana, "/admin/alerts/alert/", fill, most=30)
