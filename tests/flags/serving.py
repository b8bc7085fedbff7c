"""Real servers on the test database, and a wire to it that can be cut."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.db import connection

SERVERS = {"asgi": "incidentportal.asgi:application", "wsgi": "incidentportal.wsgi:application"}
FLAGS = "/ofrep/v1/evaluate/flags"
Answered = tuple[int, dict[str, str], Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def database_url(port: int | None = None) -> str:
    """Where the test database is, through another port if one is given."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{port or found['PORT']}/{found['NAME']}"


class Server:
    """A running server and one request at a time to it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def send(self, path: str = FLAGS, body: Any = b"{}", method: str = "POST", **headers: str) -> Answered:
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with suppress(BrokenPipeError, ConnectionResetError):  # the server may answer before it has read all
            wire.request(method, path, body, named, encode_chunked="Transfer_Encoding" in headers)
        answer = wire.getresponse()
        content = answer.read()
        wire.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(content) if content else None

    def value(self, key: str, token: str) -> Any:
        """What a flag answers now; the status where it is no 200."""
        status, _, content = self.send(f"{FLAGS}/{key}", X_API_Key=token)
        return content.get("value") if status == 200 else status

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


@contextmanager
def serving(interface: str, number: int = 1, *, url: str = "", **more: str) -> Iterator[list[Server]]:
    """So many web processes that answer, each on a port of its own; stopped in the end. `more` is for them."""
    given = {"DATABASE_URL": url or database_url(), "DATA_DIR": str(settings.DATA_DIR)}
    environment = os.environ | given | more
    servers = []
    for _ in range(number):
        port = free_port()
        options = ["--interface", interface, "--port", str(port), "--no-ws", "--log-level", "error"]
        command = [sys.executable, "-m", "granian", *options, SERVERS[interface]]
        servers.append(Server(port, subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR)))
    try:
        for server in servers:
            _wait_for(server)
        yield servers
    finally:
        for server in servers:
            server.stop()


def _wait_for(server: Server) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            if server.send("/ofrep/", method="GET")[0] == 404:
                return
        except OSError:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


class Wire:
    """A relay to the database: it can be cut, so that connecting is refused, or fall silent."""

    def __init__(self) -> None:
        found = connection.settings_dict
        self._target = (str(found["HOST"]), int(found["PORT"] or 5432))
        self.port = free_port()
        self._ends: list[socket.socket] = []
        self._is_silent = False
        self._listener: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        """Relay again."""
        self._is_silent = False
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def fall_silent(self) -> None:
        """Keep every connection open, and let nothing through any more."""
        self._is_silent = True

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self._is_silent:
                    time.sleep(0.05)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
