"""`manage.py setup`: bring the database, the groups, the packs and the static files to this version."""

from __future__ import annotations

import hashlib
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps as registry
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.foundation.actor import Actor
from apps.people.operations import sync_groups
from apps.policies.operations import import_shipped_packs


class Command(BaseCommand):
    """Safe to run at every start and side by side: what is done already is not done again."""

    help = "Migrate, make the groups, import the policy packs and collect static files, each only where needed."
    requires_system_checks: list[str] = []  # Django's own spelling; `check` has a command of its own

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="show only what takes time")

    def handle(self, *args: Any, **options: Any) -> None:
        self._quiet = bool(options["quiet"])
        if self._has_unapplied_migrations():
            self._step("preparing the database", self._migrate)
        with self._timed("checking groups and policy packs", shown=not self._quiet):
            sync_groups()
            self._import_packs()
        if not settings.DEBUG and self._static_is_stale():
            self._step("collecting static files", self._collect)

    @contextmanager
    def _timed(self, title: str, *, shown: bool) -> Iterator[None]:
        started = time.monotonic()
        if shown:
            self.stdout.write(f"  {title} …", ending="")
            self.stdout.flush()
        yield
        if shown:
            self.stdout.write(f" {time.monotonic() - started:.1f} s")

    def _step(self, title: str, action: Callable[[], None]) -> None:
        with self._timed(title, shown=True):
            action()

    # --- database ------------------------------------------------------------------------------------------------

    def _has_unapplied_migrations(self) -> bool:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    def _migrate(self) -> None:
        call_command("migrate", verbosity=0, interactive=False)

    def _import_packs(self) -> None:
        import_shipped_packs(actor=Actor.system("set-up"))

    # --- static files --------------------------------------------------------------------------------------------

    def _stamp_file(self) -> Path:
        return Path(settings.STATIC_ROOT) / ".stamp"

    def _static_fingerprint(self) -> str:
        """Changes when a file of ours or a locked version of a package does."""
        found = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
        found.update((settings.BASE_DIR / "requirements" / "run.txt").read_bytes())
        folders = [Path(folder) for folder in settings.STATICFILES_DIRS]
        folders += [Path(config.path) / "static" for config in registry.get_app_configs()]
        for folder in folders:
            if settings.BASE_DIR not in folder.parents or ".venv" in folder.parts:
                continue
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    found.update(f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
        return found.hexdigest()

    def _static_is_stale(self) -> bool:
        try:
            return self._stamp_file().read_text(encoding="utf-8") != self._static_fingerprint()
        except FileNotFoundError:
            return True

    def _collect(self) -> None:
        call_command("collectstatic", verbosity=0, interactive=False, clear=False)
        self._stamp_file().write_text(self._static_fingerprint(), encoding="utf-8")
