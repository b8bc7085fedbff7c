"""Looking at what is live, now or periodically, and keeping every state that was seen."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import DomainError
from apps.state.events import ConfigCaptured
from apps.state.live import Live, config_changed, head_of, read_live, refuse_in_transaction
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.recording import (
    add_version,
    loaded,
    locked,
    overtaken,
    save_head,
    save_quietly,
    seen_now,
    short_transaction,
    subject_of,
    tell_change,
    told,
)
from apps.state.permissions import APPLY, require_may
from apps.state.queries import due_captures

CAPTURE_TASK = "state.capture"
CAPTURE_QUEUE = "bulk"
AT_ONCE = 5
LEASE_SECONDS = 60
LOOKS = 3
logger = logging.getLogger(__name__)


def capture(document_id: int, *, actor: Actor) -> ConfigVersion:
    """Read what is live; a state that differs from the head becomes a version and a change in the catalog.

    A repeat finds the head. The source is asked outside transactions; when it can't be, that stands on the document
    and LiveUnreachable is raised. What was read while something newer was recorded is read again, a few times; then
    Conflict "config_changed". Needs `state.apply_configdocument`, or to lead the owning team.
    """
    document = loaded(document_id)
    require_may(actor, document, APPLY)
    if document.is_held_here:
        return head_of(document)
    refuse_in_transaction()
    for _ in range(LOOKS):
        revision = loaded(document_id).revision
        try:
            live = read_live(document)
        except DomainError as error:
            note_failure(document_id, error.message, actor=actor)
            raise
        with short_transaction(actor, "capture"):
            again = locked(document_id)
            if not overtaken(again, live, revision):
                return observe(again, live, actor=actor)
    raise config_changed(document)


def observe(document: ConfigDocument, live: Live, *, actor: Actor) -> ConfigVersion:
    """Record, on a locked document, what its source has just shown; the head when it is known already."""
    fields = seen_now(document)
    if document.head is not None and document.head.checksum == live.checksum:
        save_quietly(document, fields)
        return document.head
    version = add_version(document, live, origin=ConfigVersion.Origin.OBSERVED, actor=actor)
    save_quietly(document, fields)
    save_head(document)
    tell_observed(document, version, actor=actor)
    return version


def tell_observed(document: ConfigDocument, version: ConfigVersion, *, actor: Actor) -> None:
    """Tell of a state that somebody else made live: in the catalog's changes and as an event."""
    whose = f" by {version.source_author}" if version.source_author else ""
    title = f"{document.name} changed{whose} (version {version.source_version} at the source)"
    tell_change(document, version, title, author=version.source_author)
    event = ConfigCaptured(**told(document, version), source_version=version.source_version)
    publish(event, subject=subject_of(document), actor=actor)


def note_failure(document_id: int, sentence: str, *, actor: Actor) -> None:
    """Let the document say why its source could not be read; the next capture that works takes it away."""
    with short_transaction(actor, "capture failed"):
        document = locked(document_id)
        document.capture_error = sentence[:1000]
        document.unreachable_since = document.unreachable_since or now()
        save_quietly(document, ["capture_error", "unreachable_since"])


def capture_due() -> int:
    """One round of the sweeper: a few documents whose time has come; returns how many were looked at.

    Each is claimed by moving its next capture on, so that others pass it over, and it comes again by itself when
    this process dies.
    """
    actor = Actor.system("config capture")
    claimed = _claim(now())
    for document_id in claimed:
        try:
            capture(document_id, actor=actor)
        except DomainError as error:
            logger.info("The capture of config document %s failed: %s", document_id, error.message)
    return len(claimed)


def _claim(at: datetime) -> list[int]:
    with transaction.atomic():
        rows = list(due_captures(at).select_for_update(skip_locked=True)[:AT_ONCE])
        for document in rows:
            pause = max(document.capture_every_seconds, LEASE_SECONDS)
            document.next_capture_at = at + timedelta(seconds=pause)
            save_quietly(document, ["next_capture_at"])
    return [document.pk for document in rows]
