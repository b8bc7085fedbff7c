"""Flags over OFREP: one web process, a token on each request, fifty flags, four connections.

    python -m benchmarks.flags                     the promised figures
    python -m benchmarks.flags --interface asgi    the same under ASGI, which costs more of each request
    python -m benchmarks.flags --seconds 2         briefly

Each connection sends its next request when it has the answer to the last. The flags are of every kind: plain switches,
some of them killed or disabled, rules over a segment, and splits. Every request comes from somebody else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.closed_loop import saturate
from benchmarks.intake import SERVERS, web
from benchmarks.private import machine, private_portal, set_up_django

FLAGS = 50
CONNECTIONS = 4
PEOPLE = 20_000  # more than a process remembers the answers of
P95_MS = 6.0
SINGLE_PER_SECOND, BULK_PER_SECOND, UNCHANGED_PER_SECOND = 3000, 2000, 4000

_SEGMENT = {"when": [{"attribute": "region", "operator": "in", "values": ["eu-central", "eu-west"]}]}
_RULES = {
    "variants": {"new": "new", "old": "old"},
    "off": "old",
    "serve": "old",
    "rules": [
        {
            "name": "recent apps of paying customers at home",
            "when": [
                {"segment": "home"},
                {"attribute": "plan", "operator": "equals", "values": ["pro", "team"]},
                {"attribute": "version", "operator": "version_at_least", "values": ["1.14.0"]},
            ],
            "serve": "new",
        }
    ],
}
_SPLIT = {
    "variants": {"a": 1, "b": 2},
    "off": "a",
    "serve": {"split": [{"variant": "a", "weight": 50}, {"variant": "b", "weight": 50}]},
}
# What every fifth flag is: two switches, two with rules, one split.
_KINDS: list[tuple[str, Any]] = [
    ("boolean", None),
    ("string", _RULES),
    ("boolean", None),
    ("string", _RULES),
    ("integer", _SPLIT),
]


def prepare() -> str:
    """Fifty flags in the private database; a token that may read them."""
    from apps.catalog.models import Environment, Team
    from apps.flags.operations import create_flag, create_segment, disable, kill
    from apps.foundation.actor import Actor
    from apps.people.models import User
    from apps.people.operations import create_token, portal_user, sync_groups

    sync_groups()
    portal_user()
    actor = Actor.system()
    environment = Environment.objects.create(slug="production", name="Production")
    owner = Team.objects.create(slug="bench", name="Bench")
    create_segment("home", name="Home", owner_id=owner.pk, definition=_SEGMENT, actor=actor)
    for number in range(FLAGS):
        kind, definition = _KINDS[number % len(_KINDS)]
        flag = create_flag(
            f"bench.flag-{number}",
            environment_id=environment.pk,
            owner_id=owner.pk,
            name=f"Flag {number}",
            blast_radius="none",
            rollback_expectation="none",
            value_type=kind,
            definition=definition,
            actor=actor,
        )
        if number % 10 == 2:
            kill(flag.pk, reason="bench", actor=actor)
        elif number == 5:
            disable(flag.pk, reason="bench", actor=actor)
    holder = User.objects.create(username="bench", kind=User.Kind.SERVICE)
    return create_token(holder.pk, "bench", ["flags:read"], actor=actor)[1]


def _context(person: int) -> bytes:
    who = {"targetingKey": f"user-{person}", "plan": "pro", "region": "eu-central", "version": "1.14.2"}
    return orjson.dumps({"context": who})


def _request(token: str, path: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"POST /ofrep/v1/evaluate/flags{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def evaluations(seconds: float = 0.3) -> None:
    """Print what an evaluation itself costs, without HTTP: one flag of each kind, and all fifty as bytes."""
    from apps.flags.ofrep import storage

    found = storage.read_snapshot(storage.read_mark()).environment("production")
    assert found is not None
    people = [orjson.loads(_context(person))["context"] for person in range(PEOPLE)]
    cases: list[tuple[str, Callable[[Any], Any]]] = [
        ("a switch", lambda who: found.one("bench.flag-0", who)),
        ("rules over a segment", lambda who: found.one("bench.flag-1", who)),
        ("a split", lambda who: found.one("bench.flag-4", who)),
        (f"all {FLAGS} with their tag", found.all),
    ]
    for name, evaluate in cases:
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for who in people[:500]:
                evaluate(who)
            done += 500
        print(f"     {name}: {(time.perf_counter() - start) / done * 1e6:.2f} µs", flush=True)


def measure(
    what: str,
    address: tuple[str, int],
    request: Callable[[int], bytes],
    *,
    status: int,
    promised: int,
    seconds: float,
) -> bool:
    """Print one line; whether every answer had the status, at the promised rate and within the promised time."""
    load = saturate(address, request, seconds=seconds, connections=CONNECTIONS)
    p95 = load.percentile(0.95)
    good = set(load.statuses) == {status} and load.done_per_second >= promised and p95 <= P95_MS
    print(
        f"{'ok  ' if good else 'MISS'} {what}: {load.done_per_second:6.0f}/s (promised {promised})  "
        f"p50 {load.percentile(0.5):5.2f} ms  p95 {p95:5.2f} ms (promised {P95_MS:g})  "
        f"p99 {load.percentile(0.99):5.2f} ms  {dict(load.statuses)}",
        flush=True,
    )
    return good


def over_http(address: tuple[str, int], token: str, seconds: float) -> bool:
    """The three promised figures; whether all hold."""
    from benchmarks.open_loop import Wire

    singles = [_request(token, f"/bench.flag-{person % FLAGS}", _context(person)) for person in range(PEOPLE)]
    bulks = [_request(token, "", _context(person)) for person in range(PEOPLE)]
    wire = Wire(address)
    wire.sock.settimeout(5)
    wire.send(bulks[0], 0.0)
    while wire.answered() is None:
        pass
    tag = wire.header("etag")
    same = _request(token, "", _context(0), f"If-None-Match: {tag}\r\n")
    saturate(address, lambda number: singles[number % PEOPLE], seconds=1)
    rounds = (
        ("one flag", lambda number: singles[number % PEOPLE], 200, SINGLE_PER_SECOND),
        (f"all {FLAGS}", lambda number: bulks[number % PEOPLE], 200, BULK_PER_SECOND),
        ("nothing new (304)", lambda _: same, 304, UNCHANGED_PER_SECOND),
    )
    found = [
        measure(what, address, request, status=status, promised=promised, seconds=seconds)
        for what, request, status, promised in rounds
    ]
    return all(found)


def main() -> int:
    """Print the figures; 1 when a promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interface", choices=sorted(SERVERS), default="wsgi")
    parser.add_argument("--seconds", type=float, default=10, help="how long each figure is measured")
    given = parser.parse_args()
    print(machine())
    with private_portal("flags"):
        set_up_django()
        token = prepare()
        print("one evaluation in memory")
        evaluations()
        with web(given.interface, 1) as address:
            print(f"over HTTP: one {given.interface} process, a token on each request, {CONNECTIONS} connections")
            good = over_http(address, token, given.seconds)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
