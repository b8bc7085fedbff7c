"""Where the owner of a kind of subject says who may respond to one of them, and when something last happened on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

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


LastActivity = Callable[[Sequence[str]], dict[str, datetime]]
_activities: dict[str, LastActivity] = {}


def register_activity(kind: str, last_activity: LastActivity) -> None:
    """Let the owner of a kind say when work on it last went on: `last_activity(keys)`, one query for many keys.

    What escalation itself does (pages, levels, failed messages) is no work. A second owner is an error.
    """
    if _activities.get(kind, last_activity) is not last_activity:
        raise RuntimeError(f"Subject kind {kind!r} has two owners of its activity.")
    _activities[kind] = last_activity


def last_activity(subjects: Collection[Subject]) -> dict[Subject, datetime]:
    """When work on these subjects last went on; those on which it never did, or of unowned kinds, are left out."""
    found: dict[Subject, datetime] = {}
    for kind in {subject.kind for subject in subjects} & set(_activities):
        keys = [subject.key for subject in subjects if subject.kind == kind]
        found |= {Subject(kind, key): at for key, at in _activities[kind](keys).items()}
    return found
