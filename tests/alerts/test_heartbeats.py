"""Heartbeats that stop, late timers, and beats that wait to be grouped."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.alerts.models import Alert, Heartbeat, Integration, Receipt
from apps.alerts.operations import Settings, create_integration, group, pause, resume, update_integration
from apps.engine.models import Timer
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Invalid
from apps.incidents.models import Incident
from tests.factories import novacron, receipt, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


@pytest.fixture
def backup() -> Integration:
    """Beats each minute, with ten seconds of grace."""
    novacron()
    settings = Settings(interval_seconds=60, grace_seconds=10)
    return create_integration("Backup", "heartbeat", team_id=team().pk, settings=settings, actor=SYSTEM)[0]


def beat(source: Integration) -> None:
    receipt(source, b"", form="beat")
    group()


def after(clock: ManualClock, seconds: float) -> None:
    clock.advance(timedelta(seconds=seconds))
    fire_timers()
    group()


def state(source: Integration) -> str:
    return Heartbeat.objects.get(integration=source).state


def test_one_that_never_beat_is_waited_for(backup: Integration) -> None:
    assert (state(backup), Timer.objects.count()) == ("waiting", 0)


def test_silence_opens_an_incident_at_the_deadline_and_the_next_beat_resolves_it(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        after(clock, 69.9)
        assert (state(backup), Incident.objects.count()) == ("beating", 0)
        after(clock, 0.2)
        assert (state(backup), Incident.objects.get().title) == ("missing", "Backup has stopped beating")
        beat(backup)
        assert (state(backup), Incident.objects.get().is_open) == ("beating", False)
    assert not Receipt.objects.filter(form="beat").exists()


def test_beats_move_the_deadline_without_a_timer_each(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        for _ in range(4):
            beat(backup)
            after(clock, 50)
        assert Timer.objects.count() <= 4
        after(clock, 21)
        assert state(backup) == "missing"


def test_a_beat_that_is_not_grouped_yet_counts(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        clock.advance(timedelta(seconds=65))
        receipt(backup, b"", form="beat")
        clock.advance(timedelta(seconds=10))
        fire_timers()
        assert state(backup) == "beating"


def test_a_beat_in_the_moment_in_which_it_is_declared_missing_ends_that(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        clock.advance(timedelta(seconds=71))
        overtaken = receipt(backup, b"", form="beat")  # its commit is seen only after the timer has fired
        Receipt.objects.filter(pk=overtaken.pk).update(state="done")
        fire_timers()
        Receipt.objects.filter(pk=overtaken.pk).update(state="new")
        assert state(backup) == "missing"
        group()
        group()
        assert (state(backup), Alert.objects.get().state) == ("beating", "resolved")
        assert not Incident.objects.filter(resolved_at__isnull=True).exists()


def test_a_portal_that_slept_listens_for_one_more_interval(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        after(clock, 3600)
        assert state(backup) == "beating"
        after(clock, 71)
        assert state(backup) == "missing"


def test_what_went_missing_during_a_pause_is_told_at_its_end(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        pause(backup.pk, actor=SYSTEM)
        after(clock, 71)
        assert (state(backup), Incident.objects.count()) == ("missing", 0)
        resume(backup.pk, actor=SYSTEM)
        group()
        assert Alert.objects.get().group.incident.is_open  # type: ignore[union-attr]  # it has one now


def test_a_new_interval_holds_at_once(backup: Integration) -> None:
    with use_clock(clock := ManualClock(now())):
        beat(backup)
        shorter = Settings(interval_seconds=20, grace_seconds=0)
        update_integration(backup.pk, name="Backup", service_id=None, settings=shorter, actor=SYSTEM)
        after(clock, 21)
        assert state(backup) == "missing"


def test_only_heartbeats_have_an_interval(backup: Integration) -> None:
    for kind, settings in (("generic", Settings(interval_seconds=60)), ("heartbeat", Settings(interval_seconds=1))):
        with pytest.raises(Invalid):
            create_integration("x", kind, team_id=backup.team_id, settings=settings, actor=SYSTEM)
