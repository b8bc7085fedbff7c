"""Segments: named groups of those who ask. Changing one changes what every flag answers that speaks of it."""

from __future__ import annotations

from typing import Any

from apps.catalog.models import Team
from apps.catalog.queries import is_lead
from apps.engine.operations import publish
from apps.flags.evaluation.definitions import read_segment
from apps.flags.events import SegmentCreated, SegmentDeleted, SegmentEdited, SegmentEvent
from apps.flags.models import Segment
from apps.flags.operations.approving import demands_approval
from apps.flags.operations.changing import lock_revision, raise_revision
from apps.flags.operations.checking import MAX_TEXT, key_of
from apps.flags.permissions import ADD_SEGMENT, authorize_segment, require_add_segment_somewhere
from apps.flags.queries import flags_that_use, segment_subject
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.errors import Conflict, Forbidden, NotFound, PreconditionFailed
from apps.foundation.operations import operation
from apps.people.permissions import allowed
from apps.people.queries import user_of

_MAX_NAME = 120
_LARGEST_ID = 2**63 - 1


@operation
def create_segment(
    key: str, *, owner_id: int, name: str, definition: Any, description: str = "", reason: str = "", actor: Actor
) -> Segment:
    """Make a segment, the same in every environment; rules speak of it by its key, which stays.

    Needs `flags.add_segment` or to lead the owning team. Raises Forbidden, Conflict where the key is taken, and Invalid
    with every mistake of the definition at its place.
    """
    require_add_segment_somewhere(actor)
    revision = lock_revision()
    owner = _owner(owner_id, actor)
    if Segment.objects.filter(key=key_of(key)).exists():
        sentence = f"There is a segment {key} already."
        raise Conflict(sentence, code="key_taken", fields={"key": [sentence]})
    segment = Segment(key=key, owner=owner)
    _describe(segment, name=name, description=description, definition=definition)
    segment.save()
    raise_revision(revision)
    _tell(SegmentCreated, segment, reason, actor)
    return segment


@operation
def edit_segment(
    segment_id: int,
    *,
    owner_id: int | None = None,
    name: str | None = None,
    description: str | None = None,
    definition: Any = None,
    reason: str = "",
    expected_version: int | None = None,
    actor: Actor,
) -> Segment:
    """Change what is named; every flag that uses the segment answers accordingly within 2 seconds.

    The same values change nothing. Needs `flags.change_segment` or to lead the owning team. Raises NotFound, Forbidden,
    PreconditionFailed, Invalid, and Conflict `approval_needed` where a flag uses it whose answers others approve.
    """
    revision = lock_revision()
    segment = _locked(segment_id, "flags.change_segment", actor)
    if expected_version is not None and expected_version != segment.version:
        raise PreconditionFailed(f"{segment.key} was changed in the meantime: it has version {segment.version} now.")
    before = (segment.owner_id, segment.name, segment.description, segment.definition)
    if owner_id is not None and owner_id != segment.owner_id:
        segment.owner = _owner(owner_id, actor)
    _describe(
        segment,
        name=segment.name if name is None else name,
        description=segment.description if description is None else description,
        definition=segment.definition if definition is None else definition,
    )
    if before == (segment.owner_id, segment.name, segment.description, segment.definition):
        return segment
    if before[-1] != segment.definition:
        _require_free(segment)
    segment.version += 1
    segment.save()
    raise_revision(revision)
    _tell(SegmentEdited, segment, reason, actor)
    return segment


@operation
def delete_segment(segment_id: int, *, reason: str = "", actor: Actor) -> None:
    """Remove a segment that no flag uses. Needs `flags.delete_segment` or to lead the owning team.

    Raises NotFound, Forbidden, and Conflict that names the flags which still speak of it.
    """
    revision = lock_revision()
    segment = _locked(segment_id, "flags.delete_segment", actor)
    if users := flags_that_use(segment.key):
        named = ", ".join(f"{flag.key} ({flag.environment.slug})" for flag in users[:3])
        raise Conflict(f"{named} still use this segment: change their rules first.", code="segment_in_use")
    _tell(SegmentDeleted, segment, reason, actor)
    raise_revision(revision)
    segment.delete()


def _require_free(segment: Segment) -> None:
    """Conflict where it is part of what a flag answers whose changes a second person must approve."""
    for flag in filter(demands_approval, flags_that_use(segment.key)):
        raise Conflict(
            f"A second person must approve what {flag.key} answers in {flag.environment.name}, which speaks of this "
            "segment: make another segment, and propose rules with that.",
            code="approval_needed",
        )


def _locked(segment_id: int, permission: str, actor: Actor) -> Segment:
    rows = Segment.objects.select_for_update(of=("self",)).select_related("owner")
    segment = rows.filter(pk=segment_id).first() if 0 < segment_id <= _LARGEST_ID else None
    if segment is None:
        raise NotFound("There is no such segment.")
    authorize_segment(actor, segment, permission)
    return segment


def _describe(segment: Segment, *, name: str, description: str, definition: Any) -> None:
    segment.name = checked_text(name, "name", most=_MAX_NAME)
    segment.description = checked_text(description, "description", most=MAX_TEXT, required=False)
    segment.definition = read_segment(definition).model_dump(mode="json", by_alias=True)


def _owner(team_id: int, actor: Actor) -> Team:
    team = Team.objects.filter(pk=team_id).first() if 0 < team_id <= _LARGEST_ID else None
    if team is None:
        raise invalid("owner", "There is no such team.")
    user = user_of(actor)
    if not allowed(actor, ADD_SEGMENT) and not (user is not None and is_lead(user.pk, team.pk)):
        raise Forbidden(f"{actor.name} may not give segments to {team.name}: it needs {ADD_SEGMENT}, or to lead it.")
    return team


def _tell(event: type[SegmentEvent], segment: Segment, reason: str, actor: Actor) -> None:
    told = event(segment_id=segment.pk, key=segment.key, name=segment.name, reason=reason)
    publish(told, subject=segment_subject(segment), actor=actor)
