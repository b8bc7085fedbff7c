"""Batches: how many queries they need, and two workers side by side."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.alerts.models import Alert, AlertGroup, Integration, Receipt
from apps.alerts.operations import group
from apps.incidents.models import Incident
from tests.alerts.saying import resolve, trigger
from tests.factories import integration, novacron, receipt, service


def queries_of(work: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


@pytest.mark.django_db
@pytest.mark.parametrize("phase", ["open", "repeat", "resolve"])
def test_a_batch_needs_as_many_queries_for_thirty_alerts_as_for_four(generic: Integration, phase: str) -> None:
    for name in ("api", "shop"):
        service(name)
    counts = []
    for start, size in ((0, 4), (100, 4), (1000, 30)):
        keys = [f"k{number}" for number in range(start, start + size)]
        if phase != "open":
            receipt(generic, [trigger(key, service="api") for key in keys])
            group()
        for key in keys:
            receipt(generic, resolve(key) if phase == "resolve" else trigger(key, service="shop"))
        counts.append(queries_of(group))
    # SQLite takes 999 values in one statement: 30 alerts need a second one.
    split = 1 if connection.vendor == "sqlite" else 0
    # The first round also fills caches of policies.
    assert counts[2] <= counts[1] + split


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_apply_each_receipt_once_and_open_each_incident_once() -> None:
    novacron()
    sources = [integration() for _ in range(3)]
    for number in range(120):
        receipt(sources[number % 3], trigger(f"k{number % 40}"))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            while group():
                pass
        except BaseException as error:  # noqa: BLE001  # told in the main thread
            failures.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    group()
    assert failures == []
    assert set(Receipt.objects.values_list("state", flat=True)) == {"done"}
    assert Incident.objects.count() == AlertGroup.objects.count() == Alert.objects.count() == 120
    assert sum(Alert.objects.values_list("receipt_count", flat=True)) == 120


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_worker_without_the_lock_leaves_the_work_to_the_one_that_has_it() -> None:
    novacron()
    source = integration()
    receipt(source, trigger())
    handled: list[int] = []

    def other() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [0x616C7274, source.pk])
        handled.append(1)
        free.wait(10)
        connections.close_all()

    free = threading.Event()
    holder = threading.Thread(target=other)
    holder.start()
    while not handled:
        free.wait(0.01)
    assert group() == 0
    free.set()
    holder.join()
    assert group() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_deadlock_that_grouping_loses_costs_no_round(caplog: pytest.LogCaptureFixture) -> None:
    novacron()
    source = integration()
    receipt(source, [trigger("k1"), trigger("k2")])
    group()
    receipt(source, [resolve("k1"), resolve("k2")])
    first, second = Incident.objects.order_by("pk").values_list("pk", flat=True)
    locked = threading.Event()

    def other() -> None:
        """Takes the same locks the other way round, and is the last to be asked to give up."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL deadlock_timeout = '30s'")
            list(Incident.objects.select_for_update().filter(pk=second))
            locked.set()
            time.sleep(0.3)
            list(Incident.objects.select_for_update().filter(pk=first))
        connections.close_all()

    holder = threading.Thread(target=other)
    holder.start()
    locked.wait(10)
    with caplog.at_level(logging.INFO, logger="apps.alerts"):
        assert group() == 1
    holder.join()
    assert "lost a deadlock" in caplog.text
    assert set(Receipt.objects.values_list("state", flat=True)) == {"done"}
