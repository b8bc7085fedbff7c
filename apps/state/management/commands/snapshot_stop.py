"""`manage.py snapshot_stop SOURCE`: the snapshot of a source that is being taken is taken no further."""

from __future__ import annotations

import getpass
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.foundation.errors import DomainError
from apps.people.models import User
from apps.people.queries import actor_for_user
from apps.state.entities.models import Snapshot
from apps.state.entities.operations import stop_snapshot
from apps.state.entities.queries import visible_sources

FAILED, USAGE = 1, 2


class Command(BaseCommand):
    """Exit codes: 0 stopped, or nothing was being taken; 1 refused; 2 wrong usage. A repeat changes nothing."""

    help = "Stop the snapshot of a source of entities that is being taken; nothing of it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="the slug of the source")
        parser.add_argument("--reason", default="", help="why it is stopped")
        parser.add_argument("--as", dest="username", help="whose account acts; default: the one named like you")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        name = options["username"] or getpass.getuser()
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            self._end(USAGE, f"There is no active account {name!r}: say with --as whose account acts.")
        source = visible_sources(user).filter(slug=options["source"]).first()
        if source is None:
            self._end(USAGE, f"There is no source of entities {options['source']!r}.")
        running = Snapshot.objects.filter(source=source, state__in=Snapshot.OPEN).first()
        if running is None:
            self.stdout.write(f"No snapshot of {source.name} is being taken.")
            return
        try:
            stopped = stop_snapshot(running.pk, reason=options["reason"], actor=actor_for_user(user, "command"))
        except DomainError as error:
            self._end(FAILED, error.message)
        self.stdout.write(f"Snapshot {stopped.number} of {source.name} is stopped: nothing of it is kept.")

    def _end(self, code: int, message: str) -> NoReturn:
        raise CommandError(message, returncode=code)
