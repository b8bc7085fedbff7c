"""The registry of step kinds. Those that ship with the portal are there from the first look on."""

from __future__ import annotations

from apps.runbooks.steps.base import Effect, Outcome, Preview, StepContext, StepKind

__all__ = ["Effect", "Outcome", "Preview", "StepContext", "StepKind", "kind", "kinds", "known", "register"]

_kinds: dict[str, StepKind] = {}


def register(found: StepKind) -> None:
    """Own the name of a kind. The same class again changes nothing; another one is a programming error."""
    if found.name in _kinds and type(_kinds[found.name]) is not type(found):
        raise RuntimeError(f"The step kind {found.name!r} has two owners.")
    _kinds.setdefault(found.name, found)


def known(name: str) -> bool:
    """Whether somebody registered this kind."""
    return name in _registered()


def kind(name: str) -> StepKind:
    """The kind with this name. LookupError for one that nobody registered."""
    found = _registered()
    if name not in found:
        raise LookupError(f"There is no step kind {name!r}; known are {', '.join(found)}.")
    return found[name]


def kinds() -> list[StepKind]:
    """All kinds, in the order of their registration."""
    return list(_registered().values())


def _registered() -> dict[str, StepKind]:
    if "http_request" not in _kinds:
        from apps.runbooks.steps.shipped import SHIPPED

        for found in SHIPPED:
            register(found)
    return _kinds
