"""Whom to call: a section of a pack, on its page, on the incident's and over the API."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.foundation.clock import now
from apps.incidents.contacts import Contacts, who_to_call
from apps.policies.loading import load
from apps.policies.operations import shipped_packs
from tests.factories import answers_for, bearer, incident, named, novacron_text, person

pytestmark = pytest.mark.django_db


def shipped(letter: str) -> Contacts:
    path = next(path for path in shipped_packs() if path.name.startswith(f"{letter}-"))
    found = load(path.read_text(encoding="utf-8"))
    assert found.problems == []
    contacts = found.sections["contacts"]
    assert isinstance(contacts, Contacts)
    return contacts


def test_novacrons_contact_list_is_that_of_its_playbook() -> None:
    assert [(each.name, each.phone, each.email, each.chat) for each in shipped("e").root] == [
        ("SRE on call", "+1-555-0100", "sre-oncall@company.com", "@sre-oncall"),
        ("VP Engineering", "+1-555-0200", "vp-eng@company.com", "@vp-engineering"),
        ("CISO", "+1-555-0300", "security@company.com", "@security-team"),
        ("CEO", "+1-555-0400", None, None),
        ("CTO", "+1-555-0500", None, None),
    ]


def test_season_twos_contacts_have_backups_and_schedules() -> None:
    first, *rest = shipped("a").root
    assert (first.email, first.chat) == ("oncall@game.com", "#incident-war-room")
    assert [(each.chat, each.backup, each.schedule) for each in rest] == [
        ("@economy-lead", "@economy-analyst", "economy-oncall"),
        ("@liveops-engineer", "@liveops-backup", "liveops-oncall"),
        ("@sre-oncall", "@sre-backup", "sre-oncall"),
        ("@tech-lead", "@tech-backup", "tech-oncall"),
        ("@community-manager", "@community-backup", "community-oncall"),
        ("@security-lead", "@security-backup", "security-oncall"),
    ]


def test_stonecasters_outside_contacts_wait_to_be_filled_in() -> None:
    outside = [each for each in shipped("d").root if each.kind == "external"]
    assert [each.name for each in outside] == ["Database support", "Cloud provider support", "Security team"]
    assert all(each.is_empty for each in outside)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("- {name: Legal, kind: external, role: legal}", "An external contact answers for no role"),
        ("- {name: Legal, phone: ask around}", "contacts"),
        ("- {name: Legal, email: nobody}", "contacts"),
        ("- {name: Legal}\n  - {name: legal}", "Two contacts have the name legal."),
        ("- {name: Legal, fax: '1'}", "contacts"),
    ],
)
def test_a_wrong_contact_is_refused_at_its_line(line: str, said: str) -> None:
    text = novacron_text(("\ncontacts:\n", f"\ncontacts:\n  {line}\n"))
    (problem, *_) = load(text).problems
    assert said in f"{problem.path} {problem.message}"
    assert text.splitlines()[problem.line - 1].strip().startswith(("contacts:", "- {name: Legal"))


def test_the_incident_says_who_answers_for_each_role_now() -> None:
    answers_for("primary", named("ana"))
    found = who_to_call(incident(), now())
    assert [(row.contact.name, row.people) for row in found][:2] == [("SRE on call", ("Ana",)), ("VP Engineering", ())]


def test_page_pack_and_api_show_them(client: Client) -> None:
    answers_for("primary", named("ana"))
    found, reader = incident(), person("commander")
    client.force_login(reader)
    page = client.get(f"/admin/incidents/incident/{found.pk}/command/").content.decode()
    assert 'href="tel:+15550100"' in page
    assert 'href="mailto:sre-oncall@company.com"' in page
    assert "nobody answers for the role ciso now" in page
    answer = client.get(f"/api/v1/incidents/{found.pk}/contacts/", headers=bearer(reader)).json()
    assert (answer[0]["name"], answer[0]["people"], answer[0]["phone"]) == ("SRE on call", ["Ana"], "+1-555-0100")
    version = found.policy_version
    tables = client.get(f"/admin/policies/policyversion/{version.pk}/change/").content.decode()
    assert "Who to call" in tables


def test_contacts_of_a_hidden_incident_are_hidden(client: Client) -> None:
    hidden = incident(visibility="private")
    answer = client.get(f"/api/v1/incidents/{hidden.pk}/contacts/", headers=bearer(person("viewer")))
    assert answer.status_code == 404
