"""What commands that execute a runbook share: look, ask, have it approved, and do it, with or without workers."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Any, ClassVar, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.approvals.models import ApprovalRequest
from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.incidents.queries import visible_to
from apps.people.models import User
from apps.people.queries import actor_for_user
from apps.policies.durations import parse_duration
from apps.runbooks.management.following import Left, follow, page_of, wait_for_decision
from apps.runbooks.management.terminal import dry_run_lines, ending
from apps.runbooks.models import DryRun, Execution, Runbook
from apps.runbooks.operations.executing import bypass_and_execute, execute, start
from apps.runbooks.planning import make_dry_run
from apps.runbooks.queries import visible_runbooks

DONE, FAILED, USAGE, PREFLIGHT, NO_APPROVAL, UNKNOWN = range(6)
INTERRUPTED = 130
_ALLOWED = {ApprovalRequest.State.APPROVED, ApprovalRequest.State.BYPASSED}


class ExecutingCommand(BaseCommand):
    """Exit codes: 0 done, 1 failed or given up, 2 wrong usage, 3 preflight failed, 4 no approval, 5 outcome unknown.

    A subclass says what is looked at (`look`) and how it is asked for (`ask_for`).
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only show what it would do")
        parser.add_argument("--force", action="store_true", help="don't ask for confirmation")
        parser.add_argument("--as", dest="username", help="whose account acts; default: the one named like you")
        parser.add_argument("--incident", help="the number of the incident it is about")
        parser.add_argument("--bypass", metavar="REASON", help="emergency: without the approval, and why")
        parser.add_argument("--reason", default="", help="why it is executed")
        parser.add_argument("--wait", default="10m", help="how long to wait for the approval (90s, 10m, 2h)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        user = self._user(options["username"])
        actor = actor_for_user(user, "command")
        seconds = self._seconds(options["wait"])
        try:
            dry_run = self.look(user, actor, options)
        except DomainError as error:
            self._end(USAGE, _told(error))
        for line in dry_run_lines(dry_run):
            self.stdout.write(line)
        if dry_run.problems:
            self._end(PREFLIGHT, "It can't be executed: see the problems above.")
        if options["dry_run"]:
            return
        if not options["force"]:
            self._confirm(dry_run)
        self._finish(self._begin(dry_run, actor, seconds, options), actor, by_hand=not options["force"])

    def look(self, user: User, actor: Actor, options: dict[str, Any]) -> DryRun:
        """What it would do. Raises DomainError for what can't be looked at."""
        raise NotImplementedError

    def ask_for(self, dry_run: DryRun, actor: Actor, options: dict[str, Any]) -> Execution:
        """Ask for what was shown; it may have begun already. Raises DomainError."""
        raise NotImplementedError

    # --- who, what --------------------------------------------------------------------------------------------------

    def _user(self, username: str | None) -> User:
        name = username or getpass.getuser()
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            self._end(USAGE, f"There is no active account {name!r}: say with --as whose account acts.")
        return user

    def _seconds(self, text: str) -> int:
        try:
            return parse_duration(text)
        except ValueError as error:
            self._end(USAGE, f"--wait: {error}")

    def _incident_of(self, user: User, number: str | None) -> int | None:
        """The id of an incident that this person may see."""
        if not number:
            return None
        found = visible_to(user).filter(number=number).first()
        if found is None:
            self._end(USAGE, f"There is no incident {number!r} that {user.username} may see.")
        return found.pk

    def _confirm(self, dry_run: DryRun) -> None:
        if not sys.stdin.isatty():
            self._end(USAGE, "Nobody is there to confirm it: add --force.")
        if not self._ask(f"Execute {dry_run.runbook.name} now?"):
            self._end(FAILED, "Nothing was done.")

    def _ask(self, question: str) -> bool:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}

    # --- doing it ---------------------------------------------------------------------------------------------------

    def _begin(self, dry_run: DryRun, actor: Actor, seconds: int, options: dict[str, Any]) -> Execution:
        try:
            execution = self.ask_for(dry_run, actor, options)
            if execution.started_at is not None:
                return execution
            if execution.state == Execution.State.AWAITING_APPROVAL:
                if options["bypass"] is not None:
                    return bypass_and_execute(execution.pk, reason=options["bypass"], actor=actor)
                self._wait(execution, seconds)
            return execute(execution.pk, actor=actor)
        except DomainError as error:
            self._end(_code_of(error), _told(error))

    def _wait(self, execution: Execution, seconds: int) -> None:
        try:
            state = wait_for_decision(execution, seconds, self.stdout.write)
        except KeyboardInterrupt:
            self._end(INTERRUPTED, f"The request stands; go on here: {page_of(execution)}")
        if state == ApprovalRequest.State.PENDING:
            self._end(NO_APPROVAL, f"Nobody has decided yet. The request stands; go on here: {page_of(execution)}")
        if state not in _ALLOWED:
            self._end(NO_APPROVAL, f"It is not approved: {ApprovalRequest.State(state).label}.")
        self.stdout.write("Approved.")

    def _finish(self, execution: Execution, actor: Actor, *, by_hand: bool) -> None:
        self.stdout.write(f"At work: {page_of(execution)}")
        ask = self._ask if by_hand and sys.stdin.isatty() else None
        try:
            done = follow(execution.pk, self.stdout.write, ask, actor)
        except (Left, KeyboardInterrupt):
            self._end(INTERRUPTED, f"The workers go on with it; follow it here: {page_of(execution)}")
        if done.state == Execution.State.UNKNOWN:
            self._end(UNKNOWN, f"{done.state_detail}\nSay there whether it has happened: {page_of(done)}")
        if done.state != Execution.State.SUCCEEDED:
            self._end(FAILED, ending(done))
        self.stdout.write(ending(done))

    def _end(self, code: int, message: str) -> NoReturn:
        raise CommandError(message, returncode=code)


class RunbookCommand(ExecutingCommand):
    """`runbook` is the `command` of the runbook, asked for where it is empty; `positional` maps arguments that take the
    place of its parameters to their explanations.
    """

    runbook: ClassVar[str] = ""
    positional: ClassVar[dict[str, str]] = {}

    def add_arguments(self, parser: CommandParser) -> None:
        if not self.runbook:
            parser.add_argument("runbook", help="the `command` of a runbook, or its slug")
        for name, told in self.positional.items():
            parser.add_argument(name, help=told)
        super().add_arguments(parser)
        parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="a parameter")

    def look(self, user: User, actor: Actor, options: dict[str, Any]) -> DryRun:
        runbook = self._runbook(user, self.runbook or options["runbook"])
        incident_id = self._incident_of(user, options["incident"])
        parameters = self._parameters(runbook, options["param"])
        parameters |= {name: options[name] for name in self.positional}
        return make_dry_run(runbook.pk, parameters, incident_id=incident_id, actor=actor)

    def ask_for(self, dry_run: DryRun, actor: Actor, options: dict[str, Any]) -> Execution:
        return start(dry_run.pk, reason=options["reason"], actor=actor)

    def _runbook(self, user: User, name: str) -> Runbook:
        rows = visible_runbooks(user).filter(state=Runbook.State.ACTIVE).select_related("active_version")
        by_command = {str(row.active_version.content.get("command", "")): row for row in rows if row.active_version}
        found = by_command.get(name) or rows.filter(slug=name).first()
        if found is None:
            known = ", ".join(sorted(filter(None, by_command))) or "none"
            self._end(USAGE, f"No active runbook has the command {name!r}. Known: {known}.")
        return found

    def _parameters(self, runbook: Runbook, given: list[str]) -> dict[str, Any]:
        assert runbook.active_version is not None, "an active runbook has a version"
        declared = runbook.active_version.content.get("parameters", {}).get("properties", {})
        found: dict[str, Any] = {}
        for item in given:
            name, equals, text = item.partition("=")
            if not equals or not name:
                self._end(USAGE, f"--param {item}: write NAME=VALUE.")
            found[name] = text if declared.get(name, {}).get("type") == "string" else _read(text)
        return found


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _told(error: DomainError) -> str:
    places = [f"{place}: {sentence}" for place, sentences in error.fields.items() for sentence in sentences]
    return "\n".join([error.message, *[line for line in places if error.message not in line]])


def _code_of(error: DomainError) -> int:
    if error.code.startswith("approval_"):
        return NO_APPROVAL
    return PREFLIGHT if error.http_status == 409 else USAGE  # noqa: PLR2004  # a conflict
