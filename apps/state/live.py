"""What is live: read from the source, and written there. Uses the network, hence never inside a transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from apps.foundation.egress import Answer, EgressError, call
from apps.foundation.errors import Conflict, DomainError, Invalid
from apps.foundation.redaction import redact_text
from apps.state.contents import MOST_BYTES, check_content, checksum
from apps.state.models import ConfigDocument, ConfigVersion

TIMEOUT_SECONDS = 10.0
MOST_ANSWERED_BYTES = 2 * MOST_BYTES
_SHOWN_OF_ANSWER = 200
_TOO_LATE = {409, 412}


class LiveUnreachable(DomainError):
    """The source can't be asked, or answers what is no document; `extra["maybe_sent"]` after a doubtful write."""

    code = "source_unreachable"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Canary:
    """A document that the source gives to a share of all, while what is live stays so for the others."""

    percentage: int
    content: Any = field(compare=False)
    checksum: str


@dataclass(frozen=True, slots=True)
class Live:
    """The state that a document has now. `token` is the source's version as the source writes it."""

    content: Any
    source_version: str
    author: str
    checksum: str
    token: int | str = ""
    canary: Canary | None = None

    def is_for_all(self, checksum: str) -> bool:
        """Whether this content is live, and nobody gets another as a canary."""
        return self.checksum == checksum and self.canary is None


def refuse_in_transaction() -> None:
    """RuntimeError inside a transaction other than a test's own: locks must never wait for a network."""
    blocks: list[Any] = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:
        raise RuntimeError("A source is asked outside transactions.")


def read_live(document: ConfigDocument) -> Live:
    """What is live: the head of a document that is held here, else what its source answers.

    Raises LiveUnreachable, saying what to do; Conflict for a document that is held here and empty yet.
    """
    if document.is_held_here:
        return live_of(head_of(document))
    refuse_in_transaction()
    headers = {"Accept": "application/json"}
    answer = _call(document, "GET", headers=headers, body=None)
    if answer.status != 200:  # noqa: PLR2004  # HTTP's OK
        raise LiveUnreachable(
            f"The source of {document.name} answered {answer.status} instead of the document: {_excerpt(answer)}"
        )
    return _understood(document, answer)


def head_of(document: ConfigDocument) -> ConfigVersion:
    """The head of a document. Raises Conflict where there is none yet."""
    if document.head is None:
        raise Conflict(f"{document.name} has no content yet: write its first version.", code="config_empty")
    return document.head


def live_of(version: ConfigVersion) -> Live:
    """A version as what is live."""
    return Live(version.content, version.source_version, version.author_name, version.checksum)


def write_live(
    document: ConfigDocument,
    content: Any,
    *,
    replacing: Live,
    idempotency_key: str,
    author: str,
    note: str,
    percentage: int | None = None,
) -> None:
    """PUT the content at the source if it still has the version `replacing`. The caller reads back what came of it.

    With a `percentage` it goes to that share only; 0 ends a canary. Without, it is live for all and ends a canary.
    Raises Conflict "config_changed" when the source has moved on, else LiveUnreachable; `extra["maybe_sent"]` tells
    whether it may have happened all the same.
    """
    refuse_in_transaction()
    body = {"version": replacing.token, "document": content, "author": author, "note": note}
    if percentage is not None:
        body["percentage"] = percentage
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Idempotency-Key": idempotency_key,
    }
    answer = _call(document, "PUT", headers=headers, body=json.dumps(body).encode())
    if answer.status in _TOO_LATE:
        raise config_changed(document)
    if not 200 <= answer.status < 300:  # noqa: PLR2004  # HTTP's successes
        raise LiveUnreachable(
            f"The source of {document.name} refused the document with {answer.status}: {_excerpt(answer)}",
            code="source_refused",
            extra={"maybe_sent": answer.status >= 500},  # noqa: PLR2004  # HTTP's server errors
        )


def config_changed(document: ConfigDocument) -> Conflict:
    """What is live is not what the caller looked at."""
    return Conflict(
        f"{document.name} was changed in the meantime: look at what is live now, and decide again.",
        code="config_changed",
    )


def _call(document: ConfigDocument, method: str, *, headers: dict[str, str], body: bytes | None) -> Answer:
    try:
        return call(
            method,
            document.source_url,
            headers=headers,
            body=body,
            timeout_seconds=TIMEOUT_SECONDS,
            most_bytes=MOST_ANSWERED_BYTES,
        )
    except EgressError as error:
        raise LiveUnreachable(
            f"The source of {document.name} can't be reached: {redact_text(error.message)} Check that it runs, that "
            "its address is right, and that the portal may reach it (EGRESS_ALLOW).",
            extra={"maybe_sent": error.maybe_sent},
        ) from error


def _understood(document: ConfigDocument, answer: Answer) -> Live:
    try:
        found = answer.json()
    except ValueError as error:
        what = f"more than {MOST_ANSWERED_BYTES // 1024} KiB" if answer.is_cut else "no JSON"
        raise _garbage(document, what) from error
    version = found.get("version") if isinstance(found, dict) else None
    if isinstance(version, bool) or not isinstance(version, int | str) or not 0 < len(str(version)) <= 80:  # noqa: PLR2004  # the column's length
        raise _garbage(document, "no JSON object with `version` and `document`")
    try:
        check_content(found.get("document"))
        check_content({"version": str(version), "author": found.get("author")})
        canary = _canary_of(document, found.get("canary"))
    except Invalid as error:
        raise _garbage(document, f"a document that can't be kept ({error.message})") from error
    author = found.get("author")
    return Live(
        content=found["document"],
        source_version=str(version),
        author=author[:120] if isinstance(author, str) else "",
        checksum=checksum(found["document"]),
        token=version,
        canary=canary,
    )


def _canary_of(document: ConfigDocument, told: Any) -> Canary | None:
    """The canary that a source tells of. Raises Invalid, or LiveUnreachable for one that can't be understood."""
    if told is None:
        return None
    percentage = told.get("percentage") if isinstance(told, dict) else None
    if not isinstance(percentage, int) or isinstance(percentage, bool) or not 1 <= percentage <= 99:  # noqa: PLR2004  # percent
        raise _garbage(document, "a canary without a `percentage` from 1 to 99")
    check_content(told.get("document"))
    return Canary(percentage, told["document"], checksum(told["document"]))


def _garbage(document: ConfigDocument, what: str) -> LiveUnreachable:
    return LiveUnreachable(
        f"The source of {document.name} answered {what}. Check its address: it must answer "
        '{"version": …, "document": {…}}.'
    )


def _excerpt(answer: Answer) -> str:
    """The beginning of an answer for people, without secrets. Its bytes may be anything."""
    text = answer.body[: 4 * _SHOWN_OF_ANSWER].decode("utf-8", "replace").replace("\x00", " ")
    return redact_text(" ".join(text.split()))[:_SHOWN_OF_ANSWER] or "an empty answer"
