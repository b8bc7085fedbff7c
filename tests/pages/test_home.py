"""Home: what waits for whom, empty states, and nothing that one may not see."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.people.models import User
from tests.factories import actor, answers_for, incident, named, novacron, person, team

pytestmark = pytest.mark.django_db


def home_of(user: User) -> str:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_home_says_what_to_do_next() -> None:
    novacron()
    page = home_of(named("ana", "responder"))
    assert "All quiet" in page
    assert "Nothing is on fire" in page
    assert "No rotation yet" in page


def test_an_unanswered_incident_says_so_and_whom_it_reaches_next() -> None:
    answers_for("primary", named("ben", "responder"))
    answers_for("secondary", named("carl", "responder"))
    incident("Nobody can log in", "P0")
    page = home_of(named("ana", "viewer"))
    assert "nobody has" in page
    assert "to Carl" in page


def test_who_is_paged_acknowledges_from_home() -> None:
    ben = named("ben", "responder")
    answers_for("primary", ben)
    row = incident("Nobody can log in", "P0")
    assert "You are being paged" in home_of(ben)
    client = Client()
    client.force_login(ben, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(f"/admin/incidents/incident/{row.pk}/command/acknowledge/", {"next": "home"})
    assert answer["Location"] == "/admin/"
    assert "You are being paged" not in home_of(ben)


def test_a_commander_is_named() -> None:
    from apps.incidents.operations import take_role

    ana, row = named("ana", "commander"), incident()
    take_role(row.pk, "commander", actor=actor(ana))
    assert "Ana" in home_of(named("ben", "viewer"))


def test_a_private_incident_is_not_on_another_teams_home() -> None:
    incident("Refunds twice", visibility="private", team_id=team("Payments").pk)
    page = home_of(person("commander"))
    assert "Refunds twice" not in page
    assert "All quiet" in page


def test_home_tells_when_the_ticker_stands_still() -> None:
    assert "never ran" in home_of(named("ana", "viewer"))


def test_an_account_without_any_group_sees_a_quiet_home_and_no_buttons() -> None:
    nobody = User.objects.create_user("nobody", password="correct horse battery", is_staff=True)
    incident("Nobody can log in")
    page = home_of(nobody)
    assert "Nobody can log in" not in page
    assert "Declare an incident" not in page
