"""`manage.py create_admin`: a superuser with a generated password."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.people.models import User
from apps.people.operations import make_administrator


class Command(BaseCommand):
    """Creates the superuser, or gives it a new password; with `--if-missing` leaves one that is there alone."""

    help = "Creates a superuser, or resets its password, and prints the generated password once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="")
        parser.add_argument(
            "--if-missing", action="store_true", help="do nothing when an active superuser of this name exists"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"]
        there = User.objects.filter(username=username, is_superuser=True, is_active=True).exists()
        if options["if_missing"] and there:
            self.stdout.write(f"The administrator {username} exists; its password is unchanged.")
            return
        password = secrets.token_urlsafe(15)
        actor = Actor.system("command line")
        try:
            make_administrator(username, email=options["email"], password=password, actor=actor)
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Administrator: {username}")
        self.stdout.write(f"Password:      {password}")
        self.stdout.write("It is shown only now; run create_admin again for a new one.")
