"""`manage.py portal`: the whole portal as one process tree, as `make run` starts it."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import socket
import sys
import time
from typing import IO, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from apps.demo.passwords import first_password, password_file
from apps.demo.supervisor import Child, Supervisor
from apps.foundation.actor import Actor
from apps.people.models import User
from apps.people.operations import make_administrator

ADMINISTRATOR = "admin"
_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104  # only compared with
WORKERS = {
    "worker-timers": "timers",
    "worker-messages": "messages",
    "worker-executions": "executions",
    "worker-bulk": "bulk",
}
# A rollback with proof, in five minutes. Admin may do all of it, but for approving what admin asks for.
STORY = (
    "Try first (sofia, an approver, has the same password; a second browser or a private window helps):",
    "  1. In the demo world press “Break it so” under “Bad config”.",
    "  2. On the portal's home the incident opens within seconds. Acknowledge it on its page, and take command.",
    "  3. There, under “Runbooks and mitigations”, make a dry run of “Economy-config rollback” and read the diff.",
    "  4. Request the approval. Nobody approves their own request, so it waits.",
    "  5. Sign in as sofia, open “Approvals”, look at the diff, approve.",
    "  6. Back as admin start it: the baseline returns, and the demo world turns healthy before your eyes.",
    "  7. Resolve the incident, as the portal proposes. Its review is there with the whole timeline: write it, and",
    "     promise an action item.",
)


class Command(BaseCommand):
    """Sets up, starts everything, and stops everything on one Ctrl-C."""

    help = "Set up the portal and run web, workers, ticker and (with DEMO=1) the demo world until Ctrl-C."
    requires_system_checks: list[str] = []  # Django's own spelling; tables may not be there yet

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        lock = self._lock()
        self._check_port()
        self.stdout.write("Starting the incident portal:")
        call_command("setup", quiet=True)
        password = self._administrator()
        if settings.DEMO:
            call_command("seed_demo")
        connections.close_all()
        gc.freeze()  # nothing of what is loaded needs to be taken apart at the end, which would take its time
        _forget_old_rings()
        environ = _environment()
        _tell_other_terminals(lock, environ)
        supervisor = Supervisor(
            children(),
            environ=environ,
            folder=settings.BASE_DIR,
            logs=settings.DATA_DIR / "logs",
            verbose=settings.LOG_LEVEL == "DEBUG",
        )
        self.stdout.write("  starting the processes …")
        self.stdout.flush()
        code = supervisor.run(ready=_is_ready, when_ready=lambda: self._welcome(started, password))
        self.stdout.write("Stopped.")
        lock.close()
        sys.exit(code)

    def _lock(self) -> IO[str]:
        """Two portals on one data folder would both believe to be alone."""
        path = settings.DATA_DIR / "portal.lock"
        try:
            settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{settings.DATA_DIR} can't be written ({error.strerror}): set DATA_DIR.") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError(
                f"A portal already runs on {settings.DATA_DIR}: stop it, or set DATA_DIR and PORT for a second one."
            ) from error
        return file

    def _check_port(self) -> None:
        family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.HOST, settings.PORT))
            except OSError as error:
                raise CommandError(
                    f"Port {settings.PORT} on {settings.HOST} can't be used ({error.strerror}): choose another PORT."
                ) from error

    def _administrator(self) -> str:
        """Make the administrator at the first start; the password then, else an empty string."""
        if User.objects.filter(is_superuser=True).exists():
            return ""
        password = first_password()
        make_administrator(ADMINISTRATOR, password=password, actor=Actor.system("set-up"))
        return password

    def _welcome(self, started: float, password: str) -> None:
        url = settings.PUBLIC_URL
        sign_in = f"{ADMINISTRATOR} / {password}" if password else f"{ADMINISTRATOR}, password in {password_file()}"
        lines = [
            "",
            f"The incident portal is ready after {time.monotonic() - started:.1f} s.",
            "",
            f"  Portal      {url}/admin/",
            f"  Sign in     {sign_in}",
        ]
        if settings.DEMO:
            lines += [
                f"  Demo world  {settings.WORLD_URL}/",
                f"  Mailbox     {url}/demo/mail/",
                f"  API         {url}/api/docs/",
                "",
                *STORY,
            ]
        lines += ["", f"Data and logs are in {settings.DATA_DIR}. Ctrl-C stops everything.", ""]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def reachable() -> list[str]:
    """The private hosts that runbooks may reach: those that were named, and the demo world where there is one."""
    world = [urlsplit(settings.WORLD_URL).netloc] if settings.DEMO else []
    return list(dict.fromkeys([*settings.EGRESS_ALLOW, *world]))


def children() -> list[Child]:
    """The processes of the portal."""
    python = sys.executable
    web = ["-m", "granian", "--interface", "asgi", "--host", settings.HOST, "--port", str(settings.PORT)]
    web += ["--workers", "1", "--no-ws", "--loop", "asyncio", "--workers-kill-timeout", "3", "--log-level", "warning"]
    found = [Child("web", [python, *web, "incidentportal.asgi:application"])]
    for name, queues in WORKERS.items():
        worker = ["-m", "celery", "-A", "incidentportal", "worker", "-Q", queues, "-n", f"{name}@%h", "-P", "solo"]
        worker += ["-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        found.append(Child(name, [python, *worker]))
    found.append(Child("ticker", [python, "manage.py", "ticker"]))
    if settings.DEMO:
        port = urlsplit(settings.WORLD_URL).port or 80
        world = ["-m", "apps.demo.world", "--port", str(port), "--data-dir", str(settings.DATA_DIR)]
        found.append(Child("demo-world", [python, *world, "--portal", settings.PUBLIC_URL]))
    return found


def _forget_old_rings() -> None:
    """Messages of the last run say only "look now"; workers look at their start anyway."""
    if settings.EMBEDDED:
        for pattern in ("*.msg", ".*"):
            for path in (settings.DATA_DIR / "broker").glob(pattern):
                path.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """What every child gets: our settings as they were read, so that all agree."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "incidentportal.settings"),
        "DATA_DIR": str(settings.DATA_DIR),
        "HOST": settings.HOST,
        "PORT": str(settings.PORT),
        "PUBLIC_URL": settings.PUBLIC_URL,
        "WORLD_URL": settings.WORLD_URL,
        "DEMO": "1" if settings.DEMO else "0",
        "EGRESS_ALLOW": ",".join(reachable()),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _tell_other_terminals(lock: IO[str], environ: dict[str, str]) -> None:
    """Leave in the locked file where everything listens; `manage.py` reads it. No secrets."""
    names = ("HOST", "PORT", "PUBLIC_URL", "WORLD_URL", "DEMO", "EGRESS_ALLOW")
    lock.seek(0)
    lock.truncate()
    json.dump({name: environ[name] for name in names}, lock)
    lock.flush()


def _is_ready() -> bool:
    """Whether the web process answers that it can serve."""
    host = "127.0.0.1" if settings.HOST in _EVERYWHERE else settings.HOST
    host = f"[{host}]" if ":" in host else host
    try:
        with urlopen(f"http://{host}:{settings.PORT}/readyz", timeout=2) as answer:  # our own address
            return bool(answer.status == 200)  # noqa: PLR2004  # HTTP's OK
    except (URLError, OSError):
        return False
