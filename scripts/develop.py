"""The developers' commands behind the Makefile: test, check, bench, fault. Runs inside `.venv`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from services import found_services

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BIN = Path(sys.executable).parent
ALONE = "services or e2e or redis"
FAULT_ROUNDS = {"fault": "10", "fault-ci": "1"}
CHECKS = (
    ("ruff check", [str(BIN / "ruff"), "check", "."]),
    ("ruff format", [str(BIN / "ruff"), "format", "--check", "."]),
    ("mypy --strict", [str(BIN / "mypy")]),
    ("floors (import-linter)", [str(BIN / "lint-imports")]),
    ("migrations are complete", [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"]),
    ("deployment checks", [PYTHON, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]),
    ("templates compile", [PYTHON, "scripts/check_templates.py"]),
    ("links in the docs", [PYTHON, "scripts/check_docs.py"]),
)


def environment(**more: str) -> dict[str, str]:
    """The environment of a child: data of its own, so that tests never touch those of `make run`."""
    data = {"DATA_DIR": str(ROOT / "build" / "data")}
    return data | os.environ | more


def run(command: list[str], environ: dict[str, str]) -> int:
    """Run in the foreground. Ctrl-C reaches the child by itself; we only wait for it to end."""
    with subprocess.Popen(command, cwd=ROOT, env=environ) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue


def test(arguments: list[str]) -> int:
    """The whole suite but fault injection, which has a command of its own.

    First what tests from inside, on two processes side by side, each with a database, a server and a browser of its
    own; then, alone on the machine, what runs the whole portal and measures time. A selection runs in one piece.
    """
    with found_services() as services:
        environ = environment(**services)
        # No test but those of faults asks what outlives a crash of the server: commits needn't wait for the disk.
        environ.setdefault("PGOPTIONS", "-c synchronous_commit=off")
        if arguments:
            return run([PYTHON, "-m", "pytest", "-m", "not fault", *arguments], environ)
        both = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]  # tests/conftest.py has the longest first
        first = run([PYTHON, "-m", "pytest", "-m", f"not fault and not ({ALONE})", *both], environ)
        second = run([PYTHON, "-m", "pytest", "-m", f"not fault and ({ALONE})"], environ)
        return first or second


def fault(arguments: list[str], rounds: str) -> int:
    """Fault injection against real processes."""
    with found_services() as services:
        environ = environment(**services)
        environ.setdefault("FAULT_ROUNDS", rounds)
        told = ["-rP", "--show-capture=stdout"]  # what the tests measured is worth reading also when they pass
        return run([PYTHON, "-m", "pytest", "tests/fault", *told, *arguments], environ)


def bench(arguments: list[str]) -> int:
    """The benchmarks, on PostgreSQL and Redis where they are found."""
    with found_services() as services:
        return run([PYTHON, "-m", "benchmarks", *arguments], environment(**services))


def check() -> int:
    """Every static check; all of them run, also after one failed."""
    strict = {"PUBLIC_URL": "https://portal.example.com", "DEBUG": "0"}
    failed = []
    for title, command in CHECKS:
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment(**strict), capture_output=True, text=True, check=False)
        verdict = "ok" if done.returncode == 0 else "FAILED"
        print(f"{title:28}{verdict}  {time.monotonic() - started:.1f} s", flush=True)
        if done.returncode:
            failed.append(title)
            print((done.stdout + done.stderr)[-6000:], flush=True)
    if failed:
        print(f"Failed: {', '.join(failed)}.")
    return 1 if failed else 0


def main() -> int:
    command, rest = sys.argv[1], sys.argv[2:]
    if command == "check":
        return check()
    if command == "bench":
        return bench(rest)
    if command in FAULT_ROUNDS:
        return fault(rest, FAULT_ROUNDS[command])
    return test(rest)


if __name__ == "__main__":
    code = main()
    sys.exit(code if code >= 0 else 128 - code)
