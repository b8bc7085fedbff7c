"""`manage.py ab_experiment ID VARIANT`: look, confirm, kill the variant, and see that nobody gets it any more."""

from __future__ import annotations

import getpass
import sys
import time
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from apps.flags.experiment_queries import (
    MODES,
    TO_FALLBACK,
    VariantKillPreview,
    enrolled,
    epochs_of,
    preview_variant_kill,
    visible_experiments,
)
from apps.flags.models import Experiment
from apps.flags.operations import kill_variant
from apps.flags.permissions import KILL, authorize
from apps.flags.queries import try_out_many
from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError, Forbidden
from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.messaging.posts import News, follow_up
from apps.people.models import User
from apps.people.queries import actor_for_user

COMMAND = "incidents.command_incident"
DONE, FAILED, USAGE, REFUSED = range(4)
INTERRUPTED = 130
PROBES = 10_000


class Command(BaseCommand):
    """Exit codes: 0 done or killed before, 1 given up or not verified, 2 wrong usage, 3 refused, 130 interrupted."""

    help = "Kill a variant of an experiment: preview, confirmation, kill, verification."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("experiment", help="the key or the number of an experiment")
        parser.add_argument("variant", help="the variant that nobody is to get any more")
        parser.add_argument("--dry-run", action="store_true", help="only show what it would change")
        parser.add_argument("--force", action="store_true", help="don't ask for confirmation")
        parser.add_argument("--reason", default="", help="why; asked for where it is left out")
        parser.add_argument("--mode", choices=MODES, default=TO_FALLBACK, help="how its enrolled go on")
        parser.add_argument("--incident", default="", help="the id of the incident it is about")
        parser.add_argument(
            "--keep-pagerduty", action="store_true", help="leave open what the portal opened there for the incident"
        )
        parser.add_argument("--as", dest="username", help="whose account acts; default: the one named like you")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        began = time.monotonic()
        user = self._user(options["username"])
        actor = actor_for_user(user, "command")
        experiment = self._experiment(user, options["experiment"])
        try:
            authorize(actor, experiment.flag, KILL)
            preview = preview_variant_kill(experiment, options["variant"], options["mode"])
        except DomainError as error:
            self._end(_code_of(error), error.message)
        self._show(preview)
        if options["dry_run"] or preview.is_killed:
            return
        reason = options["reason"] or self._ask_reason(force=options["force"])
        if not options["force"]:
            self._confirm(preview)
        self._kill(preview, reason, options["incident"], actor, began)
        if options["incident"] and not options["keep_pagerduty"]:
            self._resolve_pagerduty(user, Subject("incident", options["incident"]), preview)

    # --- who, what ---

    def _user(self, username: str | None) -> User:
        name = username or getpass.getuser()
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            self._end(USAGE, f"There is no active account {name!r}: say with --as whose account acts.")
        return user

    def _experiment(self, user: User, name: str) -> Experiment:
        rows = visible_experiments(user)
        found = rows.filter(key=name).first()
        if found is None and name.isascii() and name.isdecimal() and len(name) <= 18:  # noqa: PLR2004  # digits of an id
            found = rows.filter(pk=int(name)).first()
        if found is None:
            running = rows.filter(state=Experiment.State.RUNNING).order_by("key").values_list("key", flat=True)
            self._end(USAGE, f"There is no experiment {name!r}. Running: {', '.join(running[:20]) or 'none'}.")
        return found

    def _show(self, preview: VariantKillPreview) -> None:
        experiment = preview.experiment
        self.stdout.write(f"{experiment.name} ({experiment.key}) on {experiment.flag}")
        if preview.is_killed:
            self.stdout.write(preview.sentence)
            return
        self.stdout.write(f"{'variant':<20} {'enrolled':>10} {'then':>10} {'newcomers':>10} {'then':>10}")
        now = {**preview.stays}
        now[preview.variant] = preview.moved
        for name in preview.before:
            then = preview.stays.get(name, 0) + preview.moves.get(name, 0)
            shares = f"{preview.before[name]:>9.2f}% {preview.after.get(name, 0):>9.2f}%"
            self.stdout.write(f"{name:<20} {now.get(name, 0):>10,} {then:>10,} {shares}")
        self.stdout.write(f"If you kill {preview.variant}: {preview.sentence}")

    def _ask_reason(self, *, force: bool) -> str:
        if force or not sys.stdin.isatty():
            self._end(USAGE, "Say why with --reason.")
        return input("Why? ").strip()

    def _confirm(self, preview: VariantKillPreview) -> None:
        if not sys.stdin.isatty():
            self._end(USAGE, "Nobody is there to confirm it: add --force.")
        if input(f"Kill {preview.variant} now? [y/N] ").strip().lower() not in {"y", "yes"}:
            self._end(FAILED, "Nothing was done.")

    # --- doing it ---

    def _kill(self, preview: VariantKillPreview, reason: str, incident: str, actor: Actor, began: float) -> None:
        about = Subject("incident", incident) if incident else None
        pk, variant = preview.experiment.pk, preview.variant
        try:
            done = kill_variant(pk, variant, mode=preview.mode, reason=reason, about=about, actor=actor)
        except DomainError as error:
            self._end(_code_of(error), error.message)
        self._say(1, f"{preview.variant} is killed", began)
        try:
            time.sleep(preview.waits_seconds)
        except KeyboardInterrupt:
            self._end(INTERRUPTED, "It is killed; nobody has looked whether every process knows.")
        self._say(2, f"every process had {preview.waits_seconds} seconds to read it", began)
        self._verify(done, preview)
        self._say(3, f"verified: nobody of {PROBES:,} probes gets {preview.variant}, nobody is enrolled with it", began)
        if preview.warned:
            self.stdout.write(preview.warned.strip())
        counted = enrolled(done, epochs_of(done)).by_variant
        self.stdout.write("Done. Enrolled now: " + ", ".join(f"{name} {count:,}" for name, count in counted.items()))

    def _resolve_pagerduty(self, user: User, incident: Subject, preview: VariantKillPreview) -> None:
        """Close there what the portal opened; the incident itself stays open until somebody resolves it."""
        if not user.has_perm(COMMAND):
            self.stdout.write(f"PagerDuty is left as it is: that needs {COMMAND}.")
            return
        news = News(f"kill-{preview.experiment.pk}-{preview.variant}", incident, "resolve", "")
        with transaction.atomic():
            follow_up([news], only=[Message.Channel.PAGERDUTY])
        self.stdout.write("What the portal opened in PagerDuty for the incident is being resolved.")

    def _verify(self, experiment: Experiment, preview: VariantKillPreview) -> None:
        left = enrolled(experiment, epochs_of(experiment)).by_variant.get(preview.variant, 0)
        if left:
            self._end(FAILED, f"{left:,} are still enrolled with {preview.variant}: look at the experiment's page.")
        # As programs ask: by the whole flag, whose own definition answers whoever takes no part.
        probes = [{"targetingKey": f"probe-{number}"} for number in range(PROBES)]
        still = sum(found.variant == preview.variant for found in try_out_many(experiment.flag, probes))
        if still:
            sentence = f"{still:,} of {PROBES:,} probes still get {preview.variant}: look at the experiment's page."
            self._end(FAILED, f"{sentence}{preview.warned}")

    def _say(self, step: int, what: str, began: float) -> None:
        self.stdout.write(f"[{step}/3] +{time.monotonic() - began:.1f} s {what}")

    def _end(self, code: int, message: str) -> NoReturn:
        raise CommandError(message, returncode=code)


def _code_of(error: DomainError) -> int:
    conflict = 409
    return REFUSED if isinstance(error, Forbidden) or error.http_status == conflict else USAGE
