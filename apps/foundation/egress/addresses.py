"""Where calls may go: public addresses, those that a rule lets pass, and to the very address that was checked.

A name is resolved once for a connection, all its addresses are checked, and the connection is made to one of
them, so that a name that changes in between (DNS rebinding) gains nothing. TLS still verifies the name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import httpcore

from apps.foundation.egress.deadlines import DeadlinePassed, within

Address = IPv4Address | IPv6Address
# Whether a host may be reached at a port although this address of it is private.
Rule = Callable[[str, int, Address], bool]
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
# Ways of writing the wildcard or the carrier's own network that `is_global` has judged differently over releases.
_NEVER = (IPv6Network("fec0::/10"), IPv6Network("100::/64"))


class PrivateAddress(Exception):
    """The host is, or resolves to, an address that is not public."""


def _inner(address: IPv6Address) -> Address | None:
    """The IPv4 address that an IPv6 address wraps, if it does."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in (*_NAT64, _COMPATIBLE)):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def is_public(address: Address) -> bool:
    """Whether it is an address of the open internet, also looking into IPv6 addresses that wrap an IPv4 one."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(inner)
        if any(address in network for network in _NEVER):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def literal_address(host: str) -> Address | None:
    """The address that `host` spells, if it is no name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def check_addresses(host: str, port: int, found: Iterable[str], allowed: Rule) -> None:
    """PrivateAddress unless each address of `host` is public, or one that `allowed` lets pass."""
    for text in found:
        address = literal_address(text)
        if address is None or not (is_public(address) or allowed(host, port, address)):
            raise PrivateAddress(f"{host} is the private address {text}")


@cache
def _resolvers(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")


def public_only(host: str, port: int, address: Address) -> bool:
    """The rule without exceptions."""
    return False


def resolve(host: str, port: int, timeout: float | None, *, allowed: Rule = public_only) -> list[str]:
    """All addresses of `host`, checked. Raises httpcore's ConnectError or ConnectTimeout, or PrivateAddress."""
    literal = literal_address(host)
    if literal is not None:
        found = [str(literal)]
    else:
        looking = _resolvers(os.getpid()).submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            found = list(dict.fromkeys(str(entry[4][0]) for entry in looking.result(timeout)))
        except FutureTimeout as error:
            raise httpcore.ConnectTimeout(f"{host} could not be looked up in time.") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} could not be looked up: {error}") from error
    check_addresses(host, port, found, allowed)
    return found


class _TimedStream(httpcore.NetworkStream):
    """A connection on which one attempt can't take longer than its deadline, byte by byte or not."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return self._inner.read(max_bytes, within(timeout))
        except DeadlinePassed as error:
            raise httpcore.ReadTimeout(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._inner.write(buffer, within(timeout))
        except DeadlinePassed as error:
            raise httpcore.WriteTimeout(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            return _TimedStream(self._inner.start_tls(ssl_context, server_hostname, within(timeout)))
        except DeadlinePassed as error:
            raise httpcore.ConnectTimeout(str(error)) from error

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, allowed: Rule = public_only) -> None:
        self._inner = httpcore.SyncBackend()
        self._allowed = allowed

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = resolve(host, port, within(timeout), allowed=self._allowed)
            return _TimedStream(self._first_that_answers(addresses, port, timeout, local_address, socket_options))
        except DeadlinePassed as error:
            raise httpcore.ConnectTimeout(str(error)) from error

    def _first_that_answers(
        self, addresses: list[str], port: int, timeout: float | None, local_address: str | None, options: Any
    ) -> httpcore.NetworkStream:
        for address in addresses[:-1]:
            try:
                return self._inner.connect_tcp(address, port, within(timeout), local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._inner.connect_tcp(addresses[-1], port, within(timeout), local_address, options)
