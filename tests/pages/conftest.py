"""A real ASGI server on the test database, and a browser that is logged in."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from apps.people.models import User

ROOT = Path(__file__).resolve().parents[2]
# To http only: reading the authorities' certificates for each request would take longer than the request.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _database_url() -> str:
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    account = f"{quote(given['USER'] or '')}:{quote(given['PASSWORD'] or '')}@"
    return f"postgres://{account}{given['HOST']}:{given['PORT'] or 5432}/{given['NAME']}"


@pytest.fixture
def portal(transactional_db: None, portal_server: str) -> str:
    """The address of a portal that serves the rows of this test; streams included."""
    return portal_server


@pytest.fixture(scope="session")
def portal_server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests: it keeps nothing of a test but policy versions, whose ids never come back."""
    tmp_path = tmp_path_factory.mktemp("portal")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "DATA_DIR": str(tmp_path),
        "PUBLIC_URL": address,
        "DEBUG": "1",
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "incidentportal.settings",
    }
    command = [
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers-kill-timeout", "3", "incidentportal.asgi:application"),
    ]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _wait_for(address, server, tmp_path / "server.log")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended at once"
        try:
            if httpx.get(f"{address}/healthz", timeout=5, verify=NO_TLS).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the server did not answer within 60 s:\n{log.read_text()[-3000:]}")


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, portal: str) -> Iterator[OpenPage]:
    """`open_page(user, path, theme=…, width=…)`: a page of the portal in a browser in which `user` is logged in."""
    contexts: list[Any] = []

    def open_one(user: User | None, path: str, *, theme: str = "light", width: int = 1280, scripts: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=scripts, color_scheme=theme
        )
        contexts.append(context)
        if user is not None:
            client = Client()
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            cookie = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": cookie, "url": portal}])
        context.add_init_script(f"localStorage.setItem('adminTheme', JSON.stringify('{theme}'))")
        page = context.new_page()
        page.set_default_timeout(15000)
        page.goto(portal + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
