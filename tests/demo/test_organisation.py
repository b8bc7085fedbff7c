"""The demo organisation: made once, repeated harmlessly, and shaped so that every page has something to show."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import override_settings

from apps.catalog.models import Service, Team
from apps.demo.operations import seed_demo
from apps.demo.organisation import PAST_INCIDENTS
from apps.flags.models import Flag
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Forbidden
from apps.incidents.models import Incident, Milestone
from apps.messaging.models import Message
from apps.messaging.silencing import silence_mails
from apps.oncall.queries import people_for_roles
from apps.paging.models import Page
from apps.people.groups import GROUP_PERMISSIONS
from apps.people.models import User
from apps.people.operations import sync_groups
from apps.people.queries import token_by_text
from apps.policies.operations import import_shipped_packs
from apps.postmortems.models import ActionItem, Review
from apps.runbooks.models import Mitigation, Runbook, RunbookVersion
from apps.runbooks.planning import look
from apps.state.models import ConfigDocument, ConfigVersion
from tests.factories import actor, superuser

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def seeded(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Path]:
    """Seeding takes seconds: it is done once here, and what a test changes of it is taken back."""
    folder = tmp_path_factory.mktemp("demo")
    with override_settings(DATA_DIR=folder), django_db_blocker.unblock():
        sync_groups()
        import_shipped_packs(actor=Actor.system())
        seed_demo(password="first password")
    yield folder
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)
        if not Group.objects.exists():  # PostgreSQL's come back from a copy
            sync_groups()
            User.objects.all().delete()
            User.history.all().delete()  # type: ignore[attr-defined]  # simple-history's


@pytest.fixture(autouse=True)
def portal(seeded: Path, db: None, settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)


def test_a_second_seeding_changes_nothing() -> None:
    counted = (User, Team, Service, Incident, Page, Message, Flag, ConfigDocument, ConfigVersion)
    counted += (Runbook, RunbookVersion, Mitigation, Review, ActionItem)
    before = {model: model.objects.count() for model in counted}
    assert seed_demo(password="another password") == 0
    assert {model: model.objects.count() for model in before} == before
    assert User.objects.get(username="ines").check_password("first password")


def test_all_six_groups_have_people_who_may_sign_in() -> None:
    for name in GROUP_PERMISSIONS:
        assert Group.objects.get(name=name).user_set.filter(is_active=True, is_staff=True).exists(), name


def test_every_role_of_the_escalation_path_reaches_somebody_in_every_team() -> None:
    roles = ["primary", "secondary", "manager", "vp_engineering", "executive"]
    for team in Team.objects.all():
        found = people_for_roles(team.pk, roles, now())
        assert all(found[role] for role in roles), (team, found)


def test_past_incidents_are_resolved_and_tell_what_happened_in_order() -> None:
    assert Incident.objects.filter(resolved_at__isnull=False).count() == len(PAST_INCIDENTS)
    for incident in Incident.objects.all():
        told = list(incident.timeline.order_by("seq"))
        assert len(told) >= 6
        assert [entry.at for entry in told] == sorted(entry.at for entry in told)
        names = set(Milestone.objects.filter(incident=incident).values_list("name", flat=True))
        assert {"acknowledged", "resolved"} <= names


def test_escalations_of_the_past_fired_then_and_send_nothing_now() -> None:
    from apps.messaging.operations import send_due

    outage = Incident.objects.get(severity="P0")
    called = Page.objects.filter(subject_key=str(outage.pk)).order_by("due_at")
    assert [page.level for page in called if page.level] == [1, 2, 3, 4]
    assert [page.reason for page in called if not page.level] == ["Several services are affected."]
    assert all(page.created_at == page.due_at for page in called)
    while send_due():
        pass
    assert not Message.objects.filter(channel="email", state="sent").exists()


def test_of_the_past_nobody_gets_a_mail_at_the_first_start() -> None:
    from apps.engine.operations import deliver
    from apps.engine.sweep import fire_timers
    from apps.messaging.operations import send_due

    assert Message.objects.filter(channel="email", state="void", last_error="about the past of the demo").exists()
    while fire_timers() or deliver() or send_due():
        pass
    assert not Message.objects.filter(channel="email", state__in=["sent", "queued"]).exists()


def test_only_the_portal_keeps_mails_back() -> None:
    with pytest.raises(Forbidden):
        silence_mails(after_id=0, reason="no", actor=actor(superuser()))


def test_the_world_learns_its_addresses_in_a_file_for_its_owner_only(settings: Any) -> None:
    path = settings.DATA_DIR / "demo" / "portal.json"
    addresses = json.loads(path.read_text())
    assert "/in/alertmanager/" in addresses["alertmanager_url"]
    assert "/in/change/" in addresses["change_url"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    seed_demo(password="")
    assert json.loads(path.read_text()) == addresses


def test_the_world_gets_a_token_that_reads_flags_and_keeps_it() -> None:
    path = Path(settings.DATA_DIR) / "demo" / "portal.json"
    told = json.loads(path.read_text())
    token = token_by_text(told["flags_token"])
    assert token is not None
    assert (token.scopes, token.user.username, token.user.owner.username) == (["flags:read"], "demo-world", "omar")
    assert not token.user.get_all_permissions()
    path.unlink()
    seed_demo(password="")
    anew = json.loads(path.read_text())["flags_token"]
    assert token_by_text(told["flags_token"]) is None
    assert token_by_text(anew) is not None
    User.objects.filter(username="demo-world").update(is_active=False)
    seed_demo(password="")
    assert json.loads(path.read_text())["flags_token"] == ""


def test_every_kind_of_kill_switch_is_there_in_each_environment_with_all_that_one_must_know() -> None:
    keys = {"payments.checkout", "events.world-boss", "combat.attacks", "diplomacy.treaties"}
    for environment in ("production", "staging"):
        flags = Flag.objects.filter(environment__slug=environment)
        assert {flag.key for flag in flags} == keys
        assert all(flag.owner and flag.blast_radius and flag.rollback_expectation for flag in flags)
        assert all(flag.state == Flag.State.ON for flag in flags)


def test_the_economy_has_a_baseline_before_the_world_was_ever_asked_and_is_looked_at_from_now_on(settings: Any) -> None:
    document = ConfigDocument.objects.get(slug="economy")
    assert (document.source_url, document.capture_every_seconds) == (f"{settings.WORLD_URL}/config", 10)
    assert document.baseline is not None
    assert document.baseline == document.head
    assert document.next_capture_at <= now()


def test_the_config_follows_the_world_to_another_port(settings: Any) -> None:
    settings.WORLD_URL = "http://127.0.0.1:8999"
    seed_demo(password="")
    assert ConfigDocument.objects.get(slug="economy").source_url == "http://127.0.0.1:8999/config"
    assert "http://127.0.0.1:8999" in Runbook.objects.get(slug="economy-rollback").active_version.text
    ConfigDocument.objects.filter(slug="economy").update(source_url="https://config.example.com/")
    seed_demo(password="")
    assert ConfigDocument.objects.get(slug="economy").source_url == "https://config.example.com/"


def test_the_button_of_the_rollback_is_there_and_leads_to_an_active_runbook() -> None:
    button = Mitigation.objects.get(slug="roll-economy-back")
    assert button.runbook.active_version is not None
    plan = look(button.runbook.active_version, button.parameters, incident_id=None, actor=Actor.system())
    assert plan.steps, "the plan is told although the world does not answer"


def test_payments_attacks_and_the_photo_contest_have_a_button_each() -> None:
    buttons = Mitigation.objects.exclude(slug="roll-economy-back").select_related("runbook__active_version")
    plans = {
        row.slug: look(row.runbook.active_version, row.parameters, incident_id=None, actor=Actor.system())
        for row in buttons
        if row.runbook.active_version
    }
    assert set(plans) == {"pause-storm-trails", "resume-storm-trails", "pause-payments", "freeze-attacks"}
    assert [item["key"] for item in plans["pause-payments"].targets] == ["payments.checkout@production"]


def test_one_review_is_closed_one_waits_and_one_promise_is_overdue() -> None:
    assert sorted(Review.objects.values_list("state", flat=True)) == ["closed", "closed", "in_review"]
    assert ActionItem.objects.filter(state="open", due_at__lt=now()).count() == 1
    assert User.objects.get(username="noah").manager == User.objects.get(username="omar")
