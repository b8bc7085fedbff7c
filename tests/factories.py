"""Small makers of rows for tests; every app adds its own below."""

from __future__ import annotations

from itertools import count
from typing import Any

from django.contrib.auth.models import Group

from apps.foundation.actor import Actor
from apps.people.models import ApiToken, User
from apps.people.operations import create_token, sync_groups
from apps.people.queries import actor_for_user

_numbers = count(1)


def person(*groups: str, **fields: Any) -> User:
    """A person in these groups, with a name nobody else has and the password "correct horse battery"."""
    number = next(_numbers)
    fields.setdefault("username", f"person{number}")
    fields.setdefault("email", f"{fields['username']}@example.com")
    if groups and not Group.objects.filter(name="viewer").exists():
        sync_groups()
    user = User.objects.create_user(password="correct horse battery", is_staff=bool(groups), **fields)
    if groups:
        user.groups.set(Group.objects.filter(name__in=groups))
    return user


def superuser(**fields: Any) -> User:
    """A person who may do everything."""
    user = person(is_superuser=True, **fields)
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    return user


def actor(user: User, via: str = "web") -> Actor:
    """This person, acting."""
    return actor_for_user(user, via)


def token(user: User, *scopes: str) -> tuple[ApiToken, str]:
    """A token of this account and its text; everything is in its scope unless told otherwise."""
    return create_token(user.pk, "test", scopes or ("*",), actor=Actor.system())


def bearer(user: User, *scopes: str) -> dict[str, str]:
    """Headers for Django's test client: `client.get(url, headers=bearer(user))`."""
    return {"Authorization": f"Bearer {token(user, *scopes)[1]}"}
