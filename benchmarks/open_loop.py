"""A lean open-loop HTTP load generator.

Requests are due at fixed instants, whatever the server does, and latency counts from the instant at which a request
was due, not from when it could be sent: a server that stalls can't hide it (coordinated omission). One process, one
epoll, keep-alive connections, no HTTP library; it can do several times the rates that it is used for.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """What a run found. Latencies are in milliseconds, from due time to the last byte of the answer."""

    offered_per_second: float
    seconds: float
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    connections: int = 0
    took_seconds: float = 0.0

    @property
    def done_per_second(self) -> float:
        """Answers in the time from the first due instant to the last answer."""
        return len(self.latencies) / self.took_seconds if self.took_seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency below which `share` of all requests stayed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    def line(self) -> str:
        """The run in one line."""
        wrong = {status: count for status, count in self.statuses.items() if status != 202}
        return (
            f"offered {self.offered_per_second:6.0f}/s  done {self.done_per_second:6.0f}/s  "
            f"p50 {self.percentile(0.5):6.1f} ms  p95 {self.percentile(0.95):6.1f} ms  "
            f"p99 {self.percentile(0.99):6.1f} ms  max {self.percentile(1):6.1f} ms  "
            f"{len(self.latencies)} requests on {self.connections} connections"
            + (f"  NOT 202: {wrong}" if wrong else "")
        )


class Wire:
    """One keep-alive connection with at most one request on it."""

    __slots__ = ("due", "got", "head", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(0)
        self.due = 0.0
        self.got = self.head = b""

    def send(self, whole: bytes, due: float) -> None:
        """Send a whole request, which was due at that instant."""
        self.due = due
        self.sock.sendall(whole)

    def answered(self) -> int | None:
        """The status once the whole answer is here; None while it is not."""
        self.got += self.sock.recv(65536)
        if not self.got:
            raise ConnectionError("The server closed a connection.")
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.got[:end].lower()
        mark = head.find(b"content-length:")
        length = int(head[mark + 15 :].split(b"\r", 1)[0]) if mark >= 0 else 0
        if len(self.got) < end + 4 + length:
            return None
        status = int(self.got[9:12])
        self.head, self.got = self.got[:end], b""
        return status

    def header(self, name: str) -> str:
        """A header of the last answer; empty where it had none."""
        for line in self.head.decode("latin-1").split("\r\n"):
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return ""


def drive(
    address: tuple[str, int],
    path: str,
    body: Callable[[int], bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 64,
) -> Load:
    """Post `rate` times a second for `seconds` seconds; the n-th request carries `body(n)`."""
    head = f"POST {path} HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: application/json\r\nContent-Length: ".encode()

    def request(number: int) -> bytes:
        payload = body(number)
        return head + b"%d\r\n\r\n" % len(payload) + payload

    return offer(address, request, rate=rate, seconds=seconds, connections=connections)


def offer(
    address: tuple[str, int],
    request: Callable[[int], bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 64,
) -> Load:
    """Send `rate` requests a second for `seconds` seconds; `request(n)` is the whole n-th one."""
    load = Load(rate, seconds, connections=connections)
    selector = selectors.EpollSelector()
    wires = [Wire(address) for _ in range(connections)]
    for wire in wires:
        selector.register(wire.sock, selectors.EVENT_READ, wire)
    free = deque(wires)
    total, sent, done = int(rate * seconds), 0, 0
    start = time.perf_counter() + 0.05
    while done < total:
        moment = time.perf_counter()
        while free and sent < total and start + sent / rate <= moment:
            wire = free.popleft()
            wire.send(request(sent), start + sent / rate)
            sent += 1
        waiting = start + sent / rate - time.perf_counter() if free and sent < total else 1.0
        for key, _ in selector.select(max(0.0, waiting)):
            wire = key.data
            status = wire.answered()
            if status is not None:
                load.statuses[status] += 1
                load.latencies.append((time.perf_counter() - wire.due) * 1000)
                free.append(wire)
                done += 1
    load.took_seconds = time.perf_counter() - start
    for wire in wires:
        wire.sock.close()
    return load
