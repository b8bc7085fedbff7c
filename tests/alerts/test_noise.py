"""What keeps a storm small: group rules, flapping, outages that explain other alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.alerts.models import Alert, AlertGroup, Integration
from apps.alerts.operations import group
from apps.catalog.models import Dependency, Service
from apps.engine.models import Timer
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.operations import resolve as resolve_incident
from apps.paging.models import Page
from tests.alerts.saying import resolve, trigger
from tests.factories import answers_for, integration, named, novacron, receipt, service

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


def heard(source: Integration, *alerts: dict[str, Any]) -> None:
    receipt(source, list(alerts))
    group()


def numbers() -> list[int]:
    """The incidents of the alerts that belong to one, in the order of their dedup keys."""
    rows = Alert.objects.filter(group__isnull=False).order_by("dedup_key")
    return list(rows.values_list("group__incident_id", flat=True))


@pytest.fixture
def database() -> Iterator[Service]:
    """Three services that need a database, one of them through another."""
    db, api, web = service("Db"), service("Api"), service("Web")
    Dependency.objects.create(service=api, depends_on=db)
    Dependency.objects.create(service=web, depends_on=api)
    return db


# --- group rules --------------------------------------------------------------------------------------------------


def test_alerts_are_grouped_by_fields_and_labels() -> None:
    novacron(("group_by: dedup_key", "group_by: ['@service', region]"))
    service("Api")
    source = integration()
    labels = {"region": "eu"}
    heard(source, *[trigger(key, service="api", labels=labels) for key in "ab"], trigger("c", labels=labels))
    first, second, third = numbers()
    assert first == second != third


def test_an_integration_has_its_own_rule() -> None:
    novacron()
    source = integration(group_by=["team"], group_max_alerts=2)
    heard(source, *[trigger(str(number), labels={"team": "a"}) for number in range(5)])
    assert [numbers().count(pk) for pk in sorted(set(numbers()))] == [2, 2, 1]
    assert AlertGroup.objects.filter(state="open").count() == 1
    heard(source, trigger("5", labels={"team": "a"}))
    assert len(set(numbers())) == 3


def test_a_group_takes_nothing_after_its_window() -> None:
    novacron(("group_by: dedup_key", "group_by: [team]\n  group_window: 10m"))
    source = integration()
    heard(source, trigger("a", labels={"team": "x"}))
    with use_clock(ManualClock(now() + timedelta(minutes=9))):
        heard(source, trigger("b", labels={"team": "x"}))
    with use_clock(ManualClock(now() + timedelta(minutes=11))):
        heard(source, trigger("c", labels={"team": "x"}))
    first, second, third = numbers()
    assert first == second != third


# --- flapping -----------------------------------------------------------------------------------------------------


def test_a_flapping_alert_is_told_once_and_holds_its_incident_open_until_it_is_steady() -> None:
    novacron()
    source = integration()
    for _ in range(4):
        heard(source, trigger())
        heard(source, trigger("other"))
        heard(source, resolve())
    found = Alert.objects.get(dedup_key="disk-1")
    assert (found.state, found.flapping_since is not None) == ("resolved", True)
    last = Incident.objects.get(alert_groups__alerts=found)
    assert last.is_open
    with use_clock(ManualClock(now() + timedelta(minutes=11))):
        assert fire_timers()
        group()
    found.refresh_from_db()
    last.refresh_from_db()
    assert (found.flapping_since, last.is_open) == (None, False)
    told = TimelineEntry.objects.filter(incident=last, text__contains="flaps").values_list("text", flat=True)
    assert len(told) == 2


# --- outages ------------------------------------------------------------------------------------------------------


def test_a_down_database_pages_alone_and_lists_its_dependants(database: Service) -> None:
    novacron()
    source = integration()
    heard(source, *[trigger(name, service=name) for name in ("api", "web", "db")])
    assert Incident.objects.get().services.get() == database
    assert dict(Alert.objects.values_list("dedup_key", "is_suppressed")) == {"api": True, "db": False, "web": True}
    assert len(set(numbers())) == 1


def test_dependants_that_come_later_from_elsewhere_are_held_back_too(database: Service) -> None:
    novacron()
    heard(integration(), trigger("db", service="db"))
    heard(integration(), trigger("web", service="web"))
    assert Incident.objects.count() == 1


def test_services_that_need_each_other_page(database: Service) -> None:
    novacron()
    Dependency.objects.create(service=database, depends_on=Service.objects.get(slug="web"))
    heard(integration(), *[trigger(name, service=name) for name in ("api", "web", "db")])
    assert Incident.objects.count() == 3


def test_a_soft_dependency_holds_nothing_back(database: Service) -> None:
    novacron()
    Dependency.objects.update(kind="soft")
    heard(integration(), *[trigger(name, service=name) for name in ("api", "db")])
    assert Incident.objects.count() == 2


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_still_fires_after_the_outage_opens_an_incident_of_its_own(database: Service, by_hand: bool) -> None:
    novacron()
    source = integration()
    heard(source, *[trigger(name, service=name) for name in ("api", "web", "db")])
    if by_hand:
        resolve_incident(Incident.objects.get().pk, actor=SYSTEM)
        deliver()
    else:
        heard(source, resolve("db"))
    assert not Incident.objects.get().is_open
    heard(source, resolve("web"))
    with use_clock(ManualClock(now() + timedelta(minutes=1))):
        fire_timers()
        group()
    assert Incident.objects.count() == 1
    with use_clock(ManualClock(now() + timedelta(minutes=3))):
        assert Timer.objects.filter(kind="alerts.release", state="pending").exists()
        fire_timers()
        group()
    own = Incident.objects.get(alert_groups__alerts__dedup_key="api")
    suppressed = Alert.objects.get(dedup_key="api").is_suppressed
    assert (Incident.objects.count(), suppressed, own.is_open) == (2, False, True)


def at_its_release(minutes: int = 3) -> None:
    """What happens once the time has passed that dependants have to recover by themselves."""
    with use_clock(ManualClock(now() + timedelta(minutes=minutes))):
        fire_timers()
        group()


def of(key: str) -> Incident:
    return Incident.objects.get(alert_groups__alerts__dedup_key=key)


def test_dependants_are_released_though_another_alert_keeps_the_incident_open(database: Service) -> None:
    novacron(("group_by: dedup_key", "group_by: [rack]"))
    service("Cache")
    answers_for("primary", named("ana"))
    together = {"labels": {"rack": "r1"}}
    source, other = integration(), integration()
    heard(source, trigger("db", service="db", **together), trigger("cache", service="cache", **together))
    heard(other, trigger("api", service="api"), trigger("web", service="web"))
    outage = Incident.objects.get()
    heard(source, resolve("db"))
    at_its_release()
    assert (of("cache"), of("db"), outage.is_open) == (outage, outage, True)
    assert (of("api").pk == outage.pk, Alert.objects.get(dedup_key="api").is_suppressed) == (False, False)
    assert of("web") == of("api")  # it needs the one that is down still
    assert Page.objects.filter(subject_key=str(of("api").pk)).exists()


def test_dependants_of_what_is_down_still_stay_held_and_are_listed_once(database: Service) -> None:
    novacron(("group_by: dedup_key", "group_by: [rack]"))
    service("Cache")
    together = {"labels": {"rack": "r1"}}
    source = integration()
    heard(source, trigger("db", service="db", **together), trigger("cache", service="cache", **together))
    heard(source, trigger("api", service="api"))
    heard(source, resolve("cache"))
    at_its_release()
    assert Incident.objects.count() == 1
    assert Alert.objects.get(dedup_key="api").is_suppressed
    assert TimelineEntry.objects.filter(text__contains="held back").count() == 1


def test_a_dependant_that_joins_an_open_incident_makes_it_as_bad_as_it_is(database: Service) -> None:
    novacron(("group_by: dedup_key", "group_by: [rack]"))
    source = integration()
    heard(source, trigger("db", service="db"))
    heard(source, trigger("api", service="api", labels={"rack": "r2"}))
    service("Cache")
    heard(source, trigger("cache", severity="warning", service="cache", labels={"rack": "r2"}))
    mild = of("cache")
    assert mild != of("api")
    heard(source, resolve("db"))
    at_its_release()
    assert of("api") == mild
    assert of("api").severity_rank < mild.severity_rank
