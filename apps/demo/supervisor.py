"""One process tree: starts the portal's processes, restarts what crashes, and stops all of them together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

STOP_SECONDS = 4.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 30.0
HEAD_START_SECONDS = 4.0
LOG_LIMIT_BYTES = 5 * 1024 * 1024
_LOOK_SECONDS = 0.1
_LOUD = (" ERROR ", " CRITICAL ", "[ERROR]", "Traceback (most recent call last)")
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """One process to keep running, and what became of it."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    restart_at: float | None = None
    restarts: int = field(default=0)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs first, so that it ends even when the supervisor is killed without a chance to stop it."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return bind


class Supervisor:
    """Runs `children` until SIGINT, SIGTERM or SIGHUP; their output goes to one log file each.

    Lines that speak of errors, and all lines when `verbose`, are shown as well, under the child's name.
    """

    def __init__(
        self, children: Sequence[Child], *, environ: Mapping[str, str], folder: Path, logs: Path, verbose: bool
    ) -> None:
        self.children = list(children)
        self._environ = dict(environ)
        self._folder = folder
        self._logs = logs
        self._verbose = verbose
        self._signals = 0
        self._bind = _die_with_parent()

    # --- life ----------------------------------------------------------------------------------------------------

    def run(self, *, ready: Callable[[], bool] | None = None, when_ready: Callable[[], None] | None = None) -> int:
        """Start all children and keep them running; returns 0 once all have stopped after a signal.

        `when_ready` is called once, when `ready` first answers true. The first child has the processors to itself
        until then, or for a few seconds: a newcomer waits for the page, and for nothing else.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._logs.mkdir(parents=True, exist_ok=True)
        head_start_until = time.monotonic() + (HEAD_START_SECONDS if ready else 0.0)
        waiting = ready is not None
        try:
            self._start(self.children[0])
            while not self._signals:
                is_ready = waiting and ready is not None and ready()
                if is_ready or time.monotonic() >= head_start_until:
                    self._start_rest()
                self._restart_crashed()
                if is_ready:
                    waiting = False
                    if when_ready:
                        when_ready()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop_all()
        return 0

    def _start_rest(self) -> None:
        for child in self.children:
            if child.process is None:
                self._start(child)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def say(self, text: str) -> None:
        """Show one line at once."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    # --- children ------------------------------------------------------------------------------------------------

    def _start(self, child: Child) -> None:
        """Start in a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone."""
        log = self._logs / f"{child.name}.log"
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".old.log"))
        child.process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
            list(child.command),
            cwd=self._folder,
            env=self._environ | {"PORTAL_PROCESS": child.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=self._bind,  # noqa: PLW1509  # one prepared system call, and no lock is taken in it
        )
        child.started_at, child.restart_at = time.monotonic(), None
        if child.process.stdout is not None:
            threading.Thread(target=self._copy, args=(child, child.process.stdout, log), daemon=True).start()

    def _copy(self, child: Child, output: IO[str], log: Path) -> None:
        with log.open("a", encoding="utf-8") as file:
            for line in output:
                file.write(line)
                file.flush()
                if not self._signals and (self._verbose or any(word in line for word in _LOUD)):
                    self.say(f"{child.name}: {line.rstrip()}")

    def _restart_crashed(self) -> None:
        at = time.monotonic()
        for child in self.children:
            if child.is_running or child.process is None:
                continue
            if child.restart_at is None:
                self._plan_restart(child, at)
            elif at >= child.restart_at:
                child.restarts += 1
                self._start(child)

    def _plan_restart(self, child: Child, at: float) -> None:
        assert child.process is not None
        if at - child.started_at > STEADY_SECONDS:
            child.pause_seconds = FIRST_PAUSE_SECONDS
        child.restart_at = at + child.pause_seconds
        self.say(
            f"{child.name} stopped ({_ending(child.process.returncode)}); starting it again in "
            f"{child.pause_seconds:g} s. What it said: {self._logs / child.name}.log"
        )
        child.pause_seconds = min(child.pause_seconds * 2, LONGEST_PAUSE_SECONDS)

    # --- the end -------------------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        """SIGTERM to every child, then SIGKILL to the groups that are left after a few seconds or a second signal."""
        asked = self._signals
        for child in self.children:
            self._signal(child, signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while any(child.is_running for child in self.children):
            if time.monotonic() > end or self._signals > asked:
                break
            time.sleep(_LOOK_SECONDS / 2)
        for child in self.children:
            self._signal_group(child, signal.SIGKILL)
            if child.process is not None:
                child.process.wait()

    def _signal(self, child: Child, number: int) -> None:
        if child.process is not None and child.process.poll() is None:
            child.process.send_signal(number)

    def _signal_group(self, child: Child, number: int) -> None:
        """Also what the child itself started and left behind."""
        if child.process is None:
            return
        try:
            os.killpg(child.process.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def _ending(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
