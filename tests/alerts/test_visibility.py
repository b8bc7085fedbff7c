"""Alerts of a private incident are seen by nobody who may not see the incident: pages, API, panels, receipts."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory

from apps.alerts.models import Alert, Integration
from apps.alerts.operations import group
from apps.alerts.panels import alerts_context, changes_context
from apps.alerts.queries import visible_alerts, visible_groups, visible_receipts
from apps.catalog.models import Change
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.operations import change_visibility
from tests.alerts.saying import trigger
from tests.factories import bearer, person, receipt, service, team

pytestmark = pytest.mark.django_db


@pytest.fixture
def private(generic: Integration) -> Incident:
    """A private incident of the source's team that an alert opened."""
    receipt(generic, trigger(title="The takeover"))
    group()
    opened = Incident.objects.get()
    change_visibility(opened.pk, "private", actor=Actor.system())
    opened.refresh_from_db()
    return opened


def member_of(incident: Incident) -> Any:
    from apps.catalog.models import Membership

    user = person("responder")
    assert incident.team is not None
    Membership.objects.create(team=incident.team, user=user)
    return user


def test_queries_hide_what_belongs_to_it(private: Incident) -> None:
    stranger, member = person("responder"), member_of(private)
    for rows in (visible_alerts, visible_groups, visible_receipts):
        assert (rows(stranger).count(), rows(member).count()) == (0, 1)


def test_auditors_see_it(private: Incident) -> None:
    assert visible_alerts(person("auditor")).count() == 1


def test_the_api_hides_it(client: Client, private: Incident) -> None:
    headers = bearer(person("responder"))
    for path in ("alerts", "alert-groups", "receipts"):
        assert client.get(f"/api/v1/{path}/", headers=headers).json()["results"] == []
    assert client.get(f"/api/v1/alerts/{Alert.objects.get().pk}/", headers=headers).status_code == 404
    assert client.get(f"/api/v1/alerts/?incident={private.pk}", headers=headers).json()["results"] == []


def test_the_admin_hides_it(client: Client, private: Incident) -> None:
    client.force_login(person("responder"))
    for path in ("alert/", f"alert/{Alert.objects.get().pk}/change/", "alert/?q=takeover", "receipt/"):
        assert "The takeover" not in client.get(f"/admin/alerts/{path}", follow=True).content.decode()


def test_a_member_finds_it_in_the_admin_and_over_the_api(client: Client, private: Incident) -> None:
    member = member_of(private)
    client.force_login(member)
    assert "The takeover" in client.get("/admin/alerts/alert/").content.decode()
    found = client.get("/api/v1/alerts/", headers=bearer(member)).json()["results"]
    assert [item["incident"] for item in found] == [private.pk]


def test_the_panel_of_alerts_shows_what_its_reader_may_see(private: Incident) -> None:
    request = RequestFactory().get("/")
    shown = {}
    for name, user in (("stranger", person("responder")), ("member", member_of(private))):
        request.user = user
        shown[name] = [alert.title for alert in alerts_context(private, request)["alerts"]]
    assert shown == {"stranger": [], "member": ["The takeover"]}


def test_the_panel_of_changes_shows_the_day_before_on_the_services_and_what_they_need(private: Incident) -> None:
    api = service("api", team("Owners"))
    private.services.add(api)
    Change.objects.create(title="API v2", service=api, occurred_at=now())
    Change.objects.create(title="elsewhere", service=service("shop"), occurred_at=now())
    request = RequestFactory().get("/")
    request.user = person("responder")
    private.resolved_at = now()
    assert [change.title for change in changes_context(private, request)["changes"]] == ["API v2"]


def test_the_command_page_has_both_panels(client: Client, private: Incident) -> None:
    client.force_login(member_of(private))
    page = client.get(f"/admin/incidents/incident/{private.pk}/command/").content.decode()
    assert 'id="panel-alerts"' in page
    assert 'id="panel-changes"' in page
    assert "The takeover" in page


def test_the_list_of_alerts_needs_as_many_queries_for_thirty_as_for_three(
    client: Client, generic: Integration, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        receipt(generic, trigger(f"k{number}"))
    group()
    client.force_login(person("responder"))
    with django_assert_max_num_queries(30) as captured:
        client.get("/admin/alerts/alert/")
    assert len(captured) <= 30
