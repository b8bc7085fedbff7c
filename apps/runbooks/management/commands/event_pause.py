"""`manage.py event_pause ID`: pause a live event, with a message to its players."""

from __future__ import annotations

from typing import ClassVar

from apps.runbooks.management.executing import RunbookCommand


class Command(RunbookCommand):
    """The runbook whose `command` is event_pause; `--param message=…` says something else to the players."""

    help = "Pause a live event, with a message to its players: dry run, confirmation, progress."
    runbook = "event_pause"
    positional: ClassVar[dict[str, str]] = {"event": "the event, as the game names it"}
