"""The sidebar: by task, with what one may use, and counts that hide what one may not see."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from django.urls import reverse

from apps.people.models import User
from incidentportal.navigation import SIDEBAR, sidebar
from tests.factories import incident, named, person, superuser, team

pytestmark = pytest.mark.django_db


def lines(user: User, path: str = "/admin/") -> dict[str, dict[str, object]]:
    request = RequestFactory().get(path)
    request.user = user
    return {line["title"]: line for group in sidebar(request) for line in group["items"]}


def test_every_line_leads_to_a_page() -> None:
    for _, entries in SIDEBAR:
        for entry in entries:
            assert reverse(f"admin:{entry.page}")


def test_the_groups_are_tasks() -> None:
    assert [title for title, _ in SIDEBAR] == ["Respond", "Prepare", "Learn", "Administer"]
    assert len(lines(superuser())) == sum(len(entries) for _, entries in SIDEBAR)


def test_a_viewer_is_not_offered_to_declare() -> None:
    assert "Declare an incident" not in lines(person("viewer"))
    assert "Declare an incident" in lines(person("responder"))


def test_open_incidents_are_counted_as_far_as_they_may_be_seen() -> None:
    incident()
    incident(visibility="private", team_id=team("Payments").pk)
    assert lines(person("viewer"))["Incidents"]["badge"] == "1 open"
    assert lines(person("auditor"))["Incidents"]["badge"] == "2 open"


def test_nothing_to_count_shows_no_badge() -> None:
    assert "badge" not in lines(person("viewer"))["Incidents"]


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/admin/incidents/incident/", "Incidents"),
        ("/admin/incidents/incident/7/command/", "Incidents"),
        ("/admin/incidents/incident/?state=resolved", "Past incidents"),
    ],
)
def test_one_of_the_two_lines_of_the_incident_list_is_active(path: str, active: str) -> None:
    found = lines(named("ana", "viewer"), path)
    assert [title for title in ("Incidents", "Past incidents") if found[title]["active"]] == [active]
