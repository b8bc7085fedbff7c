"""What the verbs have in common: locking, signing, and writing a version with all that follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max

from apps.catalog.models import Change
from apps.catalog.operations import NewChange, record_change
from apps.foundation.actor import Actor, acting
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import NotFound
from apps.foundation.redaction import redact_text
from apps.foundation.subjects import Subject
from apps.people.queries import user_of
from apps.state.live import Live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.queries import SUBJECT_KIND

NOTE_LENGTH = 300
BACKUP = ":backup"
_LONGEST_KEY = 120 - len(BACKUP)
_CHANGE_SOURCE = "configs"


@contextmanager
def short_transaction(actor: Actor, reason: str) -> Iterator[None]:
    """A transaction of its own beside network calls; RuntimeError inside another one, before anything is sent."""
    with transaction.atomic(durable=True), acting(actor, reason):
        yield


def loaded(document_id: int) -> ConfigDocument:
    """A document with all that the verbs read of it. Raises NotFound."""
    return _found(ConfigDocument.objects.select_related("service", "head", "baseline"), document_id)


def locked(document_id: int) -> ConfigDocument:
    """The same, its row locked."""
    rows = ConfigDocument.objects.select_for_update(of=("self",))
    return _found(rows.select_related("service", "head", "baseline"), document_id)


def _found(rows: Any, document_id: int) -> ConfigDocument:
    found: ConfigDocument | None = rows.filter(pk=document_id).first()
    if found is None:
        raise NotFound("There is no such config document.")
    return found


def version_of(document: ConfigDocument, version_id: int) -> ConfigVersion:
    """A version of this document. Raises NotFound."""
    found = ConfigVersion.objects.filter(pk=version_id, document=document).first()
    if found is None:
        raise NotFound(f"{document.name} has no such version.", fields={"version": ["There is no such version."]})
    return found


def clean_text(text: str, field: str, *, required: bool = False) -> str:
    """A reason or note as it is kept: without secrets, within its length. Raises Invalid."""
    return checked_text(redact_text(text), field, most=NOTE_LENGTH, required=required)


def stored_key(effect_key: str) -> str:
    """An idempotency key as rows and headers can hold it; one that is too long or odd becomes its hash."""
    fits = len(effect_key) <= _LONGEST_KEY and effect_key.isascii() and effect_key.isprintable()
    return effect_key if fits else hashlib.sha256(effect_key.encode("utf-8", "replace")).hexdigest()


def by_effect(document: ConfigDocument, effect_key: str) -> ConfigVersion | None:
    """What an earlier attempt with this key recorded."""
    return ConfigVersion.objects.filter(document=document, effect_key=effect_key).first() if effect_key else None


def add_version(
    document: ConfigDocument,
    live: Live,
    *,
    origin: str,
    actor: Actor,
    note: str = "",
    effect_key: str = "",
    restores: ConfigVersion | None = None,
) -> ConfigVersion:
    """Write the next version of a locked document and make it the head. Raises nothing of its own."""
    last = ConfigVersion.objects.filter(document=document).aggregate(last=Max("number"))["last"] or 0
    version = ConfigVersion.objects.create(
        document=document,
        number=last + 1,
        content=live.content,
        checksum=live.checksum,
        source_version=live.source_version,
        source_author=live.author if not document.is_held_here else "",
        origin=origin,
        restores=restores,
        note=note[:NOTE_LENGTH],
        author=user_of(actor),
        author_name=actor.name[:120],
        effect_key=effect_key,
    )
    document.head = version
    return version


def save_head(document: ConfigDocument) -> None:
    """Store the new head of a locked document; its revision rises."""
    document.revision += 1
    document.save(update_fields=["head", "revision"])


def overtaken(document: ConfigDocument, live: Live, revision: int) -> bool:
    """Whether a locked document has learnt of something newer since `revision`, when `live` was being read."""
    return document.revision != revision and (document.head is None or document.head.checksum != live.checksum)


def save_quietly(document: ConfigDocument, fields: list[str]) -> None:
    """Store fields that the history leaves out, without a history row: captures come each minute."""
    row: Any = document
    row.save_without_historical_record(update_fields=fields)


def seen_now(document: ConfigDocument) -> list[str]:
    """Note on the row that its source has just been read; returns the fields to save."""
    at = now()
    document.last_captured_at = at
    document.capture_error = ""
    document.unreachable_since = None
    every = document.capture_every_seconds
    document.next_capture_at = at + timedelta(seconds=every) if every and not document.is_held_here else None
    return ["last_captured_at", "capture_error", "unreachable_since", "next_capture_at"]


def tell_change(document: ConfigDocument, version: ConfigVersion, title: str, *, author: str) -> None:
    """Put a new version before everybody's eyes who asks "what changed?"; once for each."""
    number = version.source_version or str(version.number)
    tell_of(document, title, key=str(version.pk), author=author, version=number)


def tell_of(document: ConfigDocument, title: str, *, key: str, author: str, version: str = "") -> None:
    """Put what happened to a document before everybody's eyes who asks "what changed?"; once for each key."""
    record_change(
        NewChange(
            title=title[:300],
            kind=Change.Kind.CONFIG,
            service_id=document.service_id,
            environment_id=document.environment_id,
            version=version[:120],
            author=author[:120],
            source=_CHANGE_SOURCE,
            dedup_key=_change_key(document, key),
            labels={"config": document.slug},
        ),
        actor=Actor.system("configs"),
    )


def is_told(document: ConfigDocument, key: str) -> bool:
    """Whether `tell_of` told this."""
    return Change.objects.filter(source=_CHANGE_SOURCE, dedup_key=_change_key(document, key)).exists()


def _change_key(document: ConfigDocument, key: str) -> str:
    return f"{document.pk}:{key}"


def subject_of(document: ConfigDocument) -> Subject:
    return Subject(SUBJECT_KIND, str(document.pk))


def told(document: ConfigDocument, version: ConfigVersion) -> dict[str, Any]:
    """What every event says."""
    return {
        "document_id": document.pk,
        "version_id": version.pk,
        "number": version.number,
        "slug": document.slug,
        "name": document.name,
        "author": version.source_author or version.author_name,
    }
