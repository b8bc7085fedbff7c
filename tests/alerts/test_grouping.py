"""From receipts to alerts, groups and incidents."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from apps.alerts.models import Alert, AlertGroup, Integration, Receipt
from apps.alerts.operations import group
from apps.engine.models import Event
from apps.engine.operations import deliver
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations import reopen, take_role
from apps.incidents.operations import resolve as resolve_incident
from apps.paging.models import Page
from tests.alerts.saying import alert, prometheus, resolve, trigger
from tests.factories import answers_for, incident, novacron, person, receipt, service, team
from tests.factories import integration as source

pytestmark = pytest.mark.django_db


def send(to: Integration, *payloads: object) -> None:
    """Each payload as a receipt of its own, grouped at once."""
    for payload in payloads:
        receipt(to, payload)
        group()


def only_alert() -> Alert:
    return Alert.objects.get()


def test_a_critical_alert_opens_a_p0_and_pages_the_one_on_call(generic: Integration) -> None:
    ana = person("responder")
    answers_for("primary", ana)
    send(generic, trigger(severity="critical"))
    opened = Incident.objects.get()
    assert (opened.severity, opened.title, opened.source) == ("P0", "Disk is full", "generic")
    assert only_alert().group is not None
    assert Page.objects.get(user=ana).subject_key == str(opened.pk)


def test_a_refire_counts_and_pages_nobody_again(generic: Integration) -> None:
    send(generic, trigger())
    before = Page.objects.count()
    send(generic, trigger(), trigger())
    assert (Incident.objects.count(), only_alert().receipt_count, Page.objects.count()) == (1, 3, before)


def test_a_resolve_resolves_an_incident_that_nobody_commands(generic: Integration) -> None:
    send(generic, trigger(), resolve())
    assert only_alert().state == "resolved"
    assert Incident.objects.get().phase == "resolved"


def test_a_resolve_is_only_proposed_to_a_commander(generic: Integration) -> None:
    commander = person("commander")
    send(generic, trigger())
    opened = Incident.objects.get()
    take_role(opened.pk, "commander", commander.pk, actor=Actor.system())
    send(generic, resolve())
    opened.refresh_from_db()
    assert opened.is_open
    assert opened.resolve_proposed_at is not None


def test_firing_again_withdraws_the_proposal_and_stays_in_the_incident(generic: Integration) -> None:
    commander = person("commander")
    send(generic, trigger())
    opened = Incident.objects.get()
    take_role(opened.pk, "commander", commander.pk, actor=Actor.system())
    send(generic, resolve(), trigger())
    opened.refresh_from_db()
    assert (Incident.objects.count(), opened.resolve_proposed_at, only_alert().episode_count) == (1, None, 2)


def test_firing_after_the_incident_was_resolved_opens_another_one(generic: Integration) -> None:
    send(generic, trigger(), resolve(), trigger())
    assert Incident.objects.count() == 2
    assert list(AlertGroup.objects.order_by("pk").values_list("state", flat=True)) == ["closed", "open"]


def test_a_refire_after_a_person_resolved_the_incident_opens_nothing(generic: Integration) -> None:
    send(generic, trigger())
    resolve_incident(Incident.objects.get().pk, actor=Actor.system())
    send(generic, trigger())
    assert Incident.objects.count() == 1


def test_a_resolve_before_its_trigger_leaves_a_tombstone(alertmanager: Integration) -> None:
    send(alertmanager, prometheus(alert(status="resolved")), prometheus(alert()))
    assert (only_alert().state, Incident.objects.count()) == ("resolved", 0)


def test_the_same_episode_seen_again_a_minute_after_its_resolve_opens(alertmanager: Integration) -> None:
    clock = ManualClock(now())
    with use_clock(clock):
        send(alertmanager, prometheus(alert()), prometheus(alert(status="resolved")))
        clock.advance(timedelta(seconds=61))
        send(alertmanager, prometheus(alert()))
    assert (only_alert().state, Incident.objects.count()) == ("firing", 2)


def test_an_older_trigger_never_reopens(generic: Integration) -> None:
    late = receipt(generic, trigger(), state="rejected")
    send(generic, resolve())
    Receipt.objects.filter(pk=late.pk).update(state="new")
    group()
    assert (only_alert().state, Incident.objects.count(), only_alert().receipt_count) == ("resolved", 0, 2)


def test_firing_and_clearing_within_one_batch_bothers_nobody(generic: Integration) -> None:
    receipt(generic, trigger())
    receipt(generic, resolve())
    group()
    assert (only_alert().state, Incident.objects.count()) == ("resolved", 0)


def test_an_informational_alert_is_listed_and_opens_nothing(generic: Integration) -> None:
    send(generic, trigger(severity="info"))
    assert (only_alert().severity, only_alert().group, Incident.objects.count()) == ("P4", None, 0)


def test_an_alert_that_gets_worse_opens(generic: Integration) -> None:
    send(generic, trigger(severity="info"), trigger(severity="critical"))
    assert Incident.objects.get().severity == "P0"


def test_an_alert_that_gets_worse_raises_its_incident(generic: Integration) -> None:
    send(generic, trigger(severity="warning"), trigger(severity="critical"), trigger(severity="warning"))
    assert Incident.objects.get().severity == "P0"


def test_a_severity_that_a_person_lowered_is_not_raised_by_a_mere_refire(generic: Integration) -> None:
    from apps.incidents.operations import change_severity

    send(generic, trigger(severity="critical"))
    change_severity(Incident.objects.get().pk, "P3", actor=Actor.system())
    send(generic, trigger(severity="critical"))
    assert Incident.objects.get().severity == "P3"


def test_a_paused_source_stores_and_opens_nothing_until_it_is_resumed(generic: Integration) -> None:
    Integration.objects.update(state="paused")
    send(generic, trigger())
    assert (only_alert().state, Incident.objects.count()) == ("firing", 0)
    Integration.objects.update(state="active")
    send(generic, trigger())
    assert Incident.objects.count() == 1


def test_a_paused_source_still_resolves(generic: Integration) -> None:
    send(generic, trigger())
    Integration.objects.update(state="paused")
    send(generic, resolve())
    assert not Incident.objects.get().is_open


def test_labels_name_the_service_whose_team_is_responsible(alertmanager: Integration) -> None:
    owners = team("Shop")
    service("checkout", owners)
    send(alertmanager, prometheus(alert(service="Checkout")))
    opened = Incident.objects.get()
    assert opened.team == owners
    assert [found.slug for found in opened.services.all()] == ["checkout"]


def test_the_services_own_pack_says_what_its_labels_mean(alertmanager: Integration) -> None:
    version = novacron(("slug: novacron-v2", "slug: other"), ("critical: P0", "critical: P3"))
    service("checkout", policy_pack=version.pack)
    send(alertmanager, prometheus(alert(service="checkout")))
    opened = Incident.objects.get()
    assert (opened.severity, opened.policy_version) == ("P3", version)


def test_alerts_share_an_incident_where_the_pack_groups_by_a_label() -> None:
    novacron(("group_by: dedup_key", "group_by: [alertname]"))
    manager = source("alertmanager")
    send(manager, prometheus(alert("f1", severity="warning"), alert("f2", severity="warning")))
    send(manager, prometheus(alert("f3", severity="critical")))
    opened = Incident.objects.get()
    assert opened.severity == "P0"
    assert Alert.objects.filter(group__incident=opened).count() == 3


def test_an_incident_clears_only_when_all_its_alerts_did() -> None:
    novacron(("group_by: dedup_key", "group_by: [alertname]"))
    manager = source("alertmanager")
    send(manager, prometheus(alert("f1"), alert("f2")), prometheus(alert("f1", status="resolved")))
    assert Incident.objects.get().is_open
    send(manager, prometheus(alert("f2", status="resolved")))
    assert not Incident.objects.get().is_open


def test_the_timeline_tells_of_its_alerts(generic: Integration) -> None:
    send(generic, trigger(), resolve())
    told = list(TimelineEntry.objects.filter(kind__startswith="alert").order_by("seq").values_list("text", flat=True))
    assert told == ["Alert fires: Disk is full", "Alert cleared: Disk is full"]


def test_a_payload_that_nobody_understands_waits_and_hinders_no_other(generic: Integration) -> None:
    bad = receipt(generic, b'{"title": ')
    receipt(generic, trigger())
    group()
    bad.refresh_from_db()
    assert (bad.state, Incident.objects.count()) == ("rejected", 1)
    assert "not valid JSON" in bad.error
    assert Event.objects.filter(kind="engine.portal_fault").exists()


@pytest.mark.postgres
def test_a_payload_that_breaks_its_handling_is_set_aside_alone(generic: Integration) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE alerts_alert ADD CONSTRAINT no_k2 CHECK (dedup_key <> 'k2')")
    bad = receipt(generic, trigger("k2"))
    receipt(generic, trigger("k1"))
    group()
    bad.refresh_from_db()
    assert (bad.state, Alert.objects.get().dedup_key) == ("rejected", "k1")
    assert "no_k2" in bad.error


def test_handling_the_same_receipts_again_changes_nothing(generic: Integration) -> None:
    send(generic, trigger(), resolve(), trigger())
    before = Alert.objects.values("state", "last_receipt_id", "resolved_at").get()
    Receipt.objects.update(state="new")
    group()
    assert Alert.objects.values("state", "last_receipt_id", "resolved_at").get() == before
    assert Incident.objects.count() == 2


def test_groups_follow_their_incident_when_people_resolve_and_reopen_it(generic: Integration) -> None:
    send(generic, trigger())
    opened = Incident.objects.get()
    resolve_incident(opened.pk, actor=Actor.system())
    deliver()
    assert AlertGroup.objects.get().state == "closed"
    reopen(opened.pk, reason="too early", actor=Actor.system())
    deliver()
    assert AlertGroup.objects.get().state == "open"


def test_an_incident_of_a_person_is_left_alone_by_alerts(generic: Integration) -> None:
    declared = incident()
    send(generic, trigger(), resolve())
    declared.refresh_from_db()
    assert declared.is_open
