"""Writing many locked rows back with one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connections, models, router, transaction

_AT_ONCE = 300


def write_back(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Write these fields of rows that the caller has locked; one statement for each 300. A repeat changes nothing.

    `UPDATE … FROM (VALUES …)`: `bulk_update` builds a CASE for each column and row, and an upsert carries every column
    of the table, several times slower both. No signal is sent and nothing goes into history; a row that is gone stays
    gone. Raises what the database raises, and then nothing is written.
    """
    if not rows:
        return
    model = type(rows[0])
    connection = connections[router.db_for_write(model)]
    written = [model._meta.get_field(name) for name in fields]
    with transaction.atomic(using=connection.alias, savepoint=False):
        for start in range(0, len(rows), _AT_ONCE):
            sql, values = _statement(connection, model._meta, written, rows[start : start + _AT_ONCE])
            with connection.cursor() as cursor:
                cursor.execute(sql, values)


def _statement(
    connection: Any, meta: Any, written: Sequence[Any], rows: Sequence[models.Model]
) -> tuple[str, list[Any]]:
    columns = [meta.pk, *written]
    quoted = connection.ops.quote_name
    given = [_typed(connection, column, f"given.column{place}") for place, column in enumerate(columns, 1)]
    sets = ", ".join(f"{quoted(column.column)} = {value}" for column, value in zip(written, given[1:], strict=True))
    row = f"({', '.join(['%s'] * len(columns))})"
    sql = (
        f"UPDATE {quoted(meta.db_table)} SET {sets} "  # noqa: S608  # names of our own models, values as parameters
        f"FROM (VALUES {', '.join([row] * len(rows))}) AS given "
        f"WHERE {quoted(meta.db_table)}.{quoted(meta.pk.column)} = {given[0]}"
    )
    values = [column.get_db_prep_save(getattr(item, column.attname), connection) for item in rows for column in columns]
    return sql, values


def _typed(connection: Any, column: Any, value: str) -> str:
    """A column of nothing but NULL is text to PostgreSQL. Text is not cast, which would cut off what is too long."""
    if connection.vendor != "postgresql" or isinstance(column, (models.CharField, models.TextField)):
        return value
    return f"CAST({value} AS {column.rel_db_type(connection) if column.is_relation else column.db_type(connection)})"
