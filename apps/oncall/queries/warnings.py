"""What is wrong with a rotation: things that make a page reach nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q

from apps.foundation.clock import now
from apps.oncall.models import Layer, Rotation, RotationMember
from apps.people.models import ContactPoint


def warnings_of(rotations: Iterable[Rotation]) -> dict[int, list[str]]:
    """Sentences about each rotation: layers without members, and members whom no page can reach outside the portal.

    Three queries for any number of rotations.
    """
    ids = [rotation.pk for rotation in rotations]
    found: dict[int, list[str]] = {pk: [] for pk in ids}
    there = Q(effective_until__isnull=True) | Q(effective_until__gt=now() + timedelta(minutes=1))
    members = list(RotationMember.objects.filter(there, layer__rotation_id__in=ids).select_related("user", "layer"))
    peopled = {member.layer_id for member in members}
    for layer in Layer.objects.filter(rotation_id__in=ids).order_by("-priority", "-id"):
        if layer.pk not in peopled:
            found[layer.rotation_id].append(f"The layer {layer.name} has no members: it puts nobody on call.")
    reachable = set(
        ContactPoint.objects.filter(
            user_id__in={member.user_id for member in members}, state=ContactPoint.State.VERIFIED
        ).values_list("user_id", flat=True)
    )
    told: dict[int, set[int]] = defaultdict(set)
    for member in members:
        rotation_id = member.layer.rotation_id
        if member.user_id in told[rotation_id]:
            continue
        told[rotation_id].add(member.user_id)
        if not member.user.is_active:
            found[rotation_id].append(f"The account of {member.user.name} is closed: pages reach nobody on their turn.")
        elif member.user_id not in reachable:
            found[rotation_id].append(
                f"{member.user.name} has no verified contact point: pages reach only the inbox of the portal."
            )
    return found
