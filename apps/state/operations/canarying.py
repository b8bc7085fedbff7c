"""A document for a share of all first: given to its source with a percentage, read back, ended without going live."""

from __future__ import annotations

from typing import Any

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, DomainError
from apps.state.contents import check_content, checksum, unmasked
from apps.state.live import (
    Canary,
    Live,
    LiveUnreachable,
    config_changed,
    head_of,
    read_live,
    refuse_in_transaction,
    write_live,
)
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.capturing import note_failure, observe
from apps.state.operations.recording import (
    BACKUP,
    add_version,
    by_effect,
    clean_text,
    is_told,
    loaded,
    locked,
    overtaken,
    save_head,
    short_transaction,
    stored_key,
    tell_of,
)
from apps.state.permissions import APPLY, require_may
from apps.state.queries import canary_problems, canary_told
from apps.state.schemas import require_valid


def start_canary(
    document_id: int, content: Any, *, percentage: int, note: str = "", effect_key: str, actor: Actor
) -> ConfigVersion:
    """Let the source give `content` to a share of all, and read that back; returns the backup of what stays live.

    A repeat with the same `effect_key` does nothing again; after an attempt that was lost halfway it sends the same
    Idempotency-Key. A source that ignores the percentage, so that all have the content, gets back what was live.

    Raises NotFound, Forbidden; Invalid ("breaks_schema"); Conflict with "no_canary_here" for a document that the portal
    holds, "canary_runs" while another one does, "config_changed", "not_verified" for a source that does not obey;
    LiveUnreachable; RuntimeError inside a transaction.
    """
    document = loaded(document_id)
    require_may(actor, document, APPLY)
    key, why = stored_key(effect_key), clean_text(note, "note")
    _require_source(document)
    base = canary_backup(document, key) or head_of(document)
    meant = _meant(document, base, content)
    ours = Canary(percentage, meant, checksum(meant))
    if _is_recorded(document, key):
        return base
    try:
        live = read_live(document)
        if live.canary == ours:
            return _recorded(document, base, ours, key=key, note=why, actor=actor)
        if problems := canary_problems(document, live):
            raise Conflict(problems[0], code="canary_runs")
        if base.effect_key == key + BACKUP and live.checksum == ours.checksum != base.checksum:
            # An attempt that was lost wrote, and its source made it live for all.
            raise _not_obeyed(document, base, live, ours, key=key, actor=actor)
        backup = _begun(document, base, live, percentage=percentage, key=key, actor=actor)
        found = _written(document, live, ours, key=key, note=why, actor=actor)
    except LiveUnreachable as error:
        note_failure(document.pk, error.message, actor=actor)
        raise
    if found.canary == ours and found.checksum == live.checksum:
        return _recorded(document, backup, ours, key=key, note=why, actor=actor)
    raise _not_obeyed(document, backup, found, ours, key=key, actor=actor)


def probe_canary(document_id: int, content: Any, *, percentage: int, effect_key: str, actor: Actor) -> bool:
    """After an attempt without an outcome: whether the canary runs; records it then. Writes nothing at the source."""
    document, key = loaded(document_id), stored_key(effect_key)
    backup = canary_backup(document, key)
    if backup is None:
        return False
    meant = _meant(document, backup, content)
    ours = Canary(percentage, meant, checksum(meant))
    if not _is_recorded(document, key):
        if read_live(document).canary != ours:
            return False
        _recorded(document, backup, ours, key=key, note="", actor=actor)
    return True


def end_canary(document_id: int, *, expected: str, effect_key: str, reason: str, actor: Actor) -> bool:
    """End the canary whose content has the checksum `expected`: what is live is so for all again.

    False where it does not run any more; another one stays. Raises NotFound, Forbidden, Conflict with "no_canary_here"
    and "not_verified", LiveUnreachable.
    """
    document = loaded(document_id)
    require_may(actor, document, APPLY)
    key, why = stored_key(effect_key), clean_text(reason, "reason")
    _require_source(document)
    try:
        live = read_live(document)
        if live.canary is None or live.canary.checksum != expected:
            return False
        write_live(
            document, live.content, replacing=live, idempotency_key=key, author=actor.name, note=why, percentage=0
        )
        found = read_live(document)
    except LiveUnreachable as error:
        note_failure(document.pk, error.message, actor=actor)
        raise
    if found.canary is not None and found.canary.checksum == expected:
        raise Conflict(f"The source of {document.name} still shows the canary that was ended.", code="not_verified")
    _tell(document, f"The canary of {live.canary.percentage} % of {document.name} ended", key=key, actor=actor)
    return True


def canary_backup(document: ConfigDocument, effect_key: str) -> ConfigVersion | None:
    """What was live when the canary of this key was begun; None where it was not."""
    return by_effect(document, stored_key(effect_key) + BACKUP)


# --- steps ----------------------------------------------------------------------------------------------------------


def _require_source(document: ConfigDocument) -> None:
    if document.is_held_here:
        raise Conflict(canary_problems(document, None)[0], code="no_canary_here")
    refuse_in_transaction()


def _meant(document: ConfigDocument, base: ConfigVersion, content: Any) -> Any:
    check_content(content)
    meant = unmasked(content, base.content)
    require_valid(document.schema, meant)
    return meant


def _begun(
    document: ConfigDocument, base: ConfigVersion, live: Live, *, percentage: int, key: str, actor: Actor
) -> ConfigVersion:
    """Keep what stays live, which also marks that the attempt began; Conflict if something else is live by now."""
    with short_transaction(actor, "before a canary"):
        again = locked(document.pk)
        known = canary_backup(again, key)
        if known is None and not overtaken(again, live, document.revision) and base.checksum == live.checksum:
            note = f"before a canary of {percentage} %"
            known = add_version(
                again,
                live,
                origin=ConfigVersion.Origin.BACKUP,
                actor=actor,
                note=note,
                effect_key=key + BACKUP,
            )
            save_head(again)
        elif not overtaken(again, live, document.revision):
            observe(again, live, actor=actor)
    if known is None or known.checksum != live.checksum:
        raise config_changed(document)
    return known


def _written(document: ConfigDocument, live: Live, ours: Canary, *, key: str, note: str, actor: Actor) -> Live:
    """Write, and read back; a doubtful answer to the write counts only if reading shows nothing of it."""
    doubt: LiveUnreachable | None = None
    try:
        write_live(
            document,
            ours.content,
            replacing=live,
            idempotency_key=key,
            author=actor.name,
            note=note,
            percentage=ours.percentage,
        )
    except LiveUnreachable as error:
        if not error.extra.get("maybe_sent"):
            raise
        doubt = error
    found = read_live(document)
    if doubt is not None and found.is_for_all(live.checksum):
        raise doubt
    return found


def _not_obeyed(
    document: ConfigDocument, backup: ConfigVersion, found: Live, ours: Canary, *, key: str, actor: Actor
) -> Conflict:
    """The sentence for a source that did something else, after undoing at once what it did."""
    if found.checksum == ours.checksum != backup.checksum:
        said = f"The source of {document.name} ignored the percentage: the document was live for all."
        problem = _put_back(document, backup, found, key=key, actor=actor)
        after = f"It could not be put back: {problem}" if problem else "What was live before was put back at once."
        _tell(document, f"{said} {after}", key=f"{key}:back", actor=actor)
    elif found.canary is not None and found.canary.checksum == ours.checksum:
        said = f"The source of {document.name} shows {found.canary.percentage} % instead of {ours.percentage} %."
        try:
            end_canary(document.pk, expected=ours.checksum, effect_key=f"{key}:end", reason=said, actor=actor)
            after = "The canary was ended at once."
        except DomainError as error:
            after = f"The canary could not be ended: {error.message}"
    else:
        said = f"The source of {document.name} took the canary, but does not show it."
        after = "Look at what is live." if found.checksum != backup.checksum else "What was live is live for all."
    return Conflict(f"{said} {after}", code="not_verified")


def _put_back(document: ConfigDocument, backup: ConfigVersion, found: Live, *, key: str, actor: Actor) -> str:
    """Write what was live before, and read it back; why that failed, else nothing."""
    note = "its percentage was ignored"
    try:
        write_live(
            document, backup.content, replacing=found, idempotency_key=f"{key}:back", author=actor.name, note=note
        )
        again = read_live(document)
    except DomainError as error:
        return error.message
    return "" if again.checksum == backup.checksum else "the source shows something else. Look at what is live."


# --- what is recorded -----------------------------------------------------------------------------------------------


def _recorded(
    document: ConfigDocument, backup: ConfigVersion, ours: Canary, *, key: str, note: str, actor: Actor
) -> ConfigVersion:
    _tell(document, f"{canary_told(document, ours)}" + (f": {note}" if note else ""), key=key, actor=actor)
    return backup


def _told_key(key: str) -> str:
    return f"canary:{key}"


def _tell(document: ConfigDocument, title: str, *, key: str, actor: Actor) -> None:
    tell_of(document, title, key=_told_key(key), author=actor.name)


def _is_recorded(document: ConfigDocument, key: str) -> bool:
    return is_told(document, _told_key(key))
