"""The buttons of the command page: allowed, refused, repeated, and by htmx."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.foundation.actor import Actor
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations import alerts_cleared, grant_access, page_in
from apps.people.models import User
from tests.factories import actor, answers_for, incident, named, novacron, person, team

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def logged_in(user: User) -> Client:
    client = Client(raise_request_exception=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def press(user: User, row: Incident, verb: str, *, follow: bool = True, **fields: Any) -> Any:
    return logged_in(user).post(f"/admin/incidents/incident/{row.pk}/command/{verb}/", fields, follow=follow)


def test_a_responder_acknowledges_and_sees_that_it_worked() -> None:
    row = incident()
    answer = press(named("ana", "responder"), row, "acknowledge")
    row.refresh_from_db()
    assert row.acknowledged_at is not None
    assert "Acknowledged" in answer.content.decode()


def test_a_viewer_presses_acknowledge_and_is_told_why_nothing_happened() -> None:
    row = incident()
    answer = press(person("viewer"), row, "acknowledge")
    row.refresh_from_db()
    assert row.acknowledged_at is None
    assert "may not respond" in answer.content.decode()


def test_a_viewer_gets_no_buttons_that_do_nothing() -> None:
    page = logged_in(person("viewer")).get(f"/admin/incidents/incident/{incident().pk}/command/").content.decode()
    assert "/command/acknowledge/" not in page
    assert "/command/post/" not in page


def test_an_incident_whose_alert_went_on_to_a_newer_one_is_not_said_to_be_opened_by_a_person() -> None:
    ana = named("ana", "responder")
    told = {}
    for source in ("person", "alertmanager", "api"):
        row = incident(source=source)
        told[source] = logged_in(ana).get(f"/admin/incidents/incident/{row.pk}/command/").content.decode()
    assert "a person did" in told["person"]
    assert "counts for a newer incident" in told["alertmanager"]
    assert "a person did" not in told["alertmanager"]
    assert "No alert opened this incident." in told["api"]


def test_two_who_take_command_at_once_hear_who_was_faster() -> None:
    row = incident()
    press(named("ana", "commander"), row, "take-role", role="commander")
    answer = press(named("ben", "commander"), row, "take-role", role="commander")
    assert "Ana is Incident Commander since" in answer.content.decode()


@pytest.mark.parametrize(
    ("verb", "fields", "words"),
    [
        ("set-phase", {"phase": "triage"}, "Phase changed"),
        ("change-severity", {"severity": "P2", "reason": "one region"}, "Severity is P2"),
        ("post", {"text": "It is the **database**"}, "<strong>database</strong>"),
        ("change-visibility", {"visibility": "private"}, "Now visible to"),
        ("resolve", {"summary": "rolled back"}, "rolled back"),
    ],
)
def test_a_commander_uses_a_button(verb: str, fields: dict[str, str], words: str) -> None:
    answer = press(named("ana", "commander"), incident(), verb, **fields)
    assert words in answer.content.decode()


def test_a_commander_pages_a_person_in_and_escalates() -> None:
    ana, ben, carl = named("ana", "commander"), named("ben", "responder"), named("carl", "responder")
    answers_for("primary", ben)
    answers_for("secondary", carl)
    row = incident("Nobody can log in", "P0")
    assert "Paged Carl." in press(ana, row, "page-in", user_id=carl.pk, reason="database").content.decode()
    assert "paged now" in press(ana, row, "escalate", track="page", step="1").content.decode()


def test_a_milestone_is_marked_at_a_time_of_the_persons_own_clock() -> None:
    ana = named("ana", "responder", time_zone="Asia/Tokyo")
    row = incident()
    press(ana, row, "mark", milestone="mitigated", at="2025-11-10T14:03")
    assert f"{row.milestones.get(name='mitigated').at:%H:%M}" == "05:03"


def test_a_mistake_in_a_form_is_told_in_a_sentence() -> None:
    ana, row = named("ana", "commander"), incident()
    assert "is not a time" in press(ana, row, "mark", milestone="mitigated", at="noon").content.decode()
    assert "Unknown severity" in press(ana, row, "change-severity", severity="P9").content.decode()
    assert "is not a choice" in press(ana, row, "page-in", user_id="x").content.decode()
    assert "Say to whom" in press(ana, row, "hand-over", role="commander").content.decode()


def test_posting_twice_with_one_form_writes_one_note() -> None:
    ana, row = named("ana", "responder"), incident()
    for _ in range(2):
        press(ana, row, "post", text="once", client_key="the-form")
    assert TimelineEntry.objects.filter(incident=row, kind="post").count() == 1


def test_htmx_gets_the_changed_regions_and_only_new_entries() -> None:
    ana, row = named("ana", "responder"), incident()
    seq = TimelineEntry.objects.filter(incident=row).order_by("-seq").values_list("seq", flat=True)[0]
    answer = logged_in(ana).post(
        f"/admin/incidents/incident/{row.pk}/command/post/", {"text": "hello", "after": seq}, headers=HTMX
    )
    text = answer.content.decode()
    assert f'id="entry-{seq + 1}"' in text
    assert f'id="entry-{seq}"' not in text
    assert 'id="r-next"' in text
    assert '"done": true' in answer["HX-Trigger"]


def test_htmx_is_told_of_a_refusal() -> None:
    row = incident()
    answer = logged_in(person("viewer")).post(f"/admin/incidents/incident/{row.pk}/command/resolve/", headers=HTMX)
    assert "may not command" in answer.content.decode()
    assert '"done": false' in answer["HX-Trigger"]


def test_another_teams_private_incident_does_not_exist_at_any_of_its_addresses() -> None:
    row = incident(visibility="private", team_id=team("Payments").pk)
    client = logged_in(person("commander"))
    base = f"/admin/incidents/incident/{row.pk}"
    assert [client.get(f"{base}/{path}").status_code for path in ("command/", "command/live/")] == [404, 404]
    assert client.post(f"{base}/command/post/", {"text": "x"}).status_code == 404
    assert client.get(f"{base}/change/").status_code == 302  # the admin's way of saying that there is none
    assert client.get(f"{base}/history/").status_code in {302, 404}
    row.refresh_from_db()
    assert not row.timeline.filter(kind="post").exists()


def test_who_loses_sight_of_it_by_their_own_button_is_sent_to_the_list() -> None:
    ana = named("ana", "commander")
    row = incident(visibility="private", team_id=team("Payments").pk)
    grant_access(row.pk, ana.pk, actor=Actor.system())
    answer = logged_in(ana).post(
        f"/admin/incidents/incident/{row.pk}/command/revoke-access/", {"user_id": ana.pk}, headers=HTMX
    )
    assert answer["HX-Redirect"] == "/admin/incidents/incident/"


def test_an_unknown_button_and_a_wrong_method_are_refused() -> None:
    client, row = logged_in(person("commander")), incident()
    base = f"/admin/incidents/incident/{row.pk}/command"
    assert client.post(f"{base}/explode/").status_code == 404
    assert client.get(f"{base}/resolve/").status_code == 405


def test_a_forged_form_changes_nothing() -> None:
    ana, row = named("ana", "commander"), incident()
    client = Client(enforce_csrf_checks=True)
    client.force_login(ana, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(f"/admin/incidents/incident/{row.pk}/command/resolve/").status_code == 403


def test_an_anonymous_visitor_is_sent_to_the_login() -> None:
    answer = Client().get(f"/admin/incidents/incident/{incident().pk}/command/")
    assert answer.status_code == 302
    assert "/login/" in answer["Location"]


def test_the_page_proposes_to_resolve_and_keeps_open_on_demand() -> None:
    ana, row = named("ana", "commander"), incident()
    press(ana, row, "take-role", role="commander")
    alerts_cleared([row.pk], actor=Actor.system())
    page = logged_in(ana).get(f"/admin/incidents/incident/{row.pk}/command/").content.decode()
    assert "Ready to resolve?" in page
    assert "It stays open." in press(ana, row, "keep-open").content.decode()


def test_declaring_needs_a_title_and_a_severity_only() -> None:
    novacron()
    ana = named("ana", "responder")
    answer = logged_in(ana).post("/admin/incidents/incident/declare/", {"title": "Lobby is empty", "severity": "P2"})
    row = Incident.objects.get()
    assert answer["Location"] == f"/admin/incidents/incident/{row.pk}/command/"
    assert row.declared_by == ana


def test_a_mistake_while_declaring_keeps_what_was_typed() -> None:
    novacron()
    client = logged_in(named("ana", "responder"))
    answer = client.post("/admin/incidents/incident/declare/", {"title": "Lobby is empty", "summary": "Since noon"})
    assert answer.status_code == 400
    assert "Since noon" in answer.content.decode()
    assert not Incident.objects.exists()


def test_declaring_shows_open_incidents_that_look_alike_and_hides_private_ones() -> None:
    incident("Matchmaking is slow")
    incident("Matchmaking leaks money", visibility="private", team_id=team("Payments").pk)
    answer = logged_in(person("responder")).get("/admin/incidents/incident/declare/alike/?title=matchmaking")
    assert "Matchmaking is slow" in answer.content.decode()
    assert "leaks money" not in answer.content.decode()


def test_who_may_not_declare_gets_no_form() -> None:
    client = logged_in(person("viewer"))
    for path in ("declare/", "declare/alike/", "declare/severities/"):
        assert client.get(f"/admin/incidents/incident/{path}").status_code == 403


def test_somebody_paged_in_is_asked_to_say_that_they_are_here() -> None:
    ana, ben, row = named("ana", "commander"), named("ben", "responder"), incident()
    press(ana, row, "take-role", role="commander")
    page_in(row.pk, user_id=ben.pk, reason="database", actor=actor(ana))
    page = logged_in(ben).get(f"/admin/incidents/incident/{row.pk}/command/").content.decode()
    assert "You were paged in" in page


def test_a_resolved_incident_asks_nobody_to_fill_a_role() -> None:
    ana, row = named("ana", "commander"), incident(severity="P1")
    address = f"/admin/incidents/incident/{row.pk}/command/"
    assert "nobody, needed" in logged_in(ana).get(address).content.decode()
    press(ana, row, "resolve")
    shown = logged_in(ana).get(address).content.decode()
    assert "needed" not in shown[shown.index('id="roles-title"') : shown.index('id="pages-title"')]
    assert 'data-opens="give"' not in shown
