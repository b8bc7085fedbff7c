"""Putting an earlier state back: backup, write, read back, record. Each step may be repeated."""

from __future__ import annotations

from dataclasses import dataclass

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.state.events import ConfigRestored
from apps.state.live import Live, LiveUnreachable, config_changed, head_of, live_of, read_live, write_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.capturing import note_failure, tell_observed
from apps.state.operations.recording import (
    BACKUP,
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
    version_of,
)
from apps.state.permissions import APPLY, require_may
from apps.state.queries import target_problems


@dataclass(frozen=True, slots=True)
class Restored:
    """What was live before, what is live now, and whether they differ."""

    backup: ConfigVersion
    version: ConfigVersion
    changed: bool


def restore(
    document_id: int,
    *,
    version_id: int | None = None,
    expected_checksum: str | None,
    effect_key: str,
    reason: str,
    actor: Actor,
) -> Restored:
    """Make an earlier version (None: the baseline) live again, and verify it by reading it back.

    A backup is kept first. A canary that runs at the source ends. A repeat with the same `effect_key` finds what the
    first recorded and does nothing again; after an attempt that was lost halfway it sends the same Idempotency-Key.
    `expected_checksum` is that of the live content which the caller looked at. A document that is held here is restored
    in one transaction, the caller's or its own; any other raises RuntimeError inside one, for it needs the network.

    Raises NotFound, Forbidden; Conflict with "no_baseline", "backup_unverified" or "breaks_schema" for what can't be
    put back, "config_changed" when something else is live by now, "effect_key_reused" for a key that did another
    thing, "not_verified" when the source shows something else afterwards; LiveUnreachable.
    """
    document = loaded(document_id)
    require_may(actor, document, APPLY)
    key, why = stored_key(effect_key), clean_text(reason, "reason") or "no reason given"
    if document.is_held_here:
        return _restore_here(
            document_id, version_id=version_id, expected=expected_checksum, key=key, reason=why, actor=actor
        )
    with short_transaction(actor, why):
        known = _known(document, version_id, key)
        target = known.version if known else _target(document, version_id)
    if known:
        return known
    try:
        live = read_live(document)
        if live.is_for_all(target.checksum):
            return _record(document_id, target, live, key=key, reason=why, actor=actor)
        if expected_checksum is not None and live.checksum != expected_checksum:
            raise config_changed(document)
        now_live = _replaced(document, target, live, key=key, reason=why, actor=actor)
    except LiveUnreachable as error:
        note_failure(document_id, error.message, actor=actor)
        raise
    return _record(document_id, target, now_live, key=key, reason=why, actor=actor)


def probe_restore(
    document_id: int, *, version_id: int | None, effect_key: str, reason: str = "", actor: Actor | None = None
) -> Restored | None:
    """After an attempt without an outcome: whether the version is live already; records the restore when it is.

    None when something else is live: the attempt had no effect, or was overtaken. Writes nothing at the source.
    """
    who = actor or Actor.system("restore probe")
    document, key = loaded(document_id), stored_key(effect_key)
    known = _known(document, version_id, key)
    if known:
        return known
    target = _target(document, version_id)
    live = read_live(document)
    if not live.is_for_all(target.checksum):
        return None
    why = clean_text(reason, "reason") or "found live after an attempt without an outcome"
    return _record(document_id, target, live, key=key, reason=why, actor=who)


# --- steps ----------------------------------------------------------------------------------------------------------


def _target(document: ConfigDocument, version_id: int | None) -> ConfigVersion:
    target = document.baseline if version_id is None else version_of(document, version_id)
    problems = target_problems(document, target)
    if target is None:
        raise Conflict(problems[0], code="no_baseline")
    if problems:
        code = "backup_unverified" if "does not verify" in problems[0] else "breaks_schema"
        raise Conflict(problems[0], code=code)
    return target


def _known(document: ConfigDocument, version_id: int | None, key: str) -> Restored | None:
    """What an attempt with this key recorded; Conflict when that was something else."""
    version = by_effect(document, key)
    if version is None:
        return None
    if version.restores_id is None or (version_id is not None and version.restores_id != version_id):
        raise Conflict("This idempotency key was used for something else: take a new one.", code="effect_key_reused")
    backup = by_effect(document, key + BACKUP) or version
    return Restored(backup, version, backup.checksum != version.checksum)


@operation
def _restore_here(
    document_id: int, *, version_id: int | None, expected: str | None, key: str, reason: str, actor: Actor
) -> Restored:
    document = locked(document_id)
    known = _known(document, version_id, key)
    if known:
        return known
    target, live = _target(document, version_id), live_of(head_of(document))
    if expected is not None and live.checksum not in (expected, target.checksum):
        raise config_changed(document)
    backup = _add_backup(document, live, key=key, reason=reason, actor=actor)
    again = Live(target.content, "", actor.name, target.checksum)
    return _add_restored(document, target, again, backup, key=key, reason=reason, actor=actor)


def _back_up(document_id: int, live: Live, *, revision: int, key: str, reason: str, actor: Actor) -> ConfigVersion:
    """Keep what is about to be replaced. A repeat finds it; Conflict if something else has become live since."""
    with short_transaction(actor, reason):
        document = locked(document_id)
        backup = by_effect(document, key + BACKUP)
        if overtaken(document, live, revision):
            raise config_changed(document)
        if backup is None:
            was_known = document.head is not None and document.head.checksum == live.checksum
            backup = _add_backup(document, live, key=key, reason=reason, actor=actor)
            save_head(document)
            if not was_known:
                tell_observed(document, backup, actor=actor)
        elif backup.checksum != live.checksum:
            raise config_changed(document)
        return backup


def _add_backup(document: ConfigDocument, live: Live, *, key: str, reason: str, actor: Actor) -> ConfigVersion:
    note = f"before: {reason}"
    return add_version(
        document, live, origin=ConfigVersion.Origin.BACKUP, actor=actor, note=note, effect_key=key + BACKUP
    )


def _replaced(
    document: ConfigDocument, target: ConfigVersion, live: Live, *, key: str, reason: str, actor: Actor
) -> Live:
    """Back up and write. What was overtaken counts when the target is live all the same: the write of an attempt that
    was given up may arrive after this one has looked."""
    try:
        _back_up(document.pk, live, revision=document.revision, key=key, reason=reason, actor=actor)
        return _written(document, target, live, key=key, reason=reason, actor=actor)
    except Conflict as error:
        if error.code != "config_changed":
            raise
        found = read_live(document)
        if not found.is_for_all(target.checksum):
            raise
        return found


def _written(
    document: ConfigDocument, target: ConfigVersion, live: Live, *, key: str, reason: str, actor: Actor
) -> Live:
    """Write, and read back what came of it; a doubtful answer to the write counts only if reading shows nothing."""
    doubt: LiveUnreachable | None = None
    try:
        write_live(document, target.content, replacing=live, idempotency_key=key, author=actor.name, note=reason)
    except LiveUnreachable as error:
        if not error.extra.get("maybe_sent"):
            raise
        doubt = error
    found = read_live(document)
    if found.is_for_all(target.checksum):
        return found
    if doubt is not None:
        raise doubt
    raise Conflict(
        f"The source of {document.name} took version {target.number}, but shows something else now: somebody else "
        "writes there, or it changes what it is given. Look at what is live.",
        code="not_verified",
    )


@operation
def _record(document_id: int, target: ConfigVersion, live: Live, *, key: str, reason: str, actor: Actor) -> Restored:
    """The restored version with all that follows, once for a key."""
    document = locked(document_id)
    known = _known(document, target.pk, key)
    if known:
        return known
    backup = by_effect(document, key + BACKUP)
    if backup is None:  # it was live before anything was done
        backup = _add_backup(document, live, key=key, reason=reason, actor=actor)
    return _add_restored(document, target, live, backup, key=key, reason=reason, actor=actor)


def _add_restored(
    document: ConfigDocument,
    target: ConfigVersion,
    live: Live,
    backup: ConfigVersion,
    *,
    key: str,
    reason: str,
    actor: Actor,
) -> Restored:
    changed = backup.checksum != target.checksum
    version = add_version(
        document,
        live,
        origin=ConfigVersion.Origin.RESTORED,
        actor=actor,
        note=reason,
        effect_key=key,
        restores=target,
    )
    if not document.is_held_here:
        save_quietly(document, seen_now(document))
    save_head(document)
    if changed:
        # Without the reason: it may speak of a private incident, and everybody sees what changed.
        tell_change(document, version, f"{document.name} put back to version {target.number}", author=actor.name)
    event = ConfigRestored(
        **told(document, version),
        backup_id=backup.pk,
        backup_number=backup.number,
        restores_id=target.pk,
        restores_number=target.number,
        reason=reason,
        changed=changed,
    )
    publish(event, subject=subject_of(document), actor=actor)
    return Restored(backup, version, changed)
