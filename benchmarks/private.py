"""A database of its own for a benchmark, and one line on the machine, without which figures mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
SERVER = os.environ.get("BENCH_POSTGRES", "postgres://postgres@127.0.0.1:5432")
BROKER = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/14")


def machine() -> str:
    """Processor, cores, memory, Python and PostgreSQL of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor())
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    with psycopg.connect(f"{SERVER}/postgres") as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return (
        f"{os.cpu_count()} cores of {model}, {kilobytes / 1024 / 1024:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, PostgreSQL {row[0] if row else '?'}, load {os.getloadavg()[0]:.1f}"
    )


@contextmanager
def private_portal(name: str, **environment: str) -> Iterator[str]:
    """A fresh migrated portal on PostgreSQL, for this process and its children; yields the database's address.

    Database and data directory are gone afterwards, also after a failure.
    """
    database = f"bench_{name}_{os.getpid()}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{database}"')  # a name of our own making
    try:
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            os.environ |= {
                "DJANGO_SETTINGS_MODULE": "incidentportal.settings",
                "DATABASE_URL": f"{SERVER}/{database}",
                "REDIS_URL": BROKER,
                "REDIS_PREFIX": f"{database}:",
                "DATA_DIR": folder,
                "SECRET_KEY": "benchmark-" * 5,
                "LOG_LEVEL": "ERROR",
                **environment,
            }
            subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, check=True)
            yield f"{SERVER}/{database}"
    finally:
        with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')  # the same


def set_up_django() -> None:
    """Load Django in this process, inside `private_portal`."""
    sys.path.insert(0, str(ROOT))
    import django

    django.setup()
