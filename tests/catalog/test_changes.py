"""What was changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.catalog.models import Change
from apps.catalog.operations import NewChange, record_change, record_changes
from apps.catalog.queries import recent_changes, told_once
from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.errors import Forbidden
from tests.factories import actor, person, service

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
NOON = datetime(2025, 11, 10, 12, 0, tzinfo=UTC)


def test_a_key_is_recorded_and_told_once_per_source() -> None:
    api = service("api")
    change = NewChange("API v2.3.1", service_id=api.pk, source="ci", dedup_key="build-1", version="v2.3.1")
    first = record_change(change, actor=SYSTEM)
    assert record_change(change, actor=SYSTEM) == first
    other = record_change(NewChange("the same build", source="other", dedup_key="build-1"), actor=SYSTEM)
    assert other != first
    assert Event.objects.filter(kind="catalog.change_recorded").count() == 2


def test_without_a_key_each_time_is_another_change() -> None:
    ids = {record_change(NewChange("restart"), actor=SYSTEM) for _ in range(2)}
    assert len(ids) == 2


def test_a_batch_keeps_its_order_and_takes_a_key_once() -> None:
    items = [
        NewChange("a", dedup_key="1"),
        NewChange("b"),
        NewChange("c", dedup_key="1"),
        NewChange("d", dedup_key="2"),
    ]
    ids = record_changes(items, actor=SYSTEM)
    assert ids[0] == ids[2]
    assert [Change.objects.get(pk=pk).title for pk in ids] == ["a", "b", "a", "d"]
    assert Event.objects.filter(kind="catalog.change_recorded").count() == 3


def test_a_batch_costs_the_same_number_of_queries_for_any_size(django_assert_max_num_queries: Any) -> None:
    items = [NewChange(f"change {n}", source="ci", dedup_key=f"{n}" if n % 2 else "") for n in range(400)]
    with django_assert_max_num_queries(20):  # SQLite takes at most 999 values in one statement
        record_changes(items, actor=SYSTEM)
    assert Change.objects.count() == 400


def test_nothing_to_record_is_no_fault() -> None:
    assert record_changes([], actor=SYSTEM) == []


def test_who_may_not_add_changes_records_none() -> None:
    with pytest.raises(Forbidden):
        record_change(NewChange("x"), actor=actor(person("viewer")))
    assert record_change(NewChange("x"), actor=actor(person("responder")))


def test_recent_changes_are_of_the_services_or_of_all_newest_first() -> None:
    api, other = service("api"), service("other")
    with use_clock(ManualClock(NOON)):
        for title, of, hours in (("old", api, 30), ("deploy", api, 2), ("flag", None, 1), ("foreign", other, 1)):
            at = NOON - timedelta(hours=hours)
            record_change(NewChange(title, service_id=of.pk if of else None, occurred_at=at), actor=SYSTEM)
    found = recent_changes([api.pk], NOON - timedelta(hours=24))
    assert [change.title for change in found] == ["flag", "deploy"]
    until = recent_changes([api.pk], NOON - timedelta(hours=48), until=NOON - timedelta(hours=2))
    assert [change.title for change in until] == ["deploy", "old"]


def test_a_config_that_two_sources_tell_of_is_shown_once_as_it_was_told_first() -> None:
    api = service("api")
    for title, source, version, seconds in (
        ("drop rate 5 % → 500 %", "game", "2", 0),
        ("changed by a designer", "configs", "2", 9),
        ("drop rate back", "game", "3", 60),
        ("two at once", "game", "3", 61),
        ("the same number on another day", "configs", "2", 86_400),
    ):
        change = NewChange(title, kind="config", service_id=api.pk, source=source, version=version, author="designer")
        record_change(replace(change, occurred_at=NOON + timedelta(seconds=seconds)), actor=SYSTEM)
    shown = [change.title for change in told_once(recent_changes([api.pk], NOON))]
    assert shown == ["the same number on another day", "two at once", "drop rate back", "drop rate 5 % → 500 %"]


def test_deployments_and_configs_without_a_version_are_all_shown() -> None:
    for source in ("ci", "game"):
        record_change(NewChange("a deployment", source=source, version="2"), actor=SYSTEM)
        record_change(NewChange("a config", kind="config", source=source), actor=SYSTEM)
    assert len(told_once(recent_changes([], NOON - timedelta(days=1)))) == 4
