"""Verbs on runbooks and their versions: create, edit, save, activate, retire. No verb changes a version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django.db.models import Max

from apps.catalog.models import Service, Team
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.people.permissions import allowed
from apps.policies.documents import read
from apps.runbooks.authorship import CHANGE, manager_reason, require_create, require_edit
from apps.runbooks.documents import Document, InvalidRunbook, document_of, normalized, read_content
from apps.runbooks.models import Runbook, RunbookVersion
from apps.runbooks.nesting import nesting_findings
from apps.runbooks.operations.checking import check_version, checked_texts, locked_runbook
from apps.runbooks.operations.reviewing import plan_review
from apps.runbooks.secrets import Vault

NOTE_LENGTH = 300


@operation
def create_runbook(
    slug: str,
    name: str,
    *,
    owner_id: int,
    description: str = "",
    category: str = "",
    service_ids: Sequence[int] = (),
    actor: Actor,
) -> Runbook:
    """A runbook without any version, as a draft. Needs `runbooks.add_runbook`, or to lead the owning team.

    Raises Forbidden, Invalid for a wrong name or an unknown team or service, Conflict for a slug that is taken.
    """
    owner = Team.objects.filter(pk=owner_id).first()
    require_create(actor, owner.pk if owner else None)
    if owner is None:
        raise Invalid("There is no such team.", fields={"owner": ["There is no such team."]})
    texts = checked_texts(slug=slug, name=name, description=description, category=category)
    services = _services(service_ids)
    if Runbook.objects.filter(slug=texts["slug"]).exists():
        raise Conflict(f"There is a runbook `{slug}` already.", code="slug_taken", fields={"slug": ["It is taken."]})
    runbook = Runbook.objects.create(owner=owner, **texts)
    runbook.services.set(services)
    return runbook


@operation
def edit_runbook(
    runbook_id: int,
    *,
    name: str | None = None,
    description: str | None = None,
    category: str | None = None,
    owner_id: int | None = None,
    service_ids: Sequence[int] | None = None,
    expected_version: int | None = None,
    actor: Actor,
) -> Runbook:
    """Change what is given of a runbook's name, description, category, owner and services; the rest stays.

    Needs `runbooks.change_runbook`, or to lead the owning team; another owner needs the permission. What is so
    already changes nothing. Raises NotFound, Forbidden, PreconditionFailed, Invalid.
    """
    runbook = locked_runbook(runbook_id, actor)
    require_edit(actor, runbook)
    check_version(runbook, expected_version)
    given = {"name": name, "description": description, "category": category}
    changes: dict[str, Any] = checked_texts(**{key: value for key, value in given.items() if value is not None})
    if owner_id is not None and owner_id != runbook.owner_id:
        changes["owner_id"] = _new_owner(owner_id, actor)
    fresh = {key: value for key, value in changes.items() if getattr(runbook, key) != value}
    services = _services(service_ids) if service_ids is not None else None
    if services is not None and {row.pk for row in services} != set(runbook.services.values_list("pk", flat=True)):
        runbook.services.set(services)
    elif not fresh:
        return runbook
    for key, value in fresh.items():
        setattr(runbook, key, value)
    return _saved(runbook)


@operation
def save_version(
    runbook_id: int,
    text: str,
    *,
    note: str = "",
    activate: bool = False,
    expected_version: int | None = None,
    actor: Actor,
) -> RunbookVersion:
    """Store a text as the next version of a runbook, and activate it where that is asked.

    A text that a version has already is not stored again: that version is returned (and activated). Needs
    `runbooks.change_runbook`, or to lead the owning team. Raises NotFound, Forbidden, PreconditionFailed,
    InvalidRunbook with the line of every problem, Invalid for a text that holds the text of a secret.
    """
    runbook = locked_runbook(runbook_id, actor)
    require_edit(actor, runbook)
    check_version(runbook, expected_version)
    text = normalized(text)
    document, content = read_content(text)
    _refuse_rings(runbook, document, text)
    if Vault().holds(text):
        message = "The text holds the value of a secret: write {{ secret.NAME }} in its place."
        raise Invalid(message, code="secret_in_text", fields={"text": [message]})
    version = _stored(runbook, text, content, note, actor)
    if activate:
        _activate(runbook, version, document, note or "activated when it was saved", actor)
    return version


@operation
def activate_version(
    version_id: int, *, reason: str = "", expected_version: int | None = None, actor: Actor
) -> RunbookVersion:
    """Let dry runs and executions follow this version from now on; the runbook becomes active.

    Executions keep the version they began with. What is active already stays so, unchanged. Needs
    `runbooks.change_runbook`, or to lead the owning team; only the permission suffices where the text uses a secret or
    the portal's signing key, or reaches for what belongs to another team. Raises NotFound, Forbidden,
    PreconditionFailed, InvalidRunbook where today's rules no longer accept the text.
    """
    version = RunbookVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound("There is no such version.")
    runbook = locked_runbook(version.runbook_id, actor)
    require_edit(actor, runbook)
    check_version(runbook, expected_version)
    _activate(
        runbook, version, document_of(version), checked_text(reason, "reason", most=NOTE_LENGTH, required=False), actor
    )
    return version


@operation
def retire(runbook_id: int, *, reason: str, expected_version: int | None = None, actor: Actor) -> Runbook:
    """Take a runbook out of use: it can't be executed until a version is activated again.

    Executions at work go on. A repeat changes nothing. Needs `runbooks.change_runbook`, or to lead the owning team,
    and a reason. Raises NotFound, Forbidden, PreconditionFailed, Invalid.
    """
    runbook = locked_runbook(runbook_id, actor)
    require_edit(actor, runbook)
    check_version(runbook, expected_version)
    checked_text(reason, "reason", most=NOTE_LENGTH)
    if runbook.state == Runbook.State.RETIRED:
        return runbook
    runbook.state = Runbook.State.RETIRED
    return _saved(runbook)


def _services(ids: Sequence[int]) -> list[Service]:
    found = list(Service.objects.filter(pk__in=set(ids)))
    if len(found) != len(set(ids)):
        raise Invalid("There is no such service.", fields={"services": ["One of them does not exist."]})
    return found


def _new_owner(owner_id: int, actor: Actor) -> int:
    if not allowed(actor, CHANGE):
        raise Forbidden(
            f"{actor.name} may not give a runbook to another team: it needs the permission {CHANGE}.",
            extra={"permission": CHANGE},
        )
    if not Team.objects.filter(pk=owner_id).exists():
        raise Invalid("There is no such team.", fields={"owner": ["There is no such team."]})
    return owner_id


def _saved(runbook: Runbook) -> Runbook:
    runbook.version += 1
    runbook.save()
    return runbook


def _stored(runbook: Runbook, text: str, content: dict[str, Any], note: str, actor: Actor) -> RunbookVersion:
    checksum = hashlib.sha256(text.encode()).hexdigest()
    versions = RunbookVersion.objects.filter(runbook=runbook)
    found = versions.filter(checksum=checksum).order_by("-number").first()
    if found is not None:
        return found
    newest = versions.aggregate(newest=Max("number"))["newest"] or 0
    version = RunbookVersion.objects.create(
        runbook=runbook,
        number=newest + 1,
        text=text,
        content=content,
        checksum=checksum,
        note=checked_text(note, "note", most=NOTE_LENGTH, required=False),
        author_id=actor.user_id,
        author_name=actor.name[:120],
    )
    _saved(runbook)
    return version


def _refuse_rings(runbook: Runbook, document: Document, text: str) -> None:
    """Raise InvalidRunbook where sub-runbooks would run in a ring or too deep."""
    if found := list(nesting_findings(runbook.slug, document)):
        yaml = read(text)
        raise InvalidRunbook([yaml.problem(finding.where, finding.message) for finding in found])


def _activate(runbook: Runbook, version: RunbookVersion, document: Document, reason: str, actor: Actor) -> None:
    if runbook.active_version_id == version.pk and runbook.state == Runbook.State.ACTIVE:
        return
    _refuse_rings(runbook, document, version.text)
    told = manager_reason(document, runbook)
    if told and not allowed(actor, CHANGE):
        raise Forbidden(
            f"{actor.name} may not activate this version: {told}, so it needs the permission {CHANGE}.",
            extra={"permission": CHANGE},
        )
    runbook.active_version = version
    runbook.state = Runbook.State.ACTIVE
    runbook._change_reason = f"version {version.number}: {reason or 'activated'}"[:100]  # type: ignore[attr-defined]  # simple-history reads it
    _saved(runbook)
    plan_review(runbook)
