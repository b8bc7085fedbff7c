"""Whatever the order in which receipts are handled, what is known in the end is the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.alerts.episodes import Sighting, apply, unseen
from apps.alerts.models import Alert, Integration, Receipt
from apps.alerts.operations import group
from apps.alerts.payloads import AlertEvent, Status
from apps.foundation.clock import now
from apps.incidents.models import Incident
from tests.alerts.saying import resolve, trigger
from tests.factories import integration, novacron, receipt

START = datetime.fromisoformat("2026-05-01T12:00:00+00:00")
KNOWN = [
    "state",
    "title",
    "labels",
    "link",
    "last_receipt_id",
    "fire_receipt_id",
    "resolve_receipt_id",
    "starts_at",
    "resolved_at",
    "last_seen_at",
    "receipt_count",
]


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
    """Receipts of one alert in the order of their ids, up to ten minutes apart, with and without times of their own."""
    found: list[Sighting] = []
    at = START
    for number in range(1, draw(st.integers(2, 7))):
        at += timedelta(seconds=draw(st.sampled_from([0, 1, 30, 61, 600])))
        starts = draw(st.none() | st.integers(-600, 600).map(lambda seconds: START + timedelta(seconds=seconds)))
        status: Status = draw(st.sampled_from(["firing", "resolved"]))
        event = AlertEvent("k", status, f"title {number}", "", "", {"n": str(number)}, {}, "", starts)
        found.append(Sighting(number, at, event))
    return found


def known_after(order: list[Sighting]) -> dict[str, Any]:
    alert = unseen(1, "k", order[0])
    for sighting in order:
        apply(alert, sighting)
    return {name: getattr(alert, name) for name in KNOWN}


@given(st.data())
def test_any_order_of_the_same_receipts_gives_the_same_alert(data: Any) -> None:
    given_order = data.draw(sightings())
    if given_order:
        assert known_after(data.draw(st.permutations(given_order))) == known_after(given_order)


@given(sightings())
def test_the_newest_resolve_always_wins_over_older_triggers(order: list[Sighting]) -> None:
    if order and order[-1].event.status == "resolved":
        assert known_after(order)["state"] == "resolved"


@given(sightings())
def test_a_trigger_after_everything_else_fires_unless_its_episode_was_just_resolved(order: list[Sighting]) -> None:
    if order and order[-1].event.status == "firing" and known_after(order)["state"] == "resolved":
        over = max(item.received_at for item in order if item.event.status == "resolved")
        assert order[-1].event.starts_at is not None
        assert order[-1].received_at - over <= timedelta(seconds=60)


class TestOnTheDatabase(TestCase):
    """The same through grouping: alerts and incidents."""

    source: Integration

    @classmethod
    def setUpTestData(cls) -> None:
        novacron()
        cls.source = integration()

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_no_order_leaves_an_open_incident_for_a_resolved_alert_or_none_for_a_firing_one(self, data: Any) -> None:
        said = data.draw(st.lists(st.sampled_from(["fire", "clear"]), min_size=1, max_size=5))
        rows = [
            receipt(self.source, trigger() if word == "fire" else resolve(), state="rejected", received_at=now())
            for word in said
        ]
        for row in data.draw(st.permutations(rows)):
            Receipt.objects.filter(pk=row.pk).update(state="new")
            group()
        alert = Alert.objects.get()
        assert alert.state == ("firing" if said[-1] == "fire" else "resolved")
        assert any(incident.is_open for incident in Incident.objects.all()) is (alert.state == "firing")


@pytest.mark.django_db
def test_many_alerts_in_any_order_within_a_batch(generic: Integration) -> None:
    for number in range(20):
        receipt(generic, [trigger(f"k{number}"), trigger(f"k{number + 1}")])
        receipt(generic, resolve(f"k{number}"))
    group()
    assert Alert.objects.filter(state="firing").count() == 1
    assert Alert.objects.count() == 21
