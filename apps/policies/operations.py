"""Verbs on policy packs: validate, import, activate. No verb changes a version."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.db.models import Max

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.permissions import require
from apps.policies.events import VersionActivated, VersionImported
from apps.policies.loading import HEAD, Loaded, PackHead, load
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.queries import forget
from apps.policies.sections import Problem

SUBJECT_KIND = "policy_pack"
SHIPPED_NOTE = "shipped with the portal"
MOST_SHOWN = 50
NOTE_LENGTH = 500

_PACKS = Path(__file__).parent / "packs"


class InvalidPack(Invalid):
    """The text is no valid pack; `problems` says where and why, and `extra["problems"]` the same for an API."""

    code = "invalid_pack"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        shown = problems[:MOST_SHOWN]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"The pack has {count}. The first: {problems[0]}",
            fields={"text": [str(problem) for problem in shown]},
            extra={"problems": [problem.as_json() for problem in shown]},
        )


def normalized(text: str) -> str:
    """The text as it is stored: line ends as `\\n`, no byte-order mark, one line end at the end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip() + "\n"


def validate(text: str) -> list[Problem]:
    """All that is wrong with a pack's text, in the order of its lines; an empty list when it can be imported."""
    return load(normalized(text)).problems


def checked_document(text: str) -> dict[str, Any]:
    """The parsed document of a valid text. Raises InvalidPack."""
    loaded = load(normalized(text))
    if loaded.problems:
        raise InvalidPack(loaded.problems)
    found: dict[str, Any] = loaded.document.value
    return found


def active_of(document: dict[str, Any]) -> PolicyVersion | None:
    """The active version of the pack that a valid document names; None for a new pack or one without any."""
    pack = PolicyPack.objects.select_related("active_version__pack").filter(slug=document[HEAD]["slug"]).first()
    return pack.active_version if pack else None


def shipped_packs() -> list[Path]:
    """The files of the packs that come with the portal, in the order of their names."""
    return sorted(_PACKS.glob("*.yaml"))


@operation
def import_pack(text: str, *, activate: bool = False, note: str = "", reason: str = "", actor: Actor) -> PolicyVersion:
    """Store a text as a new version of the pack that it names; makes the pack where it is new.

    The same text again changes nothing and returns the version that has it. With `activate` that version is
    activated too, for `reason` (else the note). Needs `policies.add_policyversion`, for a new pack also
    `policies.add_policypack`, to activate `policies.change_policypack`. Raises InvalidPack, Forbidden.
    """
    require(actor, "policies.add_policyversion")
    loaded = load(normalized(text))
    if loaded.problems or loaded.head is None:
        raise InvalidPack(loaded.problems)
    pack = _locked_pack(loaded.head, actor)
    version = _stored(pack, loaded, note, actor)
    if activate:
        _activate(pack, version, loaded.head, reason or note or "activated on import", actor)
    return version


def _locked_pack(head: PackHead, actor: Actor) -> PolicyPack:
    found = PolicyPack.objects.select_for_update().filter(slug=head.slug).first()
    if found is not None:
        return found
    require(actor, "policies.add_policypack")
    # Of two first imports at once the second waits for the first here, and then finds its row.
    pack, _ = PolicyPack.objects.get_or_create(
        slug=head.slug, defaults={"name": head.name, "description": head.description}
    )
    return PolicyPack.objects.select_for_update().get(pk=pack.pk)


def _stored(pack: PolicyPack, loaded: Loaded, note: str, actor: Actor) -> PolicyVersion:
    checksum = hashlib.sha256(loaded.text.encode()).hexdigest()
    found = pack.versions.filter(checksum=checksum).first()
    if found is not None:
        return found
    newest = pack.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = PolicyVersion.objects.create(
        pack=pack,
        number=newest + 1,
        text=loaded.text,
        document=loaded.document.value,
        checksum=checksum,
        note=note.strip()[:NOTE_LENGTH],
        author_id=actor.user_id,
    )
    forget(version.pk)
    event = VersionImported(pack=pack.slug, version_id=version.pk, number=version.number, note=version.note)
    publish(event, subject=Subject(SUBJECT_KIND, str(pack.pk)), actor=actor)
    return version


@operation
def activate(version_id: int, *, reason: str, actor: Actor) -> PolicyVersion:
    """Let new incidents of the pack follow this version; open incidents keep the one they were declared under.

    What is active already stays so, unchanged. Needs `policies.change_policypack` and a reason. Raises
    NotFound, Forbidden, Invalid without a reason, Conflict where today's rules no longer accept the text.
    """
    require(actor, "policies.change_policypack")
    if not reason.strip():
        raise Invalid("Say why this version is activated.", fields={"reason": ["This must not be empty."]})
    version = PolicyVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound("There is no such policy version.")
    pack = PolicyPack.objects.select_for_update().get(pk=version.pack_id)
    loaded = load(version.text)
    if loaded.problems or loaded.head is None:
        raise Conflict(
            f"{version} does not fit the rules of this release of the portal. The first problem: {loaded.problems[0]}",
            code="outdated_pack",
        )
    _activate(pack, version, loaded.head, reason.strip(), actor)
    return version


def _activate(pack: PolicyPack, version: PolicyVersion, head: PackHead, reason: str, actor: Actor) -> None:
    require(actor, "policies.change_policypack")
    before = pack.active_version
    if before is not None and before.pk == version.pk:
        return
    pack.active_version = version
    pack.name, pack.description = head.name, head.description
    pack._change_reason = f"version {version.number}: {reason}"[:100]  # type: ignore[attr-defined]  # simple-history reads it
    pack.save()
    event = VersionActivated(
        pack=pack.slug,
        version_id=version.pk,
        number=version.number,
        previous_number=before.number if before else None,
        reason=reason,
    )
    publish(event, subject=Subject(SUBJECT_KIND, str(pack.pk)), actor=actor)


def import_shipped_packs(*, actor: Actor) -> list[PolicyVersion]:
    """Import every shipped pack, and activate it where nothing is active or only an older shipped text is.

    A version that people activated stays. Repeats change nothing.
    """
    return [_import_shipped(path.read_text(encoding="utf-8"), actor=actor) for path in shipped_packs()]


@operation
def _import_shipped(text: str, *, actor: Actor) -> PolicyVersion:
    version = import_pack(text, note=SHIPPED_NOTE, actor=actor)
    active = PolicyPack.objects.select_related("active_version").get(pk=version.pack_id).active_version
    if active is None or (active.pk != version.pk and active.note == SHIPPED_NOTE and active.author_id is None):
        activate(version.pk, reason=SHIPPED_NOTE, actor=actor)
    return version
