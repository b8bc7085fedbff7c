"""Batches: how many queries they need, and two workers side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections
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
def test_a_batch_needs_as_many_queries_for_forty_alerts_as_for_four(generic: Integration, phase: str) -> None:
    for name in ("api", "shop"):
        service(name)
    counts = []
    for start, size in ((0, 4), (100, 4), (1000, 40)):
        keys = [f"k{number}" for number in range(start, start + size)]
        if phase != "open":
            receipt(generic, [trigger(key, service="api") for key in keys])
            group()
        for key in keys:
            receipt(generic, resolve(key) if phase == "resolve" else trigger(key, service="shop"))
        counts.append(queries_of(group))
    # The first round also fills caches of policies.
    assert counts[2] <= counts[1]


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
