"""The two statements of intake, on PostgreSQL and on SQLite, through the calling thread's own Django connection."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, cast

from django.conf import settings
from django.db import connections, transaction

from apps.alerts.intake.core import Known
from apps.alerts.intake.meter import Counted
from apps.alerts.models import IntakeMinute, Integration, Receipt

STATEMENT_SECONDS = 5


class Row(NamedTuple):
    integration_id: int
    body: bytes
    received_at: datetime
    form: str = ""


_KNOWN = (
    "key_digest", "previous_key_digest", "previous_key_until", "id", "kind", "state", "rate_per_minute", "mapping"
)  # fmt: skip
_COUNT = (
    f"INSERT INTO {IntakeMinute._meta.db_table} AS known "  # noqa: S608  # Django's own table name
    "(integration_id, minute, taken_count, refused_count, is_told) VALUES (%s, %s, %s, %s, false) "
    "ON CONFLICT (integration_id, minute) DO UPDATE SET taken_count = known.taken_count + excluded.taken_count, "
    "refused_count = known.refused_count + excluded.refused_count RETURNING taken_count"
)


class Storage(Protocol):
    """Where receipts go. Every method may raise `django.db.Error`."""

    def insert(self, rows: Sequence[Row]) -> list[int]:
        """Commit all rows or none; returns their ids in order."""

    def load_keys(self) -> dict[str, Known]:
        """All integrations by the digest of their key, and for a while also by that of the key before it."""

    def count(self, counts: Sequence[Counted]) -> list[tuple[int, int, int]]:
        """Add to the counts of minutes; returns (integration, minute, taken) as they are then, over all processes."""

    def drop(self) -> None:
        """Forget the connection; the next call makes a new one."""


class _DjangoStorage:
    """What both databases have in common."""

    alias = "default"

    def load_keys(self) -> dict[str, Known]:
        rows = Integration.objects.using(self.alias).order_by().values_list(*_KNOWN)
        found: dict[str, Known] = {}
        for digest, before, until, pk, kind, state, limit, mapping in rows:
            known = Known(pk, kind, state, settings.INTAKE_RATE_PER_MINUTE if limit is None else limit, mapping)
            found[digest] = known
            if before:
                found.setdefault(before, known._replace(until=until.timestamp()))
        return found

    def count(self, counts: Sequence[Counted]) -> list[tuple[int, int, int]]:
        wrapper = connections[self.alias]
        totals = []
        with transaction.atomic(using=self.alias), wrapper.cursor() as cursor:
            for item in counts:
                minute = datetime.fromtimestamp(item.minute * 60, UTC)
                at = wrapper.ops.adapt_datetimefield_value(minute)
                cursor.execute(_COUNT, (item.integration_id, at, item.taken, item.refused))
                totals.append((item.integration_id, item.minute, int(cursor.fetchone()[0])))
        return totals

    def drop(self) -> None:
        connections[self.alias].close()


class PostgresStorage(_DjangoStorage):
    """One prepared statement takes a batch of any size as three arrays: one round trip, which is also the commit."""

    def __init__(self) -> None:
        self._raw: Any = None
        self._cursor: Any = None
        table = Receipt._meta.db_table
        self._sql = (
            f"INSERT INTO {table} (integration_id, body, state, received_at, form, error) "  # noqa: S608  # Django's own table name
            "SELECT i, b, 'new', t, f, '' "
            "FROM unnest(%b::bigint[], %b::bytea[], %b::timestamptz[], %b::text[]) AS given(i, b, t, f) "
            "RETURNING id"
        )

    def insert(self, rows: Sequence[Row]) -> list[int]:
        from psycopg.types.numeric import Int8

        columns = (
            [Int8(row.integration_id) for row in rows],
            [row.body for row in rows],
            [row.received_at for row in rows],
            [row.form for row in rows],
        )
        with connections[self.alias].wrap_database_errors:
            cursor = self._ready_cursor()
            cursor.execute(self._sql, columns, prepare=True)
            return [found[0] for found in cursor.fetchall()]

    def _ready_cursor(self) -> Any:
        from psycopg import Cursor

        wrapper = connections[self.alias]
        wrapper.ensure_connection()
        raw = cast("Any", wrapper.connection)
        if raw is not self._raw:
            raw.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            _give_up_on_silence(raw.fileno())
            self._raw, self._cursor = raw, Cursor(raw)
        return self._cursor


def _give_up_on_silence(fileno: int) -> None:
    """Let the kernel end a connection whose other side does not acknowledge anything any more."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    with socket.socket(fileno=socket.dup(fileno)) as twin:
        if option is not None and twin.family in (socket.AF_INET, socket.AF_INET6):
            twin.setsockopt(socket.IPPROTO_TCP, option, STATEMENT_SECONDS * 1000)


class SqliteStorage(_DjangoStorage):
    """One IMMEDIATE transaction for the batch, with `synchronous=FULL`, so that a 202 outlives a power cut."""

    def __init__(self) -> None:
        self._raw: Any = None
        self._sql = (
            f"INSERT INTO {Receipt._meta.db_table} (integration_id, body, state, received_at, form, error) "  # noqa: S608  # Django's own table name
            "VALUES (?, ?, 'new', ?, ?, '')"
        )

    def insert(self, rows: Sequence[Row]) -> list[int]:
        wrapper = connections[self.alias]
        wrapper.ensure_connection()
        raw = cast("Any", wrapper.connection)
        if raw is not self._raw:
            raw.execute("PRAGMA synchronous=FULL")
            self._raw = raw
        at = wrapper.ops.adapt_datetimefield_value
        with transaction.atomic(using=self.alias), wrapper.wrap_database_errors:
            return [
                raw.execute(self._sql, (row.integration_id, row.body, at(row.received_at), row.form)).lastrowid
                for row in rows
            ]


def storage() -> Storage:
    """The storage for the configured database."""
    return PostgresStorage() if connections["default"].vendor == "postgresql" else SqliteStorage()
