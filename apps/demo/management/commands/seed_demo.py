"""`manage.py seed_demo`: the demo organisation."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.demo.operations import seed_demo
from apps.demo.organisation import PEOPLE
from apps.demo.passwords import first_password, password_file
from apps.foundation.errors import DomainError
from apps.people.models import User


class Command(BaseCommand):
    """Safe to repeat: what is there already stays as people left it."""

    help = "Make the demo organisation: people, teams, services, rotations, integrations and a few past incidents."

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        is_new = not User.objects.filter(username__in=[person.username for person in PEOPLE]).exists()
        try:
            seed_demo(password=first_password() if is_new else "")
        except DomainError as error:
            raise CommandError(f"The demo organisation can't be made: {error.message}") from error
        if is_new:
            self.stdout.write(f"  loading the demo organisation … {time.monotonic() - started:.1f} s")
            self.stdout.write(f"  its people sign in with the password in {password_file()}")
