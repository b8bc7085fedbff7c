"""Find PostgreSQL and Redis: named by the environment, on their default ports, or started privately."""

from __future__ import annotations

import contextlib
import getpass
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
# Two checkouts on one machine must not share a test database.
DATABASE = f"portal_{zlib.crc32(str(ROOT).encode()):08x}"
START_SECONDS = 30


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_answers(url: str) -> bool:
    """Whether a server answers there and lets us make databases."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "select rolcreatedb or rolsuper from pg_roles where rolname = current_user"
            ).fetchone()
            return bool(row and row[0])
    except psycopg.Error:
        return False


def redis_answers(port: int) -> bool:
    """Whether a Redis without a password answers on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _postgres_program(name: str) -> str | None:
    found = shutil.which(name)
    if found:
        return found
    places = ["/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin"]
    return next((path for place in places for path in sorted(glob.glob(f"{place}/{name}"), reverse=True)), None)


def _account() -> str | None:
    """PostgreSQL refuses to run as root: the account that runs it then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


class PrivatePostgres:
    """A server of our own in a temporary folder, which its holder may stop and start again."""

    def __init__(self, folder: str, initdb: str, pg_ctl: str) -> None:
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}"
        self._folder, self._data = folder, f"{folder}/data"
        self._initdb, self._pg_ctl = initdb, pg_ctl
        self._account = _account()
        if self._account:
            shutil.chown(folder, self._account)

    def make(self) -> bool:
        """Make its files and start it."""
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
        return self._run(self._initdb, "-D", self._data, *options) and self.start()

    def start(self) -> bool:
        """Start it and wait until it answers."""
        settings = "-c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        options = f"-p {self.port} -k {self._folder} {settings}"
        return self._run(self._pg_ctl, "-D", self._data, "-w", "-t", str(START_SECONDS), "-o", options, "start")

    def stop(self, mode: str) -> None:
        """`fast` breaks every connection and writes all down; `immediate` is a crash."""
        self._run(self._pg_ctl, "-D", self._data, "-w", "-m", mode, "stop")

    def _run(self, *command: str) -> bool:
        done = subprocess.run(
            command,
            check=False,
            user=self._account,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return done.returncode == 0


@contextlib.contextmanager
def restartable_postgres() -> Iterator[PrivatePostgres | None]:
    """A server of our own, gone afterwards; None where there are no programs for it."""
    initdb, pg_ctl = _postgres_program("initdb"), _postgres_program("pg_ctl")
    if not initdb or not pg_ctl:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="portal-postgres-")
    server = PrivatePostgres(folder, initdb, pg_ctl)
    try:
        yield server if server.make() else None
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def private_postgres() -> Iterator[str | None]:
    """The same, of which only the address is needed."""
    with restartable_postgres() as server:
        yield server.url if server else None


@contextlib.contextmanager
def private_redis() -> Iterator[str | None]:
    """A Redis of our own that keeps nothing; None where it is not installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if not program:
        yield None
        return
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory(prefix="portal-redis-") as folder:
        server = subprocess.Popen(
            [program, *options, "--dir", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield f"redis://127.0.0.1:{port}/0" if _wait(port, server) else None
        finally:
            server.terminate()
            server.wait(timeout=10)


def _wait(port: int, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        if redis_answers(port):
            return True
        time.sleep(0.05)
    return False


def _running_postgres() -> str | None:
    for user in dict.fromkeys(["postgres", getpass.getuser()]):
        if postgres_answers(f"postgres://{user}@127.0.0.1:5432/postgres"):
            return f"postgres://{user}@127.0.0.1:5432"
    return None


@contextlib.contextmanager
def found_services() -> Iterator[dict[str, str]]:
    """The variables DATABASE_URL (for rigs BENCH_POSTGRES) and REDIS_URL for a child; what can't be had is left out.

    A value already in the environment stands, also an SQLite one.
    """
    with contextlib.ExitStack() as stack:
        found: dict[str, str] = {}
        if not os.environ.get("DATABASE_URL"):
            server = _running_postgres() or stack.enter_context(private_postgres())
            if server:
                found["DATABASE_URL"] = f"{server}/{DATABASE}"
                found["BENCH_POSTGRES"] = os.environ.get("BENCH_POSTGRES") or server
        if "REDIS_URL" not in os.environ:
            url = "redis://127.0.0.1:6379/9" if redis_answers(6379) else stack.enter_context(private_redis())
            if url:
                found["REDIS_URL"] = url
        yield found
