"""A lean closed-loop HTTP load generator: each connection sends its next request when it has the answer to the last.

It says how much a server can do, and how long each answer takes at that; what a given rate costs is `open_loop`'s
question.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable

from benchmarks.open_loop import Load, Wire


def saturate(
    address: tuple[str, int], request: Callable[[int], bytes], *, seconds: float, connections: int = 4
) -> Load:
    """As many requests as get answered in `seconds`, on so many connections; `request(n)` is the whole n-th one."""
    load = Load(0.0, seconds, connections=connections)
    selector = selectors.EpollSelector()
    wires = [Wire(address) for _ in range(connections)]
    sent = 0
    start = time.perf_counter()
    end = start + seconds
    for wire in wires:
        selector.register(wire.sock, selectors.EVENT_READ, wire)
        wire.send(request(sent), time.perf_counter())
        sent += 1
    busy = connections
    while busy:
        for key, _ in selector.select(5.0):
            wire = key.data
            status = wire.answered()
            if status is None:
                continue
            at = time.perf_counter()
            load.statuses[status] += 1
            load.latencies.append((at - wire.due) * 1000)
            if at < end:
                wire.send(request(sent), at)
                sent += 1
            else:
                busy -= 1
    load.took_seconds = time.perf_counter() - start
    for wire in wires:
        wire.sock.close()
    return load
