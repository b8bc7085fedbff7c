"""Entities at their source, over HTTP: pages of them, one of them, and compare-and-set. Never inside a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from apps.foundation.egress import Answer, EgressError, call
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.redaction import redact_text
from apps.state.contents import MOST_BYTES, check_content, checksum
from apps.state.entities.models import LONGEST_ID, EntitySource
from apps.state.live import LiveUnreachable, refuse_in_transaction

PAGE_SECONDS = 30.0
ONE_SECONDS = 10.0
MOST_PAGE_BYTES = 8 * 1024 * 1024
_MOST_ONE_BYTES = 2 * MOST_BYTES
_SHOWN_OF_ANSWER = 200
_LONGEST_VERSION = 80
_TOO_LATE = {409, 412}
_PASSING = {408, 425, 429}
_OK, _ABSENT, _MULTIPLE_CHOICES, _SERVER_ERROR = 200, 404, 300, 500

Version = int | str | None


class BadAnswer(Invalid):
    """The source answers what breaks the protocol: asking again would not help."""

    code = "source_garbage"
    http_status = 502


class PageTooLong(Invalid):
    """A page is longer than `MOST_PAGE_BYTES`: fewer entities are to be asked for."""

    code = "page_too_long"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity as its source shows it. `version` is None where there is none with this id."""

    id: str
    version: Version
    document: Any

    @property
    def exists(self) -> bool:
        return self.version is not None

    @property
    def checksum(self) -> str:
        """SHA-256 of the document; empty where there is none."""
        return checksum(self.document) if self.exists else ""


@dataclass(frozen=True, slots=True)
class Page:
    """Entities that follow each other; `total` is how many there are in all, where the source tells it."""

    entities: list[Entity]
    total: int | None


def read_page(source: EntitySource, *, after: str, limit: int) -> Page:
    """The entities whose ids come after `after`, ascending by code point; an empty page is the end.

    Raises LiveUnreachable, PageTooLong, and BadAnswer for ids that come twice or unsorted and for what can't be kept.
    """
    query = urlencode({"after": after, "limit": limit})
    headers = {"Accept": "application/x-ndjson, application/json"}
    answer = _call(source, "GET", f"?{query}", headers=headers, seconds=PAGE_SECONDS, most_bytes=MOST_PAGE_BYTES)
    if answer.is_cut:
        raise PageTooLong(
            f"{source.name} answers more than {MOST_PAGE_BYTES // 1024 // 1024} MiB for a page of {limit}: "
            "its pages must be smaller."
        )
    if answer.status != _OK:
        raise LiveUnreachable(f"{source.name} answered {answer.status} instead of a page: {_excerpt(answer)}")
    found, total = _rows(source, answer)
    entities = []
    for row in found:
        entity = _entity(source, row)
        if entity.id <= after:
            raise BadAnswer(_order_problem(source, entity.id, after))
        after = entity.id
        entities.append(entity)
    return Page(entities, total)


def read_one(source: EntitySource, entity_id: str) -> Entity:
    """What is live of one entity; `exists` is false where the source answers 404. LiveUnreachable, BadAnswer."""
    answer = _call(source, "GET", _path(entity_id), headers={"Accept": "application/json"})
    if answer.status == _ABSENT:
        return Entity(entity_id, None, None)
    if answer.status != _OK:
        raise LiveUnreachable(
            f"{source.name} answered {answer.status} instead of {source.kind} {entity_id}: {_excerpt(answer)}"
        )
    try:
        row = answer.json()
    except ValueError as error:
        what = f"more than {_MOST_ONE_BYTES // 1024} KiB" if answer.is_cut else "no JSON"
        raise _garbage(source, f"{what} for {entity_id}") from error
    if isinstance(row, dict):
        row.setdefault("id", entity_id)
    entity = _entity(source, row)
    if entity.id != entity_id:
        raise _garbage(source, f"{entity.id} when asked for {entity_id}")
    return entity


def write_one(
    source: EntitySource,
    entity_id: str,
    document: Any,
    *,
    replacing: Version,
    idempotency_key: str,
    author: str,
    note: str,
) -> None:
    """PUT an entity if it still has the version `replacing` (None: if there is none). The caller reads it back.

    Raises Conflict "entity_changed" when it has moved on, else LiveUnreachable: "source_refused" where asking again
    would not help; `extra["maybe_sent"]` tells whether it may have happened all the same.
    """
    body = {"version": replacing, "document": document, "author": author, "note": note}
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
    }
    answer = _call(source, "PUT", _path(entity_id), headers=headers, body=json.dumps(body).encode())
    if answer.status in _TOO_LATE:
        raise Conflict(f"{entity_id} was changed in the meantime.", code="entity_changed")
    if not _OK <= answer.status < _MULTIPLE_CHOICES:
        passing = answer.status >= _SERVER_ERROR or answer.status in _PASSING
        raise LiveUnreachable(
            f"{source.name} {'answered' if passing else 'refused it with'} {answer.status}: {_excerpt(answer)}",
            code="source_unreachable" if passing else "source_refused",
            extra={"maybe_sent": answer.status >= _SERVER_ERROR},
        )


def check_id(entity_id: str) -> str:
    """The id as it is, or Invalid for one that no source can have."""
    fault = id_fault(entity_id)
    if fault:
        raise Invalid(fault, fields={"ids": [fault]})
    return entity_id


def id_fault(entity_id: Any) -> str:
    """Why this can't be an entity's id; empty when it can."""
    if not isinstance(entity_id, str) or not 0 < len(entity_id) <= LONGEST_ID:
        return f"An id is a text of 1 to {LONGEST_ID} characters."
    if not entity_id.isprintable() or entity_id in (".", ".."):
        return "An id has no control characters, and is not `.` or `..`."
    return ""


# --- the wire -------------------------------------------------------------------------------------------------------


def _path(entity_id: str) -> str:
    return f"/{quote(entity_id, safe='')}"


def _call(
    source: EntitySource,
    method: str,
    rest: str,
    *,
    headers: dict[str, str],
    body: bytes | None = None,
    seconds: float = ONE_SECONDS,
    most_bytes: int = _MOST_ONE_BYTES,
) -> Answer:
    refuse_in_transaction()
    address = f"{source.base_url.rstrip('/')}/entities{rest}"
    try:
        return call(method, address, headers=headers, body=body, timeout_seconds=seconds, most_bytes=most_bytes)
    except EgressError as error:
        raise LiveUnreachable(
            f"{source.name} can't be reached: {redact_text(error.message)} Check that it runs, that its address is "
            "right, and that the portal may reach it (EGRESS_ALLOW).",
            extra={"maybe_sent": error.maybe_sent},
        ) from error


def _rows(source: EntitySource, answer: Answer) -> tuple[Iterator[Any], int | None]:
    """The entries of a page, in either form, and how many there are in all."""
    if "ndjson" in answer.headers.get("content-type", ""):
        told = answer.headers.get("x-total-count", "")
        return _lines(source, answer), int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else None  # noqa: PLR2004  # fits the column
    try:
        body = answer.json()
    except ValueError as error:
        raise _garbage(source, "no JSON") from error
    entities = body.get("entities") if isinstance(body, dict) else None
    if not isinstance(entities, list):
        raise _garbage(source, "no list `entities`")
    total = body.get("total")
    return iter(entities), total if type(total) is int and 0 <= total < 2**31 else None


def _lines(source: EntitySource, answer: Answer) -> Iterator[Any]:
    for number, line in enumerate(answer.body.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _garbage(source, f"no JSON in line {number} of a page") from error


def _entity(source: EntitySource, row: Any) -> Entity:
    if not isinstance(row, dict):
        raise _garbage(source, "an entry that is no object")
    found, version = row.get("id"), row.get("version")
    if fault := id_fault(found):
        raise _garbage(source, f"an entry with the id {str(found)[:60]!r}: {fault}")
    entity_id = str(found)
    if isinstance(version, bool) or not isinstance(version, int | str) or not 0 < len(str(version)) <= _LONGEST_VERSION:
        raise _garbage(source, f"{entity_id} without a version")
    try:
        check_content(row.get("document"))
        check_content({"version": version})
    except Invalid as error:
        raise _garbage(source, f"{entity_id} with a document that can't be kept ({error.message})") from error
    return Entity(entity_id, version, row["document"])


def _order_problem(source: EntitySource, here: str, before: str) -> str:
    if here == before:
        return f"{source.name} names {here} twice. Nothing of this snapshot is kept."
    return (
        f"{source.name} answers {here} after {before}: ids must ascend by code point, as text "
        '(ORDER BY id COLLATE "C"). Nothing of this snapshot is kept.'
    )


def _garbage(source: EntitySource, what: str) -> BadAnswer:
    return BadAnswer(
        f"{source.name} answered {what}. Each entry must be "
        '{"id": "…", "version": …, "document": {…}}; see docs/snapshots.md.'
    )


def _excerpt(answer: Answer) -> str:
    """The beginning of an answer for people, without secrets. Its bytes may be anything."""
    text = answer.body[: 4 * _SHOWN_OF_ANSWER].decode("utf-8", "replace").replace("\x00", " ")
    return redact_text(" ".join(text.split()))[:_SHOWN_OF_ANSWER] or "an empty answer"
