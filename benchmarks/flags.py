"""Single flag evaluations over OFREP: one web process, a token on each request, fifty flags.

    python -m benchmarks.flags                     the promised figure, and how far it goes
    python -m benchmarks.flags --interface wsgi    the same under WSGI

Every rate is offered by schedule, and latency counts from the scheduled instant.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.intake import SERVERS, web
from benchmarks.open_loop import offer
from benchmarks.private import machine, private_portal, set_up_django

FLAGS = 50
PROMISED_PER_SECOND = 3000
CONNECTIONS = 32
CONTEXT = b'{"context":{"targetingKey":"user-4711","plan":"pro","region":"eu-central","version":"1.14.2"}}'


def prepare() -> list[bytes]:
    """Fifty flags and a token in the private database; one whole request for each flag."""
    from apps.catalog.models import Environment, Team
    from apps.flags.operations import create_flag, disable, kill
    from apps.foundation.actor import Actor
    from apps.people.models import User
    from apps.people.operations import create_token, portal_user, sync_groups

    sync_groups()
    portal_user()
    actor = Actor.system()
    environment = Environment.objects.create(slug="production", name="Production")
    owner = Team.objects.create(slug="bench", name="Bench")
    for number in range(FLAGS):
        flag = create_flag(
            f"bench.flag-{number}",
            environment_id=environment.pk,
            owner_id=owner.pk,
            name=f"Flag {number}",
            blast_radius="none",
            rollback_expectation="none",
            actor=actor,
        )
        if number % 10 == 1:
            kill(flag.pk, reason="bench", actor=actor)
        elif number % 10 == 2:
            disable(flag.pk, reason="bench", actor=actor)
    holder = User.objects.create(username="bench", kind=User.Kind.SERVICE)
    token = create_token(holder.pk, "bench", ["flags:read"], actor=actor)[1]
    return [
        f"POST /ofrep/v1/evaluate/flags/bench.flag-{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(CONTEXT)}\r\n\r\n".encode()
        + CONTEXT
        for number in range(FLAGS)
    ]


def measure(
    address: tuple[str, int], requests: Sequence[bytes], rate: float, seconds: float, *, promised: bool
) -> bool:
    """Offer a rate, the flags in turn, and print its line; whether all of it was answered, with 200, at that rate."""
    load = offer(address, lambda number: requests[number % FLAGS], rate=rate, seconds=seconds, connections=CONNECTIONS)
    good = set(load.statuses) == {200} and load.done_per_second >= 0.98 * rate
    mark = "    " if not promised else ("ok  " if good else "MISS")
    print(
        f"{mark} offered {rate:6.0f}/s  done {load.done_per_second:6.0f}/s  p50 {load.percentile(0.5):6.2f} ms  "
        f"p95 {load.percentile(0.95):6.2f} ms  p99 {load.percentile(0.99):6.2f} ms  "
        f"{dict(load.statuses)} on {CONNECTIONS} connections",
        flush=True,
    )
    return good


def main() -> int:
    """Print the figures; 1 when the promise is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interface", choices=sorted(SERVERS), default="asgi")
    parser.add_argument("--seconds", type=float, default=10, help="how long each figure is measured")
    given = parser.parse_args()
    print(machine())
    with private_portal("flags"):
        set_up_django()
        requests = prepare()
        with web(given.interface, 1) as address:
            print(f"{FLAGS} flags, one {given.interface} process, a token on each request")
            measure(address, requests, 500, 2, promised=False)
            good = measure(address, requests, PROMISED_PER_SECOND, given.seconds, promised=True)
            for rate in (1000, 2000, 4000, 5000, 6000):
                measure(address, requests, rate, given.seconds / 2, promised=False)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
