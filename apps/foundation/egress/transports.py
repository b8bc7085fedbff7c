"""httpx on a pool that connects to checked addresses only."""

from __future__ import annotations

import ssl
from functools import cache

import httpcore
import httpx

from apps.foundation.egress.addresses import CheckedBackend, Rule


@cache
def _context() -> ssl.SSLContext:
    """One for all clients of a process: reading the authorities' certificates takes longer than a request."""
    return httpx.create_ssl_context(trust_env=False)


class CheckedTransport(httpx.HTTPTransport):
    """httpx's transport, whose connections `allowed` and the check of addresses let pass.

    With `keep_alive_seconds` 0 every request has a connection of its own: one that died meanwhile can't leave it
    unclear whether a request arrived.
    """

    def __init__(self, allowed: Rule, *, most_connections: int, keep_alive_seconds: float) -> None:
        super().__init__(verify=_context(), trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=_context(),
            max_connections=most_connections,
            max_keepalive_connections=most_connections if keep_alive_seconds else 0,
            keepalive_expiry=keep_alive_seconds,
            network_backend=CheckedBackend(allowed),
        )


def checked_client(allowed: Rule, *, most_connections: int, keep_alive_seconds: float) -> httpx.Client:
    """A client that follows no redirects, asks for no compression and takes no proxy from the environment."""
    return httpx.Client(
        transport=CheckedTransport(allowed, most_connections=most_connections, keep_alive_seconds=keep_alive_seconds),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "incident-portal", "Accept-Encoding": "identity"},
    )
