"""Reads about accounts, and the Actor that an edge gives to operations."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import NoReverseMatch, reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.people.crypto import digest
from apps.people.models import ApiToken, ContactPoint, User

AREAS = (
    "incidents",
    "alerts",
    "oncall",
    "catalog",
    "policies",
    "messaging",
    "people",
    "changes",
    "approvals",
    "flags",
    "configs",
    "entities",
    "runbooks",
    "reviews",
)
SCOPES = frozenset({"*", *(f"{area}:{way}" for area in AREAS for way in ("read", "write"))})


def user_of(actor: Actor) -> User | None:
    """The account whose permissions apply to `actor`, read afresh; None for the portal itself or a deleted one."""
    if actor.user_id is None:
        return None
    return User.objects.filter(pk=actor.user_id).first()


def actor_for_user(user: User | AnonymousUser, via: str) -> Actor:
    """The Actor of a person (or a service account) that came through the edge `via`."""
    return Actor(kind="person", name=getattr(user, "name", "anonymous"), user_id=user.pk, via=via)


def actor_for_token(token: ApiToken, via: str = "api") -> Actor:
    """The Actor of a program that holds `token`: its account's permissions, limited to the token's scopes."""
    return Actor(
        kind="token",
        name=f"{token.user.name} ({token.name})",
        user_id=token.user_id,
        token_id=token.pk,
        scopes=frozenset(token.scopes),
        via=via,
    )


def covers(scopes: Iterable[str], wanted: str) -> bool:
    """Whether `scopes` include `wanted`: itself, everything (`*`), or, for reading, writing of the same area."""
    area, _, way = wanted.partition(":")
    held = set(scopes)
    return "*" in held or wanted in held or (way == "read" and f"{area}:write" in held)


def usable_tokens() -> QuerySet[ApiToken]:
    """The tokens that open anything now: not revoked, not expired, and of an active account."""
    lasting = Q(expires_at__isnull=True) | Q(expires_at__gt=now())
    return ApiToken.objects.filter(lasting, revoked_at__isnull=True, user__is_active=True)


def token_by_text(text: str) -> ApiToken | None:
    """The usable token with this text, its account loaded."""
    return usable_tokens().select_related("user").filter(digest=digest(text)).first()


def visible_users(user: User | AnonymousUser) -> QuerySet[User]:
    """The accounts that `user` may see: all with `people.view_user`, else only their own."""
    everybody = User.objects.all()
    return everybody if user.has_perm("people.view_user") else everybody.filter(pk=user.pk or 0)


def visible_contact_points(user: User | AnonymousUser) -> QuerySet[ContactPoint]:
    """The contact points that `user` may see: their own, or all with `people.view_contactpoint`."""
    points = ContactPoint.objects.select_related("user")
    return points if user.has_perm("people.view_contactpoint") else points.filter(user_id=user.pk or 0)


def may_see_addresses(user: User | AnonymousUser, owner_id: int) -> bool:
    """Whether `user` may read where this person is reached: their own, or with `people.view_contactpoint`."""
    return owner_id == user.pk or user.has_perm("people.view_contactpoint")


def visible_tokens(user: User | AnonymousUser) -> QuerySet[ApiToken]:
    """The tokens that `user` may see: their own, those of service accounts they own, or all with the permission."""
    tokens = ApiToken.objects.select_related("user")
    if user.has_perm("people.view_apitoken"):
        return tokens
    return tokens.filter(Q(user_id=user.pk or 0) | Q(user__owner_id=user.pk or 0))


def contact_code(point: ContactPoint) -> str:
    """The eight characters that prove that a person reads what arrives at this address; the same each time."""
    text = f"contact {point.pk} {point.kind} {point.address}"
    return hmac.new(str(settings.SECRET_KEY).encode(), text.encode(), "sha256").hexdigest()[:8]


def user_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of accounts by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(user.pk): user.name for user in User.objects.filter(pk__in=wanted)}


def user_url(key: str) -> str:
    """Where an account's page is; empty where the admin is not mounted."""
    try:
        return reverse("admin:people_user_change", args=[key])
    except NoReverseMatch:
        return ""


def visible_user_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the accounts that `user` may see, for `visible_subjects`."""
    return visible_users(user).annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
