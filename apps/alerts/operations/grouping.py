"""Receipts into alerts, groups, incidents and changes: one bounded round of the sweeper `alerts.group`.

Of one integration one worker at a time groups, under a PostgreSQL advisory lock that ends with the transaction;
different integrations go side by side. A worker that does not get the lock leaves the work to the one that has it,
which looks again after it has let go, so nothing is missed. SQLite has one writer anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Length

from apps.alerts.models import Integration, Receipt
from apps.alerts.operations.acknowledging import acknowledge_at_source
from apps.alerts.operations.applying import apply_alerts
from apps.alerts.operations.changes import apply_changes
from apps.alerts.operations.heartbeats import apply_beats
from apps.alerts.operations.reading import read
from apps.engine.operations import report_fault
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.paging.operations import told_together

logger = logging.getLogger(__name__)

BATCH = 200
BATCH_BYTES = 1024 * 1024
LOCK_CLASS = 0x616C7274  # "alrt": the first half of the advisory lock's key; the second is the integration's id
ERROR_KEPT = 2_000
DEADLOCKS_BORNE = 3
DEADLOCK = "40P01"
LIMIT_EXCEEDED = "54"  # a payload that is too much for PostgreSQL in some way: the payload's fault, though operational


def receipts_due(at: datetime) -> bool:
    """Whether any receipt waits to be grouped."""
    return Receipt.objects.filter(state=Receipt.State.NEW).exists()


def group() -> int:
    """Group one batch of each integration that has new receipts, the longest-waiting first; returns their number.

    Each batch is one transaction. Killed half-way it leaves its receipts new; handled again they change nothing twice.
    """
    oldest = Receipt.objects.filter(integration=OuterRef("pk"), state=Receipt.State.NEW).order_by("id").values("id")
    waiting = Integration.objects.annotate(oldest=Subquery(oldest[:1])).filter(oldest__isnull=False).order_by("oldest")
    return sum(_group_or_repeat(pk) for pk in waiting.values_list("pk", flat=True))


def _group_or_repeat(integration_id: int) -> int:
    """Group a batch; one that PostgreSQL sacrificed to end a deadlock is begun anew, so that no page waits for it."""
    for _ in range(DEADLOCKS_BORNE):
        try:
            return _group_one(integration_id)
        except OperationalError as error:
            if _sqlstate(error) != DEADLOCK:
                raise
            logger.info("Grouping lost a deadlock; it begins anew.")
    return _group_one(integration_id)


def _group_one(integration_id: int) -> int:
    actor = Actor.system("alerts")
    with transaction.atomic(), acting(actor, "alerts grouped"):
        if not _locked(integration_id):
            return 0
        integration = Integration.objects.select_related("team", "service__owner").get(pk=integration_id)
        receipts = _next(integration_id)
        _each_or_all(integration, receipts, actor)
        return len(receipts)


def _locked(integration_id: int) -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, integration_id & 0x7FFFFFFF])
        row = cursor.fetchone()
    return bool(row and row[0])


def _next(integration_id: int) -> list[Receipt]:
    """The oldest new receipts, as many as fit one transaction; one giant receipt goes alone."""
    new = Receipt.objects.filter(integration_id=integration_id, state=Receipt.State.NEW).order_by("id")
    chosen: list[int] = []
    size = 0
    for pk, length in new.annotate(length=Length("body")).values_list("pk", "length")[:BATCH]:
        size += length
        if chosen and size > BATCH_BYTES:
            break
        chosen.append(pk)
    return list(Receipt.objects.filter(pk__in=chosen).order_by("id"))


def _each_or_all(integration: Integration, receipts: Sequence[Receipt], actor: Actor) -> None:
    """Handle all at once; when anything fails, one by one, and set aside only those that fail alone."""
    if not _attempt(integration, receipts, actor):
        return
    for receipt in receipts:
        if error := _attempt(integration, [receipt], actor):
            _set_aside(integration, {receipt.pk: error})


def _attempt(integration: Integration, receipts: Sequence[Receipt], actor: Actor) -> str:
    """Handle receipts in a savepoint; returns what went wrong, or an empty text.

    Trouble with the database itself is nobody's receipt's fault: it ends the round, and the next one tries again.
    """
    try:
        # A batch pages for some incidents and locks the escalations of others after that.
        with transaction.atomic(), told_together():
            _handle(integration, receipts, actor)
    except (OperationalError, InterfaceError) as error:
        if not _sqlstate(error).startswith(LIMIT_EXCEEDED):
            raise
        return f"{type(error).__name__}: {error}"[:ERROR_KEPT]
    except Exception as error:  # whatever a payload provokes, the others go on
        logger.warning("Grouping %s receipts of %s failed.", len(receipts), integration, exc_info=True)
        return f"{type(error).__name__}: {error}"[:ERROR_KEPT]
    return ""


def _sqlstate(error: Exception) -> str:
    """PostgreSQL's code of what went wrong; empty on SQLite and for a lost connection."""
    return str(getattr(error.__cause__, "sqlstate", None) or "")


def _handle(integration: Integration, receipts: Sequence[Receipt], actor: Actor) -> None:
    found = read(integration, receipts)
    if found.beats:
        apply_beats(integration, found)
    if found.sightings or found.rechecked:
        apply_alerts(integration, found.sightings, rechecked=found.rechecked, actor=actor)
    if found.acknowledged:
        acknowledge_at_source(integration, found.acknowledged)
    if found.changes:
        apply_changes(integration, found.changes, actor=actor)
    _set_aside(integration, found.unreadable)
    done = [receipt.pk for receipt in receipts if receipt.pk not in found.unreadable]
    Receipt.objects.filter(pk__in=done).update(state=Receipt.State.DONE, done_at=now(), error="")


def _set_aside(integration: Integration, reasons: dict[int, str]) -> None:
    """Leave receipts for a person, with the reason, and say so: an alert that is not handled may be a missed page."""
    for pk, reason in reasons.items():
        Receipt.objects.filter(pk=pk).update(state=Receipt.State.REJECTED, error=reason[:ERROR_KEPT])
        report_fault(f"alerts.receipt:{integration.pk}", f"{integration.name}: receipt {pk} waits for a person", reason)
