"""Bodies as servers hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest

from apps.foundation.bodies import BrokenBody, TooLongBody, read_asgi, read_wsgi


class _Drops(BytesIO):
    """A server that gives less than it is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 2))


def _asgi(*chunks: bytes, ends: bool = True, most: int = 5) -> bytes:
    left = len(chunks)
    messages: list[dict[str, Any]] = []
    for chunk in chunks:
        left -= 1
        messages.append({"type": "http.request", "body": chunk, "more_body": bool(left) or not ends})
    coming: Iterator[dict[str, Any]] = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(coming)

    return asyncio.run(read_asgi(receive, most))


def _wsgi(body: bytes, length: str = "", most: int = 5) -> bytes:
    return read_wsgi({"CONTENT_LENGTH": length, "wsgi.input": _Drops(body)}, most)


def test_a_body_is_read_whole_in_whatever_pieces_it_comes() -> None:
    assert (_asgi(b"12345"), _asgi(b"12", b"", b"345"), _asgi(b"")) == (b"12345", b"12345", b"")
    assert (_wsgi(b"12345", "5"), _wsgi(b"12345"), _wsgi(b"", "0")) == (b"12345", b"12345", b"")


def test_a_body_over_the_limit_is_not_read_to_its_end() -> None:
    for read in (lambda: _asgi(b"123", b"456"), lambda: _wsgi(b"123456"), lambda: _wsgi(b"123456", "6")):
        with pytest.raises(TooLongBody):
            read()


def test_a_body_that_ends_early_is_broken() -> None:
    with pytest.raises(BrokenBody, match="before it was complete"):
        _asgi(b"123", ends=False)
    with pytest.raises(BrokenBody, match="after 3 bytes, but Content-Length says 5"):
        _wsgi(b"123", "5")
