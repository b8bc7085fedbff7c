"""Which rotations somebody may see, their titles and their addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from apps.oncall.models import Rotation, Swap
from apps.people.models import User


def visible_rotations(user: User | AnonymousUser) -> QuerySet[Rotation]:
    """Who is on call is no secret: all rotations for holders of `oncall.view_rotation`, else none."""
    rows = Rotation.objects.select_related("team")
    return rows if user.is_active and user.has_perm("oncall.view_rotation") else rows.none()


def rotation_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of rotations by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in Rotation.objects.filter(pk__in=wanted).values_list("pk", "name")}


def swap_titles(keys: Iterable[str]) -> dict[str, str]:
    """What offers are called by their text keys, in one query."""
    rows = Swap.objects.filter(pk__in=[int(key) for key in keys if key.isdecimal()]).select_related("user", "rotation")
    return {str(row.pk): f"the offer of {row.user.name} in {row.rotation.name}" for row in rows}


def swap_url(key: str) -> str:
    """Where the page of an offer is."""
    return reverse("admin:oncall_swap_change", args=[key])


def visible_swap_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the offers in rotations that `user` may see, for `visible_subjects`."""
    rows = Swap.objects.filter(rotation__in=visible_rotations(user).values("pk"))
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


def rotation_url(key: str) -> str:
    """Where a rotation's page is."""
    return reverse("admin:oncall_rotation_change", args=[key])


def visible_rotation_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the rotations that `user` may see, for `visible_subjects`."""
    rows = visible_rotations(user).annotate(text_key=Cast("pk", CharField()))
    return rows.values_list("text_key", flat=True)
