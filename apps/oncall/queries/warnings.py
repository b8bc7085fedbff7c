"""What is wrong with a rotation: things that make a page reach nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Q, QuerySet

from apps.foundation.clock import now
from apps.oncall.models import Layer, Override, Rotation, RotationMember
from apps.oncall.registry import warnings_about_people
from apps.people.models import ContactPoint


def warnings_of(rotations: Iterable[Rotation]) -> dict[int, list[str]]:
    """Sentences about each rotation: layers without members, members whom no page can reach outside the portal, and
    covers by accounts that were closed since.

    A constant number of queries for any number of rotations.
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
    more = warnings_about_people({user_id for people in told.values() for user_id in people})
    for rotation_id, people in told.items():
        for member in {each.user_id: each for each in members if each.user_id in people}.values():
            found[rotation_id] += [f"{member.user.name}: {sentence}" for sentence in more.get(member.user_id, ())]
    for override in _of_closed_accounts(ids):
        found[override.rotation_id].append(
            f"The account of {override.user.name} is closed: their cover until {override.ends_at:%Y-%m-%d %H:%M} UTC "
            "does not count. Whoever had the duty before has it; cancel the cover, or cover with somebody else."
        )
    return found


def _of_closed_accounts(rotation_ids: list[int]) -> QuerySet[Override]:
    rows = Override.objects.filter(rotation_id__in=rotation_ids, ends_at__gt=now(), cancelled_at__isnull=True)
    return rows.filter(user__is_active=False).select_related("user").order_by("starts_at")
