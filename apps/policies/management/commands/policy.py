"""`manage.py policy validate|import|export|diff|activate`: packs from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import F

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.policies import diffs, operations
from apps.policies.models import PolicyPack, PolicyVersion


class Command(BaseCommand):
    """Each subcommand calls one operation or query."""

    help = "Check, import, export, compare and activate policy packs."

    def add_arguments(self, parser: CommandParser) -> None:
        ways = parser.add_subparsers(dest="way", required=True, metavar="validate|import|export|diff|activate")
        check = ways.add_parser("validate", help="say what is wrong with a file; exit status 1 when something is")
        check.add_argument("file", help="a YAML file, or - for the standard input")
        bring = ways.add_parser("import", help="store a file as a new version; the same text again changes nothing")
        bring.add_argument("file", help="a YAML file, or - for the standard input")
        bring.add_argument("--note", default="", help="what this version changes")
        bring.add_argument("--activate", action="store_true", help="let new incidents follow it at once")
        bring.add_argument("--reason", default="", help="why it is activated")
        export = ways.add_parser("export", help="print a version's text, byte for byte")
        compare = ways.add_parser("diff", help="compare a pack's active version with a version or a file")
        switch = ways.add_parser("activate", help="let new incidents follow a version")
        for each in (export, compare, switch):
            each.add_argument("pack", help="the slug of a pack; export and activate also take slug@number")
        compare.add_argument("other", help="a version number or a YAML file")
        compare.add_argument("--structural", action="store_true", help="list changed places instead of lines")
        switch.add_argument("--reason", required=True, help="why")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['way']}")(options)
        except DomainError as error:
            lines = [line for lines in error.fields.values() for line in lines]
            raise CommandError("\n".join([error.message, *lines[1:]])) from error

    def _validate(self, options: dict[str, Any]) -> None:
        problems = operations.validate(_read(options["file"]))
        for problem in problems:
            self.stdout.write(f"{options['file']}:{problem.line}:{problem.column}: {problem.path}: {problem.message}")
        if problems:
            raise CommandError(f"{len(problems)} problem(s).")
        self.stdout.write(f"{options['file']} is a valid pack.")

    def _import(self, options: dict[str, Any]) -> None:
        version = operations.import_pack(
            _read(options["file"]),
            activate=options["activate"],
            note=options["note"],
            reason=options["reason"],
            actor=_actor(),
        )
        self.stdout.write(f"{version.pack.slug}@{version.number}{_state(version)}")

    def _export(self, options: dict[str, Any]) -> None:
        self.stdout.write(_version(options["pack"]).text, ending="")

    def _activate(self, options: dict[str, Any]) -> None:
        version = operations.activate(_version(options["pack"]).pk, reason=options["reason"], actor=_actor())
        self.stdout.write(f"{version.pack.slug}@{version.number} is active.")

    def _diff(self, options: dict[str, Any]) -> None:
        before = _version(options["pack"])
        other: str = options["other"]
        if other.isdecimal():
            text = _version(f"{before.pack.slug}@{other}").text
        else:
            text = operations.normalized(_read(other))
        if options["structural"]:
            for difference in diffs.structural(before.document, operations.checked_document(text)):
                self.stdout.write(
                    f"{difference.change} {difference.path}: {difference.before or '–'} → {difference.after or '–'}"
                )
            return
        for line in diffs.unified(before.text, text, names=(f"{before.pack.slug}@{before.number}", other)):
            self.stdout.write(line)


def _actor() -> Actor:
    return Actor(kind="system", name="command line", via="command")


def _state(version: PolicyVersion) -> str:
    return " (active)" if PolicyPack.objects.filter(active_version=version).exists() else ""


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} can't be read: {error}.") from error


def _version(named: str) -> PolicyVersion:
    """The version `slug@number`, or the active one of `slug`; the newest where none is active."""
    slug, _, number = named.partition("@")
    versions = PolicyVersion.objects.select_related("pack").filter(pack__slug=slug)
    if number:
        found = versions.filter(number=int(number)).first() if number.isdecimal() else None
    else:
        found = versions.filter(pack__active_version_id=F("pk")).first() or versions.order_by("-number").first()
    if found is None:
        raise CommandError(f"There is no policy version {named!r}.")
    return found
