"""Client libraries with sockets of their own, kept from private addresses.

A library that opens its connections itself can't be given our checked transport. Python tells every connect to its
audit hooks, with the very address, before it happens; refusing there also holds for redirects and for names that
change between the look-up and the connection.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from apps.foundation.egress.addresses import is_public, literal_address
from apps.messaging.providers.http import may_reach

_guarded: ContextVar[bool] = ContextVar("guarded_connections", default=False)
_EVENTS = frozenset({"socket.connect", "socket.sendto"})
_REFUSED = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"})


class RefusedConnection(OSError):
    """A private address, or something that is no network at all."""


@cache
def _install() -> None:
    """Audit hooks stay for the life of the process, hence one, and only where something is guarded."""
    sys.addaudithook(_look)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _EVENTS and _guarded.get():
        _check(arguments[1])
    elif event in _REFUSED and _guarded.get():
        raise RefusedConnection("A message runs no program.")


def _check(where: Any) -> None:
    if not isinstance(where, tuple) or len(where) < 2:  # noqa: PLR2004  # host and port
        raise RefusedConnection("Messages go over the network only.")
    host, port = str(where[0]), int(where[1])
    address = literal_address(host)
    # Names are looked up by sockets of the resolver's, outside Python; what arrives here is an address.
    if address is None or not (is_public(address) or may_reach(host, port, address)):
        raise RefusedConnection(f"{host} is a private address; messages go to public addresses only.")


@contextmanager
def guarded_connections() -> Iterator[None]:
    """Let this thread connect to public addresses only, and to private ones that the settings allow."""
    _install()
    token = _guarded.set(True)
    try:
        yield
    finally:
        _guarded.reset(token)
