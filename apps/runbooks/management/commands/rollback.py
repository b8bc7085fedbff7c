"""`manage.py rollback economy`: execute the runbook with this command."""

from __future__ import annotations

from apps.runbooks.management.executing import RunbookCommand


class Command(RunbookCommand):
    """Any runbook, by its `command` or its slug."""

    help = "Execute the runbook with this command: dry run, confirmation, approval, progress."
