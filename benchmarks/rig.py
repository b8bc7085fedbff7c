"""The portal as real processes on a database and a Redis of their own, to be measured or killed."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from benchmarks.private import ROOT, SERVER

T = TypeVar("T")
_templates: list[str] = []
INTERFACES = {
    "asgi": ["--interface", "asgi", "--loop", "asyncio", "--no-ws"],
    "wsgi": ["--interface", "wsgi", "--blocking-threads", "4"],
}


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """What `condition` returns once it is true; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return found


def _on_server(statement: str, server: str = SERVER) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(statement)


def begin_with(template: str) -> None:
    """Let every rig of this process copy this migrated and empty database of the benchmarks' server; it is kept."""
    _templates[:] = [template]


class Rig:
    """Use as a context manager; database, Redis, processes and files are gone afterwards.

    `server` is another PostgreSQL than the benchmarks' own, one that a test may restart.
    """

    def __init__(self, name: str, *, server: str = SERVER, **environment: str) -> None:
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.database = f"{name}_{secrets.token_hex(4)}"
        self.redis_port = free_port()
        self.web_port = free_port()
        self.url = f"http://127.0.0.1:{self.web_port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")} | {
            "DATABASE_URL": f"{server}/{self.database}",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "DATA_DIR": str(self.folder / "data"),
            "SECRET_KEY": "a-key-for-the-rig-only-" * 3,
            "PORT": str(self.web_port),
            "PUBLIC_URL": self.url,
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }

    # --- the frame ---

    def __enter__(self) -> Rig:
        self.start_redis()
        if self.server == SERVER:
            _on_server(f'CREATE DATABASE "{self.database}" TEMPLATE "{self._migrated()}"')  # names of our own making
        else:
            _on_server(f'CREATE DATABASE "{self.database}"', self.server)  # the same
            self.run("manage.py", "migrate", "--verbosity", "0")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.stem}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        for name in list(self.processes):
            self.kill(name)
        _on_server(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)', self.server)  # the same
        shutil.rmtree(self.folder, ignore_errors=True)

    def _migrated(self) -> str:
        """The name of a migrated and empty database, made by the first rig of this process for all that follow."""
        if not _templates:
            name = f"template_{secrets.token_hex(4)}"
            atexit.register(_on_server, f'DROP DATABASE IF EXISTS "{name}"')
            _on_server(f'CREATE DATABASE "{name}"')
            self.run("manage.py", "migrate", "--verbosity", "0", DATABASE_URL=f"{SERVER}/{name}")
            _templates.append(name)
        return _templates[0]

    # --- processes ---

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python with these arguments, and more in its environment, to its end; its output."""
        environ = self.environ | environment
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def spawn(self, name: str, *command: str) -> None:
        """Start a process that lives until it is killed."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environ | {"PORTAL_PROCESS": name},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start_redis(self) -> None:
        options = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.spawn("redis", shutil.which("redis-server") or "redis-server", *options, "--dir", str(self.folder))
        wait_until(self._redis_answers, "Redis answers", 10)

    def _redis_answers(self) -> bool:
        try:
            return self.redis_command(b"PING").startswith(b"+PONG")
        except OSError:
            return False

    def redis_command(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=2) as link:
            link.sendall(command + b"\r\n")
            return link.recv(64)

    def start_worker(self, name: str, queues: str) -> None:
        """A Celery worker for these queues, one slot."""
        options = ["-P", "solo", "-l", "WARNING", "--without-gossip", "--without-mingle"]
        celery = [sys.executable, "-m", "celery", "-A", "incidentportal", "worker"]
        self.spawn(name, *celery, *options, "-Q", queues, "-n", f"{name}@{self.database}")

    def start_ticker(self, name: str = "ticker") -> None:
        self.spawn(name, sys.executable, "manage.py", "ticker")

    def start_web(self, processes: int = 1, *, interface: str = "asgi", wait: bool = True) -> None:
        """Granian with these many processes; as `wsgi` it streams nothing, and answers with half the work."""
        address = ["--host", "127.0.0.1", "--port", str(self.web_port), "--workers", str(processes)]
        options = [*INTERFACES[interface], "--workers-kill-timeout", "3"]
        granian = [sys.executable, "-m", "granian", *options, *address]
        self.spawn("web", *granian, f"incidentportal.{interface}:application")
        if wait:
            wait_until(lambda: self.get("/healthz") == 200, "the web process answers", 30)

    def get(self, path: str) -> int:
        """The status of a GET; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def kill(self, name: str) -> None:
        """`kill -9` of a process and its children."""
        process = self.processes.pop(name, None)
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # --- the database ---

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows as dictionaries; the statement is committed."""
        with psycopg.connect(f"{self.server}/{self.database}", row_factory=dict_row) as connection:
            found = connection.execute(sql, values)
            return found.fetchall() if found.description else []

    def value(self, sql: str, *values: Any) -> Any:
        """The first column of the first row."""
        return next(iter(self.query(sql, *values)[0].values()))
