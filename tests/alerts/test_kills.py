"""Kills of flags and variants are told to the channels of their domain, and nowhere why, where that is private."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from apps.alerts.kills import tell_kills
from apps.catalog.models import Environment
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.engine.showing import payload_shown_to
from apps.flags.management.commands import ab_experiment
from apps.flags.models import Experiment
from apps.flags.operations import kill, kill_variant, start_experiment
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents.models import Incident
from apps.incidents.operations import declare
from apps.messaging.connections import create_destination
from apps.messaging.models import Message
from apps.people.operations import portal_user
from apps.policies.operations import import_pack, shipped_packs
from tests.factories import actor, person, service, superuser, team
from tests.flags.conftest import make_flag
from tests.flags.experimenting import REWARDS, make_experiment

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


@pytest.fixture
def running(settings: Any) -> Experiment:
    """An experiment of a team that follows the pack of document A, whose default domain has Slack and PagerDuty."""
    portal_user()
    [path] = [path for path in shipped_packs() if "season2" in path.name]
    import_pack(path.read_text(), activate=True, note="for the test", actor=SYSTEM)
    settings.DEFAULT_PACK = "season2-liveops"
    create_destination("pagerduty", "liveops-oncall", "R0123456789ABCDEF0123456789ABCDE", actor=SYSTEM)
    core = team("Core")
    production = Environment.objects.create(slug="production", name="Production", position=1)
    given: Any = {"kind": "experiment", "value_type": "string", "definition": REWARDS}
    flag = make_flag("storm.reward", production, core, service("Checkout", core), **given)
    return start_experiment(make_experiment(flag).pk, actor=SYSTEM)


def posts() -> dict[str, Message]:
    while deliver():
        pass
    rows = Message.objects.filter(dedupe_key__startswith="post:kill:")
    assert len({row.channel for row in rows}) == len(rows)
    return {row.channel: row for row in rows}


def test_a_kill_of_a_variant_is_posted_once_and_opens_nothing_in_pagerduty(running: Experiment) -> None:
    ana = person("commander")
    kill_variant(running.pk, "b", reason="inflation 1.11", actor=actor(ana))
    found = posts()
    assert set(found) == {"slack", "pagerduty"}
    assert (found["slack"].address, found["slack"].title) == ("#alerts-liveops", "Variant b of Storm reward was killed")
    assert "0 enrolled went to control; newcomers in Production get" in found["slack"].body
    assert f"By {ana.name}." in found["slack"].body
    assert "Why: inflation 1.11" in found["slack"].body
    assert (found["pagerduty"].payload["event_action"], found["slack"].payload["can_respond"]) == ("change", False)
    tell_kills(list(Event.objects.filter(kind="flags.variant_killed")))
    assert len(posts()) == 2


def test_a_kill_of_a_flag_is_told_likewise(running: Experiment) -> None:
    kill(running.flag_id, reason="it burns", actor=SYSTEM)
    assert posts()["slack"].title == "The flag storm.reward was killed"


@pytest.mark.parametrize("visibility", ["open", "private"])
def test_why_is_told_only_where_everybody_may_see_what_it_is_about(running: Experiment, visibility: str) -> None:
    about = declare("A leak at Acme", "P1", visibility=visibility, actor=SYSTEM)
    kill_variant(running.pk, "b", reason="Acme's keys", about=Subject("incident", str(about.pk)), actor=SYSTEM)
    told = posts()["slack"]
    may = visibility == "open"
    assert ("Acme's keys" in told.body, "A leak at Acme" in told.body, about.number in told.body) == (may, may, may)
    assert "Variant b" in told.title


@pytest.mark.parametrize("verb", ["variant", "flag"])
def test_the_page_of_the_event_and_a_webhook_keep_it_too(running: Experiment, verb: str) -> None:
    owner, manager = superuser(), person("manager")
    manager.user_permissions.add(Permission.objects.get(codename="view_event", content_type__app_label="engine"))
    about = Subject("incident", str(declare("A leak at Acme", "P1", visibility="private", actor=SYSTEM).pk))
    if verb == "variant":
        kill_variant(running.pk, "b", reason="Zanzibar", about=about, actor=SYSTEM)
    else:
        kill(running.flag_id, reason="Zanzibar", about=about, actor=SYSTEM)
    event = Event.objects.get(kind__in=["flags.killed", "flags.variant_killed"])
    for user, may in ((owner, True), (manager, False)):
        client = Client()
        client.force_login(user)
        page = client.get(reverse("admin:engine_event_change", args=[event.pk]))
        assert (page.status_code, "Zanzibar" in page.content.decode()) == (200, may)
        shown = payload_shown_to(event, user)
        assert (shown["reason"], shown["about_key"]) == (("Zanzibar", about.key) if may else ("", ""))


def test_the_command_resolves_what_the_portal_opened_in_pagerduty(
    running: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab_experiment.time, "sleep", lambda seconds: None)
    about = declare("Inflation", "P1", actor=SYSTEM)
    while deliver():
        pass
    Message.objects.filter(channel="pagerduty").update(state="sent", sent_at=now(), provider_id="opened-here")
    given = ["b", "--force", "--reason", "x", "--incident", str(about.pk), "--as", person("commander").username]
    out = StringIO()
    call_command("ab_experiment", running.key, *given, stdout=out)
    assert "What the portal opened in PagerDuty for the incident is being resolved." in out.getvalue()
    resolved = Message.objects.get(payload__event_action="resolve")
    assert (resolved.payload["dedup_key"], resolved.channel) == ("opened-here", "pagerduty")
    assert Incident.objects.get(pk=about.pk).resolved_at is None
