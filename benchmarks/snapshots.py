"""Two snapshots of 100,000 entities, their difference, and three of them put back.

    python -m benchmarks.snapshots

A source in a process of its own answers over HTTP, with 300-byte documents. Target: the whole process, Django and all,
stays under 300 MB while it takes two snapshots, compares them and restores; the restore changes exactly three.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks.private import ROOT, machine, private_portal, set_up_django

MOST_MEGABYTES = 300


def chosen_of(size: int) -> tuple[str, ...]:
    """One near the beginning, one in the middle, one near the end."""
    return tuple(f"player-{number:07}" for number in (17, size // 2, size - 10))


def player(number: int, *, gold: int) -> dict[str, Any]:
    """About 300 bytes of JSON."""
    return {
        "name": f"Player {number}",
        "level": number % 60,
        "gold": gold,
        "guild": f"guild-{number % 400}",
        "position": {"world": "emberfall", "x": number % 1000, "y": number // 1000},
        "inventory": [{"item": f"item-{number % 97}", "count": number % 5 + 1}, {"item": "torch", "count": 3}],
        "settings": {"language": "en", "chat": True, "invites": number % 2 == 0},
    }


def serve(size: int) -> None:
    """The source: every hundredth player gains gold between the two snapshots, when it is told to."""
    rows: dict[str, dict[str, Any]] = {
        f"player-{number:07}": {"version": 1, "document": player(number, gold=number)} for number in range(size)
    }
    keys, chosen = sorted(rows), chosen_of(size)
    places = {key: place for place, key in enumerate(keys)}
    puts: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
            """Quiet."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/entities":
                asked = parse_qs(parts.query, keep_blank_values=True)
                begin = places[asked["after"][0]] + 1 if asked["after"][0] else 0
                page = keys[begin : begin + int(asked["limit"][0])]
                self.send(200, b"\n".join(json.dumps({"id": key, **rows[key]}).encode() for key in page))
            elif parts.path == "/puts":
                self.send(200, json.dumps(puts).encode())
            else:
                row = rows.get(unquote(parts.path.removeprefix("/entities/")))
                self.send(200 if row else 404, json.dumps(row or {}).encode())

        def do_POST(self) -> None:
            for number, key in enumerate(keys):
                if number % 100 == 17 or key in chosen:
                    old = rows[key]
                    rows[key] = {"version": 2, "document": {**old["document"], "gold": 1_000_000 + number}}
            self.send(200, b"{}")

        def do_PUT(self) -> None:
            key = unquote(self.path.removeprefix("/entities/"))
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            puts.append(key)
            if body["version"] != rows[key]["version"]:
                self.send(409, b"{}")
                return
            rows[key] = {"version": body["version"] + 1, "document": body["document"]}
            self.send(200, b"{}")

        def send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("X-Total-Count", str(len(keys)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def peak_megabytes() -> float:
    """The most memory that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Do it and say how long it took and how much memory there has been so far."""
    begun = time.perf_counter()
    found = work()
    print(f"{what:<34} {time.perf_counter() - begun:6.1f} s   peak so far {peak_megabytes():5.0f} MB", flush=True)
    return found


def worked(job: Any) -> Any:
    """The job after slices of work, with its progress."""
    from apps.state.entities import operations

    told = []
    while operations.advance(type(job), job.pk):
        job.refresh_from_db()
        told.append(f"{job.percent if job.percent is not None else '?'} %")
    print(f"  progress: {', '.join(told[-12:])}")
    assert job.state in {"done", "ready"}, job.error
    return job


def measure(url: str, size: int) -> bool:
    """The whole story in this process; whether the targets are met."""
    from urllib.request import Request, urlopen

    from apps.catalog.models import Service, Team
    from apps.foundation.actor import Actor
    from apps.state.entities import operations
    from apps.state.entities.comparing import Filter, look
    from apps.state.entities.models import SnapshotChunk
    from apps.state.entities.packing import problems_of

    actor, chosen = Actor.system("benchmark"), chosen_of(size)
    team = Team.objects.create(slug="core", name="Core", time_zone="UTC")
    service = Service.objects.create(slug="game", name="Game", owner=team)
    source = operations.create_source(
        slug="players", name="Players", kind="player", base_url=url, service_id=service.pk, actor=actor
    )
    print(f"Django and nothing else: {peak_megabytes():.0f} MB")
    first = timed("first snapshot", lambda: worked(operations.take_snapshot(source.pk, actor=actor)))
    urlopen(Request(f"{url}/change", data=b"", method="POST"), timeout=60).close()
    second = timed("second snapshot", lambda: worked(operations.take_snapshot(source.pk, actor=actor)))
    sound = timed("verifying one", lambda: not problems_of(second))
    diff = timed("comparing them", lambda: worked(operations.compare(first.pk, second.pk, actor=actor)))
    found = timed("a filter: gold moved by over 500,000", lambda: look(diff, Filter(path="gold", delta=500_000.0)))
    dry_run = timed("dry run of 3", lambda: worked(operations.plan_restore(first.pk, chosen, actor=actor)))
    clean = json.load(urlopen(f"{url}/puts", timeout=60)) == []
    operations.confirm_restore(dry_run.pk, expected_checksum=dry_run.checksum, reason="dupes", actor=actor)
    done = timed("restore of 3", lambda: worked(dry_run))
    puts = json.load(urlopen(f"{url}/puts", timeout=60))
    third = timed("third snapshot", lambda: worked(operations.take_snapshot(source.pk, actor=actor)))
    proof = timed("what the restore changed", lambda: worked(operations.compare(second.pk, third.pk, actor=actor)))
    changed = [entry["id"] for entry in look(proof, Filter()).entries]
    stored = sum(SnapshotChunk.objects.filter(snapshot=second).values_list("entity_count", flat=True))
    peak = peak_megabytes()
    good = {
        f"{stored} entities in a snapshot, {second.raw_bytes / 1e6:.1f} MB as "
        f"{second.stored_bytes / 1e6:.1f} MB; it verifies": stored == size and sound,
        f"{diff.changed_count} differ, and a filter finds {found.total}": diff.entity_count == found.total > 3,
        f"the dry run wrote nothing, the restore {len(puts)}": clean and puts == list(chosen),
        f"exactly {len(changed)} changed: {', '.join(changed)}": changed == list(chosen) and done.restored_count == 3,
        f"peak {peak:.0f} MB (target {MOST_MEGABYTES})": peak <= MOST_MEGABYTES,
    }
    for line, is_good in good.items():
        print(f"{'ok  ' if is_good else 'MISS'} {line}")
    return all(good.values())


def main() -> int:
    """Measure, print; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--serve", action="store_true", help="be the source")
    options = parser.parse_args()
    if options.serve:
        serve(options.count)
    print(machine())
    command = [sys.executable, "-m", "benchmarks.snapshots", "--serve", "--count", str(options.count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as source:
        try:
            assert source.stdout is not None
            port = int(source.stdout.readline())
            with private_portal("snapshots", EGRESS_ALLOW=f"127.0.0.1:{port}"):
                set_up_django()
                good = measure(f"http://127.0.0.1:{port}", options.count)
                from django.db import connections

                connections.close_all()
        finally:
            source.terminate()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
