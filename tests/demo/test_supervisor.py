"""The supervisor, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = """
import sys
from collections.abc import Callable
from pathlib import Path
from apps.demo.supervisor import Child, Supervisor
folder = Path(sys.argv[1])
told = "new = pathlib.Path(sys.argv[1] + '.new'); new.write_text(str(os.getpid())); new.replace(sys.argv[1]); "
code = "import os, pathlib, sys, time; " + told + sys.argv[2]
children = [Child(n, [sys.executable, "-c", code, str(folder / n)]) for n in ("a", "b")]
sys.exit(Supervisor(children, environ={}, folder=folder, logs=folder / "logs", verbose=False).run())
"""
STUBBORN = "import signal, subprocess; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), what], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(lambda: all((folder / name).exists() for name in "ab"))
    return program


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def pids(folder: Path) -> list[int]:
    return [int((folder / name).read_text()) for name in "ab"]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]


def test_one_interrupt_stops_all_children_at_once(tmp_path: Path) -> None:
    program = start(tmp_path, "time.sleep(600)")
    began = time.monotonic()
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=5) == 0
    assert time.monotonic() - began < 2
    assert not any(is_alive(pid) for pid in pids(tmp_path))


def test_a_child_that_will_not_stop_is_killed_within_five_seconds(tmp_path: Path) -> None:
    program = start(tmp_path, STUBBORN)
    time.sleep(0.5)
    program.send_signal(signal.SIGTERM)
    assert program.wait(timeout=6) == 0
    assert not any(is_alive(pid) for pid in pids(tmp_path))


def test_a_crashed_child_is_named_and_started_again(tmp_path: Path) -> None:
    program = start(tmp_path, "time.sleep(600)")
    first, other = pids(tmp_path)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: pids(tmp_path)[0] != first)
    program.send_signal(signal.SIGTERM)
    output, _ = program.communicate(timeout=6)
    assert "a stopped (killed by SIGKILL); starting it again in 1 s" in output
    assert pids(tmp_path)[1] == other


def test_children_end_when_the_supervisor_itself_is_killed(tmp_path: Path) -> None:
    program = start(tmp_path, "time.sleep(600)")
    program.kill()
    program.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids(tmp_path)))
