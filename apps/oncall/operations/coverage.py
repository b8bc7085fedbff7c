"""Coverage: extra people besides whoever has the duty, for a launch say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.events import CoverageAdded, CoverageCancelled
from apps.oncall.models import Coverage
from apps.oncall.operations.checking import active_user, check_interval, locked_rotation, subject_of
from apps.oncall.operations.watching import remember
from apps.oncall.permissions import require_cover

MOST_AT_ONCE = 50


@operation
def add_coverage(
    rotation_id: int,
    user_ids: Sequence[int],
    starts_at: datetime,
    ends_at: datetime,
    *,
    reason: str = "",
    actor: Actor,
) -> list[Coverage]:
    """Put people on call besides whoever has the duty, from `starts_at` until before `ends_at`.

    Who is there for exactly that time already stays as they are. For those who may put each of them on call in this
    rotation by an override. Raises NotFound, Forbidden, Invalid.
    """
    rotation = locked_rotation(rotation_id)
    wanted = list(dict.fromkeys(user_ids))
    if not 1 <= len(wanted) <= MOST_AT_ONCE:
        sentence = f"Name from 1 to {MOST_AT_ONCE} people."
        raise Invalid(sentence, fields={"users": [sentence]})
    for user_id in wanted:
        require_cover(actor, rotation, user_id, "oncall.add_coverage")
    check_interval(starts_at, ends_at, actor)
    standing = rotation.coverages.filter(
        cancelled_at__isnull=True, starts_at=starts_at, ends_at=ends_at, user_id__in=wanted
    )
    there = {row.user_id: row for row in standing}
    found = []
    for user_id in wanted:
        row = there.get(user_id)
        if row is None:
            user = active_user(user_id)
            remember(rotation, actor)
            row = Coverage.objects.create(
                rotation=rotation,
                user=user,
                starts_at=starts_at,
                ends_at=ends_at,
                reason=reason[:200],
                created_at=now(),
            )
            event = CoverageAdded(
                rotation_id=rotation.pk,
                coverage_id=row.pk,
                user_id=user_id,
                starts_at=starts_at.isoformat(),
                ends_at=ends_at.isoformat(),
                reason=row.reason,
            )
            publish(event, subject=subject_of(rotation), actor=actor)
        found.append(row)
    return found


@operation
def cancel_coverage(coverage_id: int, *, reason: str = "", actor: Actor) -> Coverage:
    """End one person's coverage now; what was until now stays true. A repeat changes nothing.

    For whoever could add it and for the person it puts on call. Raises NotFound, Forbidden, Conflict when it is over.
    """
    found = Coverage.objects.filter(pk=coverage_id).first()
    if found is None:
        raise NotFound("There is no such coverage.")
    rotation = locked_rotation(found.rotation_id)
    row = Coverage.objects.select_for_update(of=("self",)).get(pk=coverage_id)
    require_cover(actor, rotation, row.user_id, "oncall.add_coverage")
    if row.cancelled_at is not None:
        return row
    if row.ends_at <= now():
        raise Conflict("This coverage is over already.", code="coverage_is_over")
    remember(rotation, actor)
    row.cancelled_at = now()
    row.save(update_fields=["cancelled_at"])
    event = CoverageCancelled(rotation_id=rotation.pk, coverage_id=row.pk, user_id=row.user_id)
    publish(event, subject=subject_of(rotation), actor=actor)
    return row
