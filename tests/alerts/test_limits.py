"""Rate limits: counted in memory, written once a second, told once, and never silent."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from apps.alerts.intake import edges
from apps.alerts.intake.meter import Counted, Meter
from apps.alerts.models import Alert, IntakeMinute, Integration, Receipt
from apps.alerts.operations import group, rotate_key
from apps.alerts.operations.limits import limits_due, tell_limits
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.models import Incident
from tests.alerts.saying import trigger
from tests.alerts.test_intake import by_asgi, by_wsgi
from tests.factories import integration, novacron

BODY = json.dumps(trigger()).encode()
EVENT = {"event_action": "trigger", "payload": {"summary": "x", "source": "y", "severity": "info"}}


def meter() -> Meter:
    return Meter(lambda: None)


# --- counting, without a database ---------------------------------------------------------------------------------


def test_a_limit_holds_within_its_minute_and_says_how_long_it_lasts() -> None:
    counts = meter()
    assert [counts.admit(1, 2, 600 + second) for second in (0, 10, 20)] == [0, 0, 40]
    assert counts.admit(2, 2, 620) == counts.admit(1, 0, 621) == counts.admit(1, 2, 660) == 0
    assert counts.drain() == [Counted(1, 10, 3, 1), Counted(1, 11, 1, 0), Counted(2, 10, 1, 0)]


def test_what_other_processes_took_counts_once_it_is_known() -> None:
    counts = meter()
    assert counts.admit(1, 5, 600) == 0
    counts.drain()
    counts.learn([(1, 10, 5)])
    assert counts.admit(1, 5, 601) == 59
    assert counts.drain() == [Counted(1, 10, 0, 1)]


def test_counts_that_could_not_be_written_are_written_later() -> None:
    counts = meter()
    counts.admit(1, 0, 600)
    lost = counts.drain()
    counts.put_back(lost)
    assert counts.is_dirty
    assert counts.drain() == lost


# --- at the door --------------------------------------------------------------------------------------------------


@pytest.fixture
def door(committed: None, committer: None) -> None:
    """A real commit behind the edges."""


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("post", [by_asgi, by_wsgi])
def test_over_the_limit_is_429_with_whole_seconds_and_is_counted(post: Any) -> None:
    source = integration(key="secret", rate_per_minute=2)
    with use_clock(ManualClock(now())):
        answers = [post("/in/generic/secret/", BODY) for _ in range(5)]
    assert [status for status, _, _ in answers] == [202, 202, 429, 429, 429]
    assert 1 <= int(answers[-1][1]["retry-after"]) <= 60
    edges.stop_committer()
    assert list(IntakeMinute.objects.values_list("taken_count", "refused_count")) == [(2, 3)]
    assert Receipt.objects.filter(integration=source).count() == 2
    IntakeMinute.objects.all().delete()


@pytest.mark.usefixtures("door")
def test_a_throttled_pagerduty_event_is_told_in_its_own_words() -> None:
    integration("pagerduty", key="secret", rate_per_minute=1)
    body = json.dumps({**EVENT, "routing_key": "secret"}).encode()
    with use_clock(ManualClock(now())):
        first, second = by_asgi("/v2/enqueue", body), by_wsgi("/v2/enqueue", body)
    assert (first[0], first[2]["status"], len(first[2]["dedup_key"])) == (202, "success", 32)
    assert (second[0], second[2]["status"]) == (429, "throttle exceeded")
    edges.stop_committer()
    IntakeMinute.objects.all().delete()


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("post", [by_asgi, by_wsgi])
def test_pagerdutys_errors_name_what_is_wrong(post: Any) -> None:
    integration("pagerduty", key="secret")
    for body, error in (
        (b"{", "The body is not valid JSON"),
        (b"{}", "routing_key: "),
        (b'{"routing_key": "other"}', "routing_key: no integration"),
        (b'{"routing_key": "secret"}', "event_action: "),
    ):
        status, _, said = post("/v2/enqueue", body)
        assert (status, said["status"], said["errors"][0].startswith(error)) == (400, "invalid event", True)


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("post", [by_asgi, by_wsgi])
def test_beats_come_by_get_head_and_post(post: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = integration("heartbeat", key="secret", interval_seconds=60, grace_seconds=0)
    assert post("/in/heartbeat/secret/", method="GET")[2]["beats"] == 1
    assert post("/in/heartbeat/secret/", b"anything")[0] == 202
    assert post("/in/heartbeat/secret/", method="DELETE")[0] == 405
    assert list(Receipt.objects.filter(integration=source).values_list("form", flat=True)) == ["beat", "beat"]


@pytest.mark.usefixtures("door")
def test_the_old_key_opens_until_its_overlap_ends() -> None:
    source = integration(key="old")
    rotate_key(source.pk, overlap_seconds=3600, actor=Actor.system())
    assert by_asgi("/in/generic/old/", BODY)[0] == 202
    with use_clock(ManualClock(now() + timedelta(hours=2))):
        assert by_asgi("/in/generic/old/", BODY)[0] == 401
    rotate_key(source.pk, actor=Actor.system())
    until = time.monotonic() + 5
    while time.monotonic() < until and by_asgi("/in/generic/old/", BODY)[0] != 404:
        time.sleep(0.1)
    assert by_asgi("/in/generic/old/", BODY)[0] == 404


@pytest.mark.usefixtures("door")
def test_a_mapping_is_used_at_the_door_and_names_the_field() -> None:
    integration(key="secret", mapping={"title": "event.name"})
    assert by_asgi("/in/generic/secret/", b'{"event": {"name": "x"}}')[0] == 202
    assert by_wsgi("/in/generic/secret/", b'{"event": {}}')[2]["path"] == "title"


# --- telling ------------------------------------------------------------------------------------------------------


def refused(source: Integration) -> None:
    at = now().replace(second=0, microsecond=0)
    IntakeMinute.objects.create(integration=source, minute=at, taken_count=10, refused_count=3)


@pytest.mark.django_db
def test_refusals_are_one_alert_for_the_integrations_team_that_ends_by_itself() -> None:
    novacron()
    source = integration()
    with use_clock(clock := ManualClock(now())):
        for _ in range(3):
            refused(source)
            assert limits_due(now())
            tell_limits()
            group()
            clock.advance(timedelta(minutes=1))
        assert (Incident.objects.get().team, Alert.objects.get().receipt_count) == (source.team, 3)
        assert not limits_due(now())
        clock.advance(timedelta(minutes=8))
        while fire_timers():
            group()
        assert not Incident.objects.get().is_open


@pytest.mark.django_db
def test_old_counts_are_deleted() -> None:
    refused(integration())
    with use_clock(ManualClock(now() + timedelta(days=4))):
        tell_limits()
    assert not IntakeMinute.objects.exists()
