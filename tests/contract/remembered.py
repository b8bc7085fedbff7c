"""What is the same in every request of one person: read once, where ten thousand requests are tried in a row."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.backends import ModelBackend

from apps.people.models import User

DJANGOS = "django.contrib.auth.backends.ModelBackend"
BACKEND = f"{__name__}.RememberedPeople"
_people: dict[int, tuple[User, dict[str, frozenset[str]]]] = {}


class RememberedPeople(ModelBackend):
    """Django's backend, which asks for nobody again whom `remember` has read; each request gets a person of its own.

    Only where whatever a request does is rolled back.
    """

    def get_user(self, user_id: int) -> Any:
        found = _people.get(user_id)
        return copy.copy(found[0]) if found else super().get_user(user_id)

    def _get_permissions(self, user_obj: Any, obj: Any, from_name: str) -> set[str]:
        found = _people.get(user_obj.pk)
        if found is None or obj is not None or not user_obj.is_active:
            return super()._get_permissions(user_obj, obj, from_name)  # type: ignore[misc,no-any-return]  # untold
        return set(found[1][from_name])


def quick_logins(settings: Any) -> None:
    """Let the visitors of the world that is built next be known without asking the database in each request."""
    settings.AUTHENTICATION_BACKENDS = [BACKEND if it == DJANGOS else it for it in settings.AUTHENTICATION_BACKENDS]
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"


def remember(people: Iterable[User]) -> None:
    """Read these people and what they may do, and forget all others."""
    _people.clear()
    plain = ModelBackend()
    read = {}
    for person in people:
        user = User.objects.get(pk=person.pk)
        held = {"user": plain.get_user_permissions(user), "group": plain.get_group_permissions(user)}
        read[user.pk] = User.objects.get(pk=user.pk), {way: frozenset(names) for way, names in held.items()}
    _people.update(read)
