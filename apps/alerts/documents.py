"""Bytes from outside to a JSON document that is safe to look into and to store."""

from __future__ import annotations

from typing import Any

import orjson

MAX_DEPTH = 32


class BadPayload(Exception):
    """What is wrong with a payload, and where: `path` names the offending field, "" means the body as a whole."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def parse(body: bytes) -> Any:
    """The document in `body`. BadPayload says where it is broken, too deep, or has characters nobody can store.

    Invalid UTF-8 and lone surrogates are refused by the parser itself; the NUL character is valid JSON but can't be
    kept in PostgreSQL's text.
    """
    if not body:
        raise BadPayload("", "The body is empty; a JSON document is expected.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadPayload(
            "", f"The body is not valid JSON: {error.msg}, at line {error.lineno}, column {error.colno}."
        ) from error
    # Counting brackets is far cheaper than walking, and most documents need no walk.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH or b"\\u0000" in body:
        _inspect(document)
    return document


def _inspect(document: Any) -> None:
    """Walk the document level by level, without recursion, for depth and NUL characters."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        below: list[tuple[str, Any]] = []
        for path, value in level:
            if type(value) is dict:
                for key, item in value.items():
                    if "\x00" in key:
                        raise BadPayload(path, "A name holds the NUL character, which can't be stored.")
                    if type(item) in _DEEPER:
                        below.append((f"{path}.{key}" if path else key, item))
            elif type(value) is list:
                below += [(f"{path}[{index}]", item) for index, item in enumerate(value) if type(item) in _DEEPER]
            elif "\x00" in value:
                raise BadPayload(path, "Holds the NUL character, which can't be stored.")
        level = below
    raise BadPayload("", f"The document is nested deeper than {MAX_DEPTH} levels.")


_DEEPER = (dict, list, str)
