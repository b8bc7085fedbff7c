"""Where the owner of a kind of subject says who may respond to one of them."""

from __future__ import annotations

from collections.abc import Callable

from apps.foundation.subjects import Subject, is_visible
from apps.people.models import User
from apps.people.permissions import user_allowed

RESPOND = "incidents.respond_incident"

MayRespond = Callable[[User, str], bool]
_authorities: dict[str, MayRespond] = {}


def register_authority(kind: str, may_respond: MayRespond) -> None:
    """Let the owner of a kind decide who may respond: `may_respond(user, key)`. A second owner is an error."""
    if kind in _authorities and _authorities[kind] is not may_respond:
        raise RuntimeError(f"Subject kind {kind!r} has two authorities.")
    _authorities[kind] = may_respond


def may_respond(user: User, subject: Subject) -> bool:
    """Whether this active person sees the subject and may respond to it.

    Where nobody registered for the kind, that is whoever holds `incidents.respond_incident`.
    """
    if not user.is_active or not is_visible(subject, user):
        return False
    asked = _authorities.get(subject.kind)
    return asked(user, subject.key) if asked else user_allowed(user, RESPOND)
