"""How the page of an approval shows what is asked: the owner of a subject kind says so in its `ready()`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from apps.approvals.models import ApprovalRequest

Context = Callable[[ApprovalRequest, HttpRequest], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Display:
    """A template and what it needs. `context` reads only, and must do without what is gone meanwhile."""

    template: str
    context: Context


_displays: dict[str, Display] = {}


def register_display(subject_kind: str, template: str, context: Context) -> None:
    """Show approvals about this kind with `template`, for example a diff; a second owner is a programming error."""
    if subject_kind in _displays:
        raise RuntimeError(f"Approvals about {subject_kind!r} are displayed twice.")
    _displays[subject_kind] = Display(template, context)


def display_of(subject_kind: str) -> Display | None:
    """How approvals about this kind are shown; None: by their bare content."""
    return _displays.get(subject_kind)
