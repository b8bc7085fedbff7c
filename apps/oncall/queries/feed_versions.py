"""What a feed shows as a short text that changes whenever its shifts may have, without working them out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from django.conf import settings
from django.db.models import Q

from apps.oncall.models import CalendarFeed, Coverage, Override, Rotation, RotationMember, RotationWatch
from apps.people.models import User

# Raise it when the document of the same shifts looks otherwise.
_FORM = 1


def feed_version(feed: CalendarFeed, rotations: Sequence[Rotation], at: datetime) -> str:
    """The same for a day while no rotation changed, nobody was renamed and no account closed; three queries.

    Read before the shifts: what changes meanwhile is in the next version.
    """
    ids = [rotation.pk for rotation in rotations]
    about = {
        "form": _FORM,
        "portal": settings.PUBLIC_URL,
        "feed": [feed.pk, feed.owner_id, feed.rotation_id, feed.team_id, str(feed)],
        "day": f"{at.astimezone(UTC):%Y-%m-%d}",
        "rotations": [[row.pk, row.name, row.team.name] for row in rotations],
        "changes": [*RotationWatch.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "changed_at")],
        "people": [[user.pk, user.name, user.is_active, user.closed_at] for user in _people(ids)],
    }
    return sha256(json.dumps(about, default=str).encode()).hexdigest()[:32]


def _people(rotation_ids: Sequence[int]) -> list[User]:
    """Everybody whose name may stand in a shift of these rotations."""
    covers = Override.objects.filter(rotation__in=rotation_ids)
    coverages = Coverage.objects.filter(rotation__in=rotation_ids)
    members = RotationMember.objects.filter(layer__rotation__in=rotation_ids)
    there = Q(pk__in=members.values("user")) | Q(pk__in=covers.values("user")) | Q(pk__in=coverages.values("user"))
    replaced = Q(pk__in=covers.filter(replaces__isnull=False).values("replaces"))
    return list(User.objects.filter(there | replaced).order_by("pk"))
