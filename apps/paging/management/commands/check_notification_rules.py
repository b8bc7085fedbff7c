"""`manage.py check_notification_rules`: what is wrong with people's notification rules."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.paging.rules.queries import findings_of
from apps.people.models import User


class Command(BaseCommand):
    """Prints a line for each finding; the exit code is 1 where there is an error (`--strict`: a warning will do)."""

    help = "Find notification rules that can never fire, and people whom a page would not reach."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="*", help="only these people; else everybody who is active")
        parser.add_argument("--strict", action="store_true", help="warnings count as errors")
        parser.add_argument("--json", action="store_true", help="one JSON object for each finding")

    def handle(self, *args: Any, **options: Any) -> None:
        people = User.objects.filter(kind=User.Kind.PERSON, is_active=True).order_by("username")
        if options["username"]:
            people = people.filter(username__in=options["username"])
            unknown = sorted(set(options["username"]) - set(people.values_list("username", flat=True)))
            if unknown:
                raise CommandError(f"There is no active person called {', '.join(unknown)}.", returncode=2)
        names = dict(people.values_list("pk", "username"))
        found = [(names[pk], each) for pk, findings in findings_of(names).items() for each in findings]
        for name, each in found:
            line = (
                json.dumps({"username": name, **each.as_json()})
                if options["json"]
                else (f"{each.tone:7} {name}: {each.text} ({each.code})")
            )
            self.stdout.write(line)
        bad = [each for _, each in found if each.tone == "error" or options["strict"]]
        if not options["json"]:
            self.stdout.write(f"{len(names)} people, {len(found)} findings.")
        if bad:
            raise SystemExit(1)
