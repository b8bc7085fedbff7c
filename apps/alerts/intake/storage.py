"""The two statements of intake, on PostgreSQL and on SQLite, through the calling thread's own Django connection."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, cast

from django.db import connections, transaction

from apps.alerts.intake.core import Known
from apps.alerts.models import Integration, Receipt

STATEMENT_SECONDS = 5


class Row(NamedTuple):
    integration_id: int
    body: bytes
    received_at: datetime


class Storage(Protocol):
    """Where receipts go. Every method may raise `django.db.Error`."""

    def insert(self, rows: Sequence[Row]) -> list[int]:
        """Commit all rows or none; returns their ids in order."""

    def load_keys(self) -> dict[str, Known]:
        """All integrations by the digest of their key."""

    def drop(self) -> None:
        """Forget the connection; the next call makes a new one."""


class _DjangoStorage:
    """What both databases have in common."""

    alias = "default"

    def load_keys(self) -> dict[str, Known]:
        rows = Integration.objects.using(self.alias).order_by().values_list("key_digest", "id", "kind", "state")
        return {digest: Known(pk, kind, state) for digest, pk, kind, state in rows}

    def drop(self) -> None:
        connections[self.alias].close()


class PostgresStorage(_DjangoStorage):
    """One prepared statement takes a batch of any size as three arrays: one round trip, which is also the commit."""

    def __init__(self) -> None:
        self._raw: Any = None
        self._cursor: Any = None
        table = Receipt._meta.db_table
        self._sql = (
            f"INSERT INTO {table} (integration_id, body, state, received_at, error) "  # noqa: S608  # Django's own table name
            "SELECT i, b, 'new', t, '' FROM unnest(%b::bigint[], %b::bytea[], %b::timestamptz[]) AS given(i, b, t) "
            "RETURNING id"
        )

    def insert(self, rows: Sequence[Row]) -> list[int]:
        from psycopg.types.numeric import Int8

        columns = (
            [Int8(row.integration_id) for row in rows],
            [row.body for row in rows],
            [row.received_at for row in rows],
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
            f"INSERT INTO {Receipt._meta.db_table} (integration_id, body, state, received_at, error) "  # noqa: S608  # Django's own table name
            "VALUES (?, ?, 'new', ?, '')"
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
                raw.execute(self._sql, (row.integration_id, row.body, at(row.received_at))).lastrowid for row in rows
            ]


def storage() -> Storage:
    """The storage for the configured database."""
    return PostgresStorage() if connections["default"].vendor == "postgresql" else SqliteStorage()
