"""`manage.py policy list|validate|import|export|diff|activate`: packs from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.db.models import F

from apps.foundation.actor import Actor
from apps.foundation.errors import DomainError
from apps.policies import diffs, operations
from apps.policies.activation import Caution, cautions_about, outlook
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.sections import Problem

WRONG, IMPOSSIBLE = 1, 2


class Command(BaseCommand):
    """Each subcommand calls one operation or query.

    Exit status: 0 done; 1 a text is wrong, or with `diff --exit-code` differs; 2 it can't be done.
    """

    help = "List, check, import, export, compare and activate policy packs. Exit status: 1 wrong, 2 impossible."

    def add_arguments(self, parser: CommandParser) -> None:
        ways = parser.add_subparsers(dest="way", required=True, metavar="list|validate|import|export|diff|activate")
        names = ways.add_parser("list", help="packs, their versions, and which one is active")
        check = ways.add_parser("validate", help="say what is wrong with files; exit status 1 when something is")
        check.add_argument("file", nargs="+", help="a YAML file, or - for the standard input")
        bring = ways.add_parser("import", help="store a file as a new version; the same text again changes nothing")
        bring.add_argument("file", help="a YAML file, or - for the standard input")
        bring.add_argument("--note", default="", help="what this version changes")
        bring.add_argument("--activate", action="store_true", help="let new incidents follow it at once")
        bring.add_argument("--reason", default="", help="why it is activated")
        export = ways.add_parser("export", help="print a version's text, byte for byte")
        compare = ways.add_parser("diff", help="compare a version (the active one) with another version or a file")
        switch = ways.add_parser("activate", help="let new incidents follow a version")
        for each in (export, compare, switch):
            each.add_argument("pack", help="the slug of a pack, or slug@number")
        export.add_argument("--output", default="-", help="a file to write, or - for the standard output")
        compare.add_argument("other", help="a version number, a YAML file, or - for the standard input")
        compare.add_argument("--structural", action="store_true", help="list changed places instead of lines")
        compare.add_argument("--exit-code", action="store_true", help="exit status 1 when they differ")
        switch.add_argument("--reason", required=True, help="why")
        for each in (names, check, bring, compare, switch):
            each.add_argument("--json", action="store_true", help="answer with JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['way']}")(options)
        except DomainError as error:
            lines = [line for lines in error.fields.values() for line in lines]
            raise CommandError("\n".join([error.message, *lines]), returncode=IMPOSSIBLE) from error

    def _list(self, options: dict[str, Any]) -> None:
        versions = PolicyVersion.objects.select_related("pack").defer("text", "document")
        rows = [_facts(version) for version in versions.order_by("pack__slug", "number")]
        if options["json"]:
            self._tell(rows)
            return
        for row in rows:
            note = f"  {row['note']}" if row["note"] else ""
            self.stdout.write(f"{row['pack']}@{row['number']}{' (active)' if row['active'] else ''}{note}")

    def _validate(self, options: dict[str, Any]) -> None:
        texts = {name: _read(name) for name in options["file"]}
        found = {name: operations.validate(text) for name, text in texts.items()}
        cautions = {name: _cautions(texts[name]) for name, problems in found.items() if not problems}
        if options["json"]:
            self._tell(
                [
                    {
                        "file": name,
                        "valid": not problems,
                        "problems": [problem.as_json() for problem in problems],
                        "cautions": [caution.as_json() for caution in cautions.get(name, ())],
                    }
                    for name, problems in found.items()
                ]
            )
        else:
            for name, problems in found.items():
                for problem in problems:
                    self.stdout.write(_at(name, problem))
                if not problems:
                    self.stdout.write(f"{name} is a valid pack.")
                    for caution in cautions[name]:
                        self.stderr.write(f"Caution: {caution.message}")
        if count := sum(len(problems) for problems in found.values()):
            raise CommandError(f"{count} problem{'' if count == 1 else 's'}.", returncode=WRONG)

    def _import(self, options: dict[str, Any]) -> None:
        text = _valid(options["file"])
        version = operations.import_pack(
            text, activate=options["activate"], note=options["note"], reason=options["reason"], actor=_actor()
        )
        self._done(version, options, f"{version.pack.slug}@{version.number}{_state(version)}")

    def _export(self, options: dict[str, Any]) -> None:
        text = _version(options["pack"]).text
        if options["output"] == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["output"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} can't be written: {error}.", returncode=IMPOSSIBLE) from error

    def _activate(self, options: dict[str, Any]) -> None:
        version = operations.activate(_version(options["pack"]).pk, reason=options["reason"], actor=_actor())
        self._done(version, options, f"{version.pack.slug}@{version.number} is active.")

    def _done(self, version: PolicyVersion, options: dict[str, Any], said: str) -> None:
        """Tell what was stored or activated; what an active version lacks goes to the standard error."""
        facts = _facts(PolicyVersion.objects.select_related("pack").get(pk=version.pk))
        cautions = outlook(version).cautions if facts["active"] else []
        if options["json"]:
            self._tell({**facts, "cautions": [caution.as_json() for caution in cautions]})
            return
        self.stdout.write(said)
        for caution in cautions:
            self.stderr.write(f"Caution: {caution.message}")

    def _diff(self, options: dict[str, Any]) -> None:
        before = _version(options["pack"])
        other: str = options["other"]
        if other.isdecimal():
            after = _version(f"{before.pack.slug}@{other}")
            text, document = after.text, after.document
        else:
            text = operations.normalized(_valid(other))
            document = operations.checked_document(text)
        differences = diffs.structural(before.document, document)
        lines = diffs.unified(before.text, text, names=(f"{before.pack.slug}@{before.number}", other))
        if options["json"]:
            self._tell({"differences": [each.as_json() for each in differences], "unified": "\n".join(lines)})
        elif options["structural"]:
            for each in differences:
                self.stdout.write(f"{each.change} {each.path}: {each.before or '–'} → {each.after or '–'}")
        else:
            for line in lines:
                self.stdout.write(line)
        if options["exit_code"] and lines:
            raise CommandError("They differ.", returncode=WRONG)

    def _tell(self, answer: Any) -> None:
        self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2))


def _actor() -> Actor:
    return Actor(kind="system", name="command line", via="command")


def _state(version: PolicyVersion) -> str:
    return " (active)" if PolicyPack.objects.filter(active_version=version).exists() else ""


def _facts(version: PolicyVersion) -> dict[str, Any]:
    return {
        "id": version.pk,
        "pack": version.pack.slug,
        "number": version.number,
        "active": version.pack.active_version_id == version.pk,
        "note": version.note,
        "checksum": version.checksum,
        "created_at": version.created_at.isoformat(),
    }


def _cautions(text: str) -> list[Caution]:
    """What a valid text lacks here, such as people for its roles; nothing where no database is to compare with."""
    try:
        return cautions_about(text)
    except DatabaseError:
        return []


def _at(name: str, problem: Problem) -> str:
    """As compilers say it, so that editors jump to the place."""
    where = f"{problem.path}: " if problem.path else ""
    return f"{name}:{problem.line}:{problem.column}: {where}{problem.message}"


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{name} can't be read: {error}.", returncode=IMPOSSIBLE) from error


def _valid(name: str) -> str:
    """The text of a file that is a valid pack; else the end, with every problem at its place."""
    text = _read(name)
    if problems := operations.validate(text):
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise CommandError("\n".join([*(_at(name, each) for each in problems), f"{count}."]), returncode=WRONG)
    return text


def _version(named: str) -> PolicyVersion:
    """The version `slug@number`, or the active one of `slug`; the newest where none is active."""
    slug, _, number = named.partition("@")
    versions = PolicyVersion.objects.select_related("pack").filter(pack__slug=slug)
    if number:
        found = versions.filter(number=int(number)).first() if number.isdecimal() else None
    else:
        found = versions.filter(pack__active_version_id=F("pk")).first() or versions.order_by("-number").first()
    if found is None:
        raise CommandError(f"There is no policy version {named!r}.", returncode=IMPOSSIBLE)
    return found
