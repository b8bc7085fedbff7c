"""The whole portal as real processes on PostgreSQL and Redis, with Debian's Prometheus and Alertmanager beside it."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from benchmarks.private import ROOT
from benchmarks.rig import Rig, free_port, wait_until
from tests.conftest import program

__all__ = ["ROOT", "Stack", "fetch", "free_port", "wait_until"]


def fetch(url: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Status and text; 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    more = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, method=method, headers=more)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Stack(Rig):
    """The rig with everything on it: the demo organisation, its world, mail, and monitoring."""

    def __init__(self, smtp_port: int) -> None:
        self.ports = {name: free_port() for name in ("world", "prometheus", "alertmanager")}
        self.world = f"http://127.0.0.1:{self.ports['world']}"
        super().__init__(
            "e2e",
            WORLD_URL=self.world,
            EGRESS_ALLOW=f"127.0.0.1:{self.ports['world']}",
            EMAIL_URL=f"smtp://127.0.0.1:{smtp_port}",
            DEMO="1",
        )
        self.environ.pop("DJANGO_ALLOW_ASYNC_UNSAFE", None)

    def manage(self, *arguments: str) -> str:
        return self.run("manage.py", *arguments)

    def token(self, scope: str) -> str:
        """The text of a token of Priya, who is a manager."""
        made = (
            "from apps.people.models import User; from apps.people.operations import create_token;"
            "from apps.foundation.actor import Actor;"
            f"print(create_token(User.objects.get(username='priya').pk, 'e2e', ['{scope}'], actor=Actor.system())[1])"
        )
        return self.manage("shell", "--no-imports", "-c", made).strip().splitlines()[-1]

    def start_portal(self) -> None:
        """Web, a worker for each kind of queue, the ticker, and the world, which leaves alerting to Alertmanager."""
        self.start_web()
        for queue in ("timers", "messages", "executions", "bulk"):
            self.start_worker(f"worker-{queue}", queue)
        self.start_ticker()
        world = ["-m", "apps.demo.world", "--no-alerts", "--port", str(self.ports["world"])]
        self.spawn("world", sys.executable, *world, "--data-dir", self.environ["DATA_DIR"], "--portal", self.url)
        wait_until(lambda: fetch(f"{self.url}/readyz")[0] == 200, "the portal is ready", 60)
        wait_until(lambda: fetch(f"{self.world}/health")[0] == 200, "the world answers")

    def start_monitoring(self, intake_url: str) -> None:
        """Prometheus scrapes the world each second; Alertmanager posts to the portal."""
        rules = fetch(f"{self.world}/prometheus-rules.yml")[1].replace("for: 10s", "for: 2s")
        (self.folder / "rules.yml").write_text(rules)
        (self.folder / "alertmanager.yml").write_text(ALERTMANAGER.format(url=intake_url))
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(**self.ports, rules=self.folder / "rules.yml"))
        self.spawn(
            "alertmanager",
            program("prometheus-alertmanager", "alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
            "--cluster.listen-address=",
        )
        self.spawn(
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
