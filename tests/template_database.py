"""The schema is made once per state of the migrations; every process of every later run copies it in a moment.

PostgreSQL only: SQLite's databases live in memory. Migrations are still looked at after the copy, so that a copy that
lacks one gets it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import django
import psycopg
from django.db import connection
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent


def _digest() -> str:
    """Of everything that the schema depends on."""
    found = hashlib.sha256(django.__version__.encode())
    for path in [ROOT / "requirements" / "run.txt", *sorted((ROOT / "apps").glob("*/migrations/*.py"))]:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:12]


def template() -> str | None:
    """The name of a database with our schema and no connections to it; made if need be, None on SQLite."""
    if connection.vendor != "postgresql":
        return None
    own: dict[str, Any] = connection.settings_dict
    family = f"template_{own['NAME']}_"
    name = family + _digest()
    server: Any = {key: own[ours] for key, ours in (("host", "HOST"), ("port", "PORT"), ("user", "USER")) if own[ours]}
    with psycopg.connect(dbname="postgres", password=own["PASSWORD"] or None, autocommit=True, **server) as line:
        line.execute("SELECT pg_advisory_lock(%s)", [crc32(family.encode())])
        there = {
            row[0] for row in line.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [family])
        }
        for old in there - {name}:
            line.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(old)))
        if name not in there:
            making = family + "making"
            line.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(making)))
            _migrate(making)
            line.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name)))
    return name


def template_server() -> str:
    """The address of the server on which `template` makes it."""
    own: dict[str, Any] = connection.settings_dict
    login = f"{own['USER']}:{own['PASSWORD']}" if own["PASSWORD"] else own["USER"]
    return f"postgres://{login}@{own['HOST']}:{own['PORT']}"


def _migrate(name: str) -> None:
    code = (
        "from django.core.management import call_command; from django.db import connection; "
        f"connection.settings_dict['NAME'] = {name!r}; call_command('migrate', verbosity=0)"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    subprocess.run(command, cwd=ROOT, env=os.environ, check=True)
