"""Writing a new state by hand, where nobody else has changed it since it was read."""

from __future__ import annotations

import uuid
from typing import Any

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.state.contents import check_content, checksum, unmasked
from apps.state.events import ConfigApplied
from apps.state.live import Live, LiveUnreachable, config_changed, read_live, refuse_in_transaction, write_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.capturing import note_failure, observe
from apps.state.operations.recording import (
    add_version,
    by_effect,
    clean_text,
    loaded,
    locked,
    overtaken,
    save_head,
    save_quietly,
    seen_now,
    short_transaction,
    stored_key,
    subject_of,
    tell_change,
    told,
)
from apps.state.permissions import APPLY, require_may
from apps.state.schemas import require_valid


def edit_config(
    document_id: int, content: Any, *, expected_revision: int, note: str = "", effect_key: str = "", actor: Actor
) -> ConfigVersion:
    """Make `content` live if the document still has the revision that its editor read.

    Masks that the editor left where secrets stand mean the present values. The same content as live changes nothing,
    and neither does a repeat with the same `effect_key`. A document that is held here is written in one transaction;
    for any other its source is asked, written by compare-and-set and read back, outside transactions; a canary that
    runs there ends, also where the content is live already.

    Raises NotFound, Forbidden; Invalid ("breaks_schema", with each place); Conflict "config_changed";
    LiveUnreachable.
    """
    document = loaded(document_id)
    require_may(actor, document, APPLY)
    key, why = stored_key(effect_key) if effect_key else "", clean_text(note, "note")
    given: dict[str, Any] = {"expected_revision": expected_revision, "key": key, "note": why, "actor": actor}
    if document.is_held_here:
        return _edit_here(document_id, content, **given)
    return _edit_there(document, content, **given)


def _wanted(document: ConfigDocument, content: Any, expected_revision: int) -> Any:
    """The content as it is to be written. Raises Conflict or Invalid."""
    if document.revision != expected_revision:
        raise config_changed(document)
    check_content(content)
    meant = unmasked(content, document.head.content if document.head else {})
    require_valid(document.schema, meant)
    return meant


def _done_before(document: ConfigDocument, key: str) -> ConfigVersion | None:
    version = by_effect(document, key)
    written = (ConfigVersion.Origin.EDITED, ConfigVersion.Origin.APPLIED)
    if version is not None and version.origin not in written:
        raise Conflict("This idempotency key was used for something else: take a new one.", code="effect_key_reused")
    return version


@operation
def _edit_here(
    document_id: int, content: Any, *, expected_revision: int, key: str, note: str, actor: Actor
) -> ConfigVersion:
    document = locked(document_id)
    if done := _done_before(document, key):
        return done
    meant = _wanted(document, content, expected_revision)
    summed = checksum(meant)
    if document.head is not None and document.head.checksum == summed:
        return document.head
    return _add_applied(document, Live(meant, "", actor.name, summed), key=key, note=note, actor=actor)


def _edit_there(
    document: ConfigDocument, content: Any, *, expected_revision: int, key: str, note: str, actor: Actor
) -> ConfigVersion:
    refuse_in_transaction()
    if done := _done_before(document, key):
        return done
    meant = _wanted(document, content, expected_revision)
    wire_key = key or f"edit:{uuid.uuid4().hex}"
    try:
        live = read_live(document)
        if document.head is None or document.head.checksum != live.checksum:
            with short_transaction(actor, "seen before an edit"):
                again = locked(document.pk)
                if not overtaken(again, live, document.revision):
                    observe(again, live, actor=actor)
            raise config_changed(document)
        if live.is_for_all(checksum(meant)):
            return document.head
        write_live(document, meant, replacing=live, idempotency_key=wire_key, author=actor.name, note=note)
        found = read_live(document)
    except LiveUnreachable as error:
        note_failure(document.pk, error.message, actor=actor)
        raise
    if not found.is_for_all(checksum(meant)):
        shows = "something else" if found.checksum != checksum(meant) else "a canary beside it"
        raise Conflict(
            f"The source of {document.name} took the document, but shows {shows} now: look at what is live.",
            code="not_verified",
        )
    if live.checksum == found.checksum:  # only a canary ended
        return document.head
    with short_transaction(actor, note or "edit config"):
        again = locked(document.pk)
        return _done_before(again, key) or _add_applied(again, found, key=key, note=note, actor=actor)


def _add_applied(document: ConfigDocument, live: Live, *, key: str, note: str, actor: Actor) -> ConfigVersion:
    origin = ConfigVersion.Origin.EDITED if document.is_held_here else ConfigVersion.Origin.APPLIED
    version = add_version(document, live, origin=origin, actor=actor, note=note, effect_key=key)
    if not document.is_held_here:
        save_quietly(document, seen_now(document))
    save_head(document)
    title = f"{document.name} edited by {actor.name}" + (f": {note}" if note else "")
    tell_change(document, version, title, author=actor.name)
    event = ConfigApplied(**told(document, version), note=note)
    publish(event, subject=subject_of(document), actor=actor)
    return version
