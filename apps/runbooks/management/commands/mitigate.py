"""`manage.py mitigate economy-back --incident INC-1 --reason "drops are gone"`: press a one-click mitigation."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.people.models import User
from apps.runbooks.management.executing import USAGE, ExecutingCommand
from apps.runbooks.models import DryRun, Execution, Mitigation
from apps.runbooks.operations.mitigating import look_for, press
from apps.runbooks.permissions import user_may_use
from apps.runbooks.planning import keep_dry_run


class Command(ExecutingCommand):
    """The press is the one of the page and the API: the same permission, the same look, a reason."""

    help = "Press a one-click mitigation: dry run, confirmation, approval, progress."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("mitigation", help="the slug of a mitigation")
        super().add_arguments(parser)

    def look(self, user: User, actor: Actor, options: dict[str, Any]) -> DryRun:
        self._mitigation = self._found(user, options["mitigation"])
        incident_id = self._incident_of(user, options["incident"])
        seen = look_for(self._mitigation.pk, incident_id=incident_id, reason=options["reason"], actor=actor)
        return keep_dry_run(seen, incident_id=incident_id, actor=actor)

    def ask_for(self, dry_run: DryRun, actor: Actor, options: dict[str, Any]) -> Execution:
        """Look once more, for the confirmation may have taken its time; only what was shown is pressed."""
        about = {"incident_id": dry_run.incident_id, "reason": options["reason"]}
        seen = look_for(self._mitigation.pk, **about, actor=actor)
        if seen.plan.content_hash != dry_run.content_hash:
            raise Conflict("It would not do any more what was shown: look again.", code="plan_changed")
        return press(self._mitigation.pk, seen, **about, actor=actor)

    def _found(self, user: User, slug: str) -> Mitigation:
        rows = Mitigation.objects.filter(runbook__active_version__isnull=False).order_by("slug")
        mine = {row.slug: row for row in rows if user_may_use(user, row)}
        if slug not in mine:
            known = ", ".join(mine) or "none"
            self._end(USAGE, f"There is no mitigation {slug!r} that {user.username} may press. Known: {known}.")
        return mine[slug]
