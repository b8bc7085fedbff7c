"""Liveness, readiness and metrics, for machines."""

from __future__ import annotations

import hmac
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerError
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from redis.exceptions import RedisError

from apps.engine import metrics as portal_metrics
from apps.engine.pulses import last_beats
from apps.foundation.clock import now

BROKER_CHECK_EACH_SECONDS = 5.0
TICKER_LATE_SECONDS = 10.0

_migrated = False
_broker: tuple[float, str] = (0.0, "unknown")


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while this process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers and is migrated, else 503; tells of broker, ticker and the oldest due timer."""
    found: dict[str, Any] = {"status": "ready"}
    try:
        if not _is_migrated():
            return JsonResponse({"status": "not ready", "reason": "Run `manage.py setup`."}, status=503)
        beats = last_beats()
        found["oldest_due_timer_seconds"] = portal_metrics.oldest_due_timer_seconds()
    except DatabaseError:
        return JsonResponse({"status": "not ready", "reason": "The database does not answer."}, status=503)
    ticker_at = beats.get("ticker")
    late = None if ticker_at is None else (now() - ticker_at).total_seconds()
    found["ticker"] = "ok" if late is not None and late <= TICKER_LATE_SECONDS else "not running"
    found["ticker_beat_seconds_ago"] = late
    found["broker"] = _broker_state()
    return JsonResponse(found)


def _is_migrated() -> bool:
    """Asked of the database until the answer is yes; a migration is never taken back under a running process."""
    global _migrated  # noqa: PLW0603  # a cache for the life of the process
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def _broker_state() -> str:
    global _broker  # noqa: PLW0603  # a cache for a few seconds
    checked_at, state = _broker
    if time.monotonic() - checked_at < BROKER_CHECK_EACH_SECONDS:
        return state
    try:
        with current_app.connection_for_write(transport_options={"max_retries": 0}) as link:
            link.ensure_connection(max_retries=1, timeout=0.5)
        state = "ok"
    except (BrokerError, RedisError, OSError):
        state = "not reachable"
    _broker = (time.monotonic(), state)
    return state


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text. With METRICS_TOKEN set, only for those who send it as a bearer token."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
            return HttpResponse("Send the metrics token as a bearer token.\n", status=401, content_type="text/plain")
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)
