"""Telling once, at the end of a piece of work that pages in several places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from apps.messaging.operations import enqueue_many
from apps.paging.telling import page_messages
from apps.paging.texts import Call


@dataclass(slots=True)
class _Gathered:
    calls: list[Call] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)


_gathered: ContextVar[_Gathered | None] = ContextVar("paging_gathered", default=None)


@contextmanager
def told_together() -> Iterator[None]:
    """Enqueue the messages of all pages that are made inside at the end, in one go; nothing when an error leaves it.

    For a transaction that locks more escalations after it has paged: people's rows are locked after all escalations,
    and once, so that nobody who holds an escalation waits for somebody who waits for it. Stands inside the transaction.
    Inside another one it leaves the telling to that.
    """
    if _gathered.get() is not None:
        yield
        return
    found = _Gathered()
    token = _gathered.set(found)
    try:
        yield
    finally:
        _gathered.reset(token)
    _enqueue(found.calls, found.names)


def tell(calls: Sequence[Call], names: Mapping[int, str]) -> None:
    """Enqueue the messages of new pages now, or at the end of `told_together` where that is around."""
    found = _gathered.get()
    if found is None:
        _enqueue(calls, names)
        return
    found.calls += calls
    found.names |= names


def _enqueue(calls: Sequence[Call], names: Mapping[int, str]) -> None:
    if calls:
        enqueue_many(page_messages(calls, names))
