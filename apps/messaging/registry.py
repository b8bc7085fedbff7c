"""What the floors above know: guards (what must still be so at the last look), and what to do when a way fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject

CurrentRuns = Callable[[Sequence[str]], dict[str, int]]

_guards: dict[str, CurrentRuns] = {}


def register_guard(kind: str, current_runs: CurrentRuns) -> None:
    """Own the guards of `kind`; called once in `ready()`, a second owner is a programming error.

    `current_runs(keys)` reads the database afresh with one query. A key that it leaves out, or that has
    another run than the message's, makes the message void.
    """
    if _guards.get(kind, current_runs) is not current_runs:
        raise RuntimeError(f"Guard kind {kind!r} has two owners.")
    _guards[kind] = current_runs


def guard(kind: str) -> CurrentRuns | None:
    """Who knows the current runs of `kind`."""
    return _guards.get(kind)


@dataclass(frozen=True, slots=True)
class Wording:
    """What a message says, where that is only known when it is sent."""

    title: str
    body: str
    payload: dict[str, Any]
    subject: Subject


Worder = Callable[[Sequence[str]], dict[str, Wording]]

_worders: dict[str, Worder] = {}


def register_worder(guard_kind: str, worder: Worder) -> None:
    """Own the texts of messages with guards of this kind; called once in `ready()`, a second owner is an error.

    `worder(keys)` reads the database afresh with a constant number of queries, just before the messages are sent. A key
    that it leaves out keeps its text.
    """
    if _worders.get(guard_kind, worder) is not worder:
        raise RuntimeError(f"Guard kind {guard_kind!r} has two worders.")
    _worders[guard_kind] = worder


def worders() -> dict[str, Worder]:
    """Who words messages as they are sent, by the kind of their guards."""
    return _worders


Parts = Callable[[Sequence[str]], dict[str, list[Subject]]]

_parts: dict[str, Parts] = {}


def register_parts(kind: str, parts: Parts) -> None:
    """Say what a subject of `kind` is made of, where it has no page or timeline of its own; called once in `ready()`,
    a second owner is a programming error.

    `parts(keys)` gives the subjects that still matter, with one query. A key that it leaves out stands for itself.
    """
    if _parts.get(kind, parts) is not parts:
        raise RuntimeError(f"The parts of subject kind {kind!r} have two owners.")
    _parts[kind] = parts


def parts_of(subjects: Sequence[Subject]) -> dict[Subject, list[Subject]]:
    """Where to tell what concerns each of these subjects; one query for each kind that has parts."""
    found = {subject: [subject] for subject in subjects}
    for kind, parts in _parts.items():
        keys = sorted({subject.key for subject in subjects if subject.kind == kind})
        for key, named in (parts(keys) if keys else {}).items():
            found[Subject(kind, key)] = named
    return found


@dataclass(frozen=True, slots=True)
class Press:
    """What a person asked for at a provider: a button, or a reply. `action` is "acknowledge" or "resolve"."""

    subject: Subject
    action: str
    via: str


Responder = Callable[[Press, Actor], str]

_responders: dict[str, Responder] = {}


def register_responder(kind: str, responder: Responder) -> None:
    """Own what presses do to subjects of `kind`; called once in `ready()`, a second owner is a programming error.

    `responder(press, actor)` calls the operation, which checks what the actor may do, and returns a sentence for the
    person. It raises DomainError as the operation does. A repeat changes nothing.
    """
    if _responders.get(kind, responder) is not responder:
        raise RuntimeError(f"Subject kind {kind!r} has two responders.")
    _responders[kind] = responder


def has_responder(kind: str) -> bool:
    """Whether buttons and replies do something about subjects of `kind`."""
    return kind in _responders


def respond(press: Press, actor: Actor) -> str:
    """Do what was asked for and say what came of it. Raises DomainError; NotFound where nobody owns the kind."""
    responder = _responders.get(press.subject.kind)
    if responder is None:
        raise NotFound("There is nothing to answer here.")
    return responder(press, actor)


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message to a person that will not arrive, or whose provider has been broken for long (`is_final` False)."""

    message_id: int
    recipient_id: int
    channel: str
    address: str
    subject: Subject
    guard_kind: str
    guard_key: str
    guard_run: int | None
    is_final: bool
    error: str


Fallback = Callable[[Sequence[Undelivered]], None]

_fallbacks: list[Fallback] = []


def register_fallback(handler: Fallback) -> None:
    """Let `handler` bring forward the person's other ways; called in `ready()`, a second time changes nothing.

    It runs in the transaction that wrote the failures down, once for a batch of them, and must write rows only. Each
    message is reported once: when it fails for good, or has waited MESSAGE_FALLBACK_SECONDS for a broken provider.
    """
    if handler not in _fallbacks:
        _fallbacks.append(handler)


def tell_fallbacks(undelivered: Sequence[Undelivered]) -> None:
    """Call every fallback with what could not be delivered; nothing for an empty batch."""
    for handler in _fallbacks if undelivered else ():
        handler(undelivered)
