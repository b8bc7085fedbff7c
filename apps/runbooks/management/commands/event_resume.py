"""`manage.py event_resume ID`: let a paused live event go on, with a message to its players."""

from __future__ import annotations

from typing import ClassVar

from apps.runbooks.management.executing import RunbookCommand


class Command(RunbookCommand):
    """The runbook whose `command` is event_resume; `--param message=…` says something else to the players."""

    help = "Let a paused live event go on, with a message to its players: dry run, confirmation, progress."
    runbook = "event_resume"
    positional: ClassVar[dict[str, str]] = {"event": "the event, as the game names it"}
