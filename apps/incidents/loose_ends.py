"""What is still going on about an incident when it is resolved: upper apps say, whoever resolves is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser

from apps.incidents.models import Incident
from apps.people.models import User


@dataclass(frozen=True, slots=True)
class LooseEnd:
    """One thing that resolving does not end. `kind` and `id` name it for programs, `title` and `state` for people."""

    kind: str
    id: int
    title: str
    state: str
    url: str


Finder = Callable[[Incident, User | AnonymousUser], Sequence[LooseEnd]]
"""Those of one incident that the user may see, the oldest first; a constant number of queries."""

_finders: dict[str, Finder] = {}


def register_loose_ends(name: str, finder: Finder) -> None:
    """Called once by the owner in its `ready()`; two finders of one name are a programming error."""
    if _finders.get(name, finder) is not finder:
        raise RuntimeError(f"Loose ends {name!r} are registered twice.")
    _finders[name] = finder


def loose_ends(incident: Incident, user: User | AnonymousUser) -> tuple[LooseEnd, ...]:
    """All that `user` may see of what is still going on about the incident. It forbids nothing."""
    return tuple(end for name in sorted(_finders) for end in _finders[name](incident, user))
