"""The body of a request as ASGI and WSGI servers hand it over, with no more in memory than a limit allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class TooLongBody(Exception):
    """There is more than the limit; what is beyond it was not read."""


class BrokenBody(Exception):
    """It ended early. The message says so in a sentence."""


async def read_asgi(receive: Receive, most: int) -> bytes:
    """The whole body of at most `most` bytes. Raises TooLongBody, BrokenBody."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Gone, or its chunks are malformed: granian says the same of both, so there may be somebody to tell.
            raise BrokenBody("The body ended before it was complete.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise TooLongBody
        if not message.get("more_body", False):
            return b"".join([*chunks, chunk]) if chunks else chunk
        chunks.append(chunk)


def read_wsgi(environ: dict[str, Any], most: int) -> bytes:
    """The same. A WSGI server may give less than asked for, so it is read until its length or its end."""
    length = environ.get("CONTENT_LENGTH")
    wanted = int(length) if length else most + 1
    chunks: list[bytes] = []
    while wanted > 0:
        chunk = environ["wsgi.input"].read(wanted)
        if not chunk:
            break
        chunks.append(chunk)
        wanted -= len(chunk)
    body = b"".join(chunks)
    if length and len(body) < int(length):
        raise BrokenBody(f"The body ended after {len(body)} bytes, but Content-Length says {length}.")
    if len(body) > most:
        raise TooLongBody
    return body
