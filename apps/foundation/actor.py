"""Who does something: a person, a program with a token, the holder of a signed link, or the portal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

ActorKind = Literal["person", "token", "link", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The one on whose behalf an operation runs.

    `user_id` is the account whose permissions apply; it is None only for the portal itself (`system`).
    `scopes` limits a token further; None means no such limit. `via` says through which edge it came
    (web, api, link, task, command), for timelines and history.
    """

    kind: ActorKind
    name: str
    user_id: int | None = None
    token_id: int | None = None
    scopes: frozenset[str] | None = None
    via: str = "task"

    @classmethod
    def system(cls, name: str = "portal") -> Actor:
        """The portal acting by itself; permission checks let it pass."""
        return cls(kind="system", name=name)

    @property
    def is_system(self) -> bool:
        return self.kind == "system"

    def as_json(self) -> dict[str, Any]:
        """What an event row keeps of an actor."""
        return {"kind": self.kind, "name": self.name, "user_id": self.user_id, "via": self.via}


@dataclass(slots=True)
class Acting:
    """Who does what is running, and why. `account` is kept here by whoever looks it up first."""

    actor: Actor
    reason: str
    account: Any = None


_acting: ContextVar[Acting | None] = ContextVar("portal_acting", default=None)


@contextmanager
def acting(actor: Actor, reason: str) -> Iterator[None]:
    """Sign every history row written inside the block with this actor and reason."""
    token = _acting.set(Acting(actor, reason))
    try:
        yield
    finally:
        _acting.reset(token)


def current_acting() -> Acting | None:
    """The actor and reason that sign history rows now, if an operation is running."""
    return _acting.get()
