"""A kill is in force in every web process within two seconds, also while Redis is away."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.rig import Rig, free_port, wait_until

KILLS = 5
IN_FORCE_WITHIN_SECONDS = 2.0
ASK_EACH_SECONDS = 0.02


@dataclass(frozen=True)
class Switchboard:
    """Two web processes, each with an address of its own, and flags that are on."""

    rig: Rig
    urls: tuple[str, str]
    flags: dict[str, int]
    token: str

    def post(self, url: str, path: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def value(self, url: str, key: str) -> Any:
        return self.post(url, f"/ofrep/v1/evaluate/flags/{key}", {"context": {}})["value"]

    def kill(self, url: str, key: str) -> None:
        self.post(url, f"/api/v1/flags/{self.flags[key]}/kill/", {"reason": "a rehearsal"})


@pytest.fixture
def board(rig: Rig) -> Switchboard:
    told = json.loads(rig.run("-m", "tests.fault.switches", str(3 * KILLS)))
    other = free_port()
    rig.start_web()
    options = ["--interface", "asgi", "--loop", "asyncio", "--no-ws", "--workers-kill-timeout", "3"]
    address = ["--host", "127.0.0.1", "--port", str(other)]
    rig.spawn("web2", sys.executable, "-m", "granian", *options, *address, "incidentportal.asgi:application")
    made = Switchboard(rig, (rig.url, f"http://127.0.0.1:{other}"), told["flags"], told["token"])
    wait_until(lambda: _answers(made), "both processes answer true for each flag", 60)
    return made


def _answers(board: Switchboard) -> bool:
    try:
        return all(board.value(url, key) is True for url in board.urls for key in board.flags)
    except OSError:
        return False


def killed_after(board: Switchboard, keys: list[str]) -> Iterator[float]:
    """Kill each flag, by the one process and by the other in turns; after how long the slowest process obeyed.

    Counted from when the kill was asked for, which is before it could have been committed.
    """
    for number, key in enumerate(keys):
        heard: dict[str, float] = {}
        asking = [threading.Thread(target=_ask, args=(board, url, key, heard)) for url in board.urls]
        for thread in asking:
            thread.start()
        began = time.monotonic()
        board.kill(board.urls[number % 2], key)
        for thread in asking:
            thread.join(timeout=15)
        assert set(heard) == set(board.urls), f"{key} stays on in a process"
        yield max(heard.values()) - began


def _ask(board: Switchboard, url: str, key: str, heard: dict[str, float]) -> None:
    until = time.monotonic() + 12
    while time.monotonic() < until:
        if board.value(url, key) is False:
            heard[url] = time.monotonic()
            return
        time.sleep(ASK_EACH_SECONDS)


def test_a_kill_is_in_force_in_both_web_processes_within_two_seconds_also_without_redis(
    board: Switchboard, fault_round: int
) -> None:
    keys = list(board.flags)
    took = {"with Redis": max(killed_after(board, keys[:KILLS]))}
    os.kill(board.rig.processes["redis"].pid, signal.SIGSTOP)  # takes connections, and answers none
    took["with a frozen one"] = max(killed_after(board, keys[KILLS : 2 * KILLS]))
    board.rig.kill("redis")
    took["without"] = max(killed_after(board, keys[2 * KILLS :]))
    told = ", ".join(f"{how} {seconds:.2f} s" for how, seconds in took.items())
    print(f"a kill was in force in both processes after: {told}")
    assert max(took.values()) <= IN_FORCE_WITHIN_SECONDS
    board.rig.start_redis()
    assert all(board.value(url, key) is False for url in board.urls for key in keys)
