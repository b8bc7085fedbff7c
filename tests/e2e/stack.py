"""The whole portal as real processes on PostgreSQL and Redis, with Debian's Prometheus and Alertmanager beside it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from psycopg.rows import dict_row

from tests.conftest import program

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """What `condition` returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)
    return found


def fetch(url: str, method: str = "GET", body: Any = None) -> tuple[int, str]:
    """Status and text; 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Stack:
    """Starts everything on ports and in folders of its own; `close` leaves nothing behind."""

    def __init__(self, folder: Path, smtp_port: int) -> None:
        self.folder = folder
        self.database = f"e2e_{secrets.token_hex(4)}"
        self.ports = {name: free_port() for name in ("web", "world", "prometheus", "alertmanager")}
        self.url = f"http://127.0.0.1:{self.ports['web']}"
        self.world = f"http://127.0.0.1:{self.ports['world']}"
        self._server = {
            name: value
            for name in ("host", "port", "user", "password")
            if (value := settings.DATABASES["default"].get(name.upper()))
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = os.environ | {
            "DATABASE_URL": self._database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "REDIS_PREFIX": f"{self.database}:",
            "DATA_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.ports["web"]),
            "PUBLIC_URL": self.url,
            "WORLD_URL": self.world,
            "EMAIL_URL": f"smtp://127.0.0.1:{smtp_port}",
            "DEMO": "1",
            "DJANGO_SETTINGS_MODULE": "incidentportal.settings",
            "PYTHONUNBUFFERED": "1",
        }
        self.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)

    def _database_url(self) -> str:
        server = self._server
        password = f":{server['password']}" if "password" in server else ""
        account = f"{server.get('user', 'postgres')}{password}"
        return f"postgres://{account}@{server.get('host', '127.0.0.1')}:{server.get('port', 5432)}/{self.database}"

    # --- processes -----------------------------------------------------------------------------------------------

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {arguments[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        self._processes[name] = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environ | {"PORTAL_PROCESS": name},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.close()

    def start_portal(self) -> None:
        """Web, a worker for each kind of queue, the ticker, and the world, which leaves alerting to Alertmanager."""
        python, web = sys.executable, ["-m", "granian", "--interface", "asgi", "--loop", "asyncio", "--no-ws"]
        address = ["--host", "127.0.0.1", "--port", str(self.ports["web"]), "--workers-kill-timeout", "3"]
        self.start("web", python, *web, *address, "incidentportal.asgi:application")
        for queues in ("timers", "messages", "executions,bulk"):
            name = f"worker-{queues.split(',')[0]}"
            worker = ["-m", "celery", "-A", "incidentportal", "worker", "-P", "solo", "-l", "INFO"]
            self.start(name, python, *worker, "-Q", queues, "-n", f"{name}-{self.database}@%h")
        self.start("ticker", python, "manage.py", "ticker")
        world = ["-m", "apps.demo.world", "--no-alerts", "--port", str(self.ports["world"])]
        self.start("world", python, *world, "--data-dir", str(self.folder / "data"), "--portal", self.url)
        wait_until(lambda: fetch(f"{self.url}/readyz")[0] == 200, "the portal is ready", 60)
        wait_until(lambda: fetch(f"{self.world}/health")[0] == 200, "the world answers")

    def start_monitoring(self, intake_url: str) -> None:
        """Prometheus scrapes the world each second; Alertmanager posts to the portal."""
        (self.folder / "rules.yml").write_text(
            fetch(f"{self.world}/prometheus-rules.yml")[1].replace("for: 10s", "for: 2s")
        )
        (self.folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=intake_url))
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(**self.ports, rules=self.folder / "rules.yml"))
        self.start(
            "alertmanager",
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
            "--cluster.listen-address=",
        )
        self.start(
            "prometheus",
            program("prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}",
            f"--web.external-url=http://127.0.0.1:{self.ports['prometheus']}/",
        )
        for name in ("alertmanager", "prometheus"):
            url = f"http://127.0.0.1:{self.ports[name]}/-/ready"
            wait_until(lambda url=url: fetch(url)[0] == 200, f"{name} is ready")  # type: ignore[misc]  # bound per round

    # --- database ------------------------------------------------------------------------------------------------

    def create_database(self) -> None:
        with psycopg.connect(dbname="postgres", autocommit=True, **self._server) as connection:
            connection.execute(f"create database {self.database}")

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(dbname=self.database, row_factory=dict_row, **self._server) as connection:
            return connection.execute(sql, values).fetchall()

    # --- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(timeout=6)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        with psycopg.connect(dbname="postgres", autocommit=True, **self._server) as connection:
            connection.execute(f"drop database if exists {self.database} with (force)")

    def logs(self) -> str:
        """The last lines of every process, for the report of a failure."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            parts.append(f"--- {path.stem}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:]))
        return "\n".join(parts)


PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: demo-world
    static_configs: [{{targets: ["127.0.0.1:{world}"]}}]
"""

ALERTMANAGER = """
route:
  receiver: incident-portal
  group_by: [alertname, service]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 5s
receivers:
  - name: incident-portal
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""
