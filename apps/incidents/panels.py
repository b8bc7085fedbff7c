"""Where upper apps put their part of the command page: alerts, runbooks, reviews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from apps.incidents.models import Incident


@dataclass(frozen=True, slots=True)
class Panel:
    """One box on the command page.

    `template` is rendered with what `context(incident, request)` returns and with `incident`; `context` must
    filter by what `request.user` may see. Lower `position` stands further up; once the incident is resolved,
    `position_resolved` counts where it is given.
    """

    name: str
    title: str
    template: str
    context: Callable[[Incident, HttpRequest], dict[str, Any]]
    position: int = 100
    position_resolved: int | None = None


_panels: dict[str, Panel] = {}


def register_panel(panel: Panel) -> None:
    """Called once by the owner in its `ready()`; two panels of one name are a programming error."""
    if panel.name in _panels and _panels[panel.name] is not panel:
        raise RuntimeError(f"Panel {panel.name!r} is registered twice.")
    _panels[panel.name] = panel


def panels(*, is_open: bool = True) -> list[Panel]:
    """All panels in their order on the page of an open or of a resolved incident."""

    def place(panel: Panel) -> tuple[int, str]:
        moved = None if is_open else panel.position_resolved
        return panel.position if moved is None else moved, panel.name

    return sorted(_panels.values(), key=place)
