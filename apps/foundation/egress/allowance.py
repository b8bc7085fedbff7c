"""Which private hosts may be reached all the same: the entries of `EGRESS_ALLOW`.

Read by the settings before any app is there, so this imports nothing of Django.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_ENTRY = re.compile(r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<plain>[^:\s]+))(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Allowance:
    """A name or a network, at one port or at all (None)."""

    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int, address: IPv4Address | IPv6Address) -> bool:
        """Whether `host`, which was looked up as `address`, may be reached at `port` by this entry."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        return bool(self.name) and host.lower().rstrip(".") == self.name


def parse(text: str) -> Allowance:
    """One entry: a name or an address with or without a port, or a network such as 10.0.0.0/8. ValueError otherwise."""
    written = text.strip().lower()
    if "/" in written:
        return Allowance(network=ip_network(written))
    try:
        return Allowance(network=ip_network(ip_address(written)))
    except ValueError:
        pass
    found = _ENTRY.fullmatch(written)
    if found is None:
        raise ValueError(f"{text!r} is no host, host:port or network.")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 0 < port <= _LARGEST_PORT:
        raise ValueError(f"{port} is no port.")
    return _of_host(found["bracketed"] or found["plain"], port, is_bracketed=found["bracketed"] is not None)


def _of_host(host: str, port: int | None, *, is_bracketed: bool) -> Allowance:
    try:
        return Allowance(network=ip_network(ip_address(host)), port=port)
    except ValueError:
        # What is all digits and dots, or in brackets, was meant to be an address.
        if is_bracketed or not host.strip("0123456789.") or not _NAME.fullmatch(host):
            raise ValueError(f"{host!r} is neither a host name nor an address.") from None
    return Allowance(name=host.rstrip("."), port=port)


@lru_cache(maxsize=64)
def _parsed(entries: tuple[str, ...]) -> tuple[Allowance, ...]:
    return tuple(parse(entry) for entry in entries)


def is_allowed(entries: Iterable[str], host: str, port: int, address: IPv4Address | IPv6Address) -> bool:
    """Whether one of these entries lets `host` be reached at `port`, although its `address` is private."""
    return any(entry.covers(host, port, address) for entry in _parsed(tuple(entries)))
