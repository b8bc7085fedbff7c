"""Where upper apps put their part of the home page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class HomePanel:
    """One box on the home page.

    `template` is rendered with what `context(request)` returns; None leaves the box out, for those who may see
    nothing of it. `context` must filter by what `request.user` may see. Lower `position` stands further up.
    """

    name: str
    title: str
    template: str
    context: Callable[[HttpRequest], dict[str, Any] | None]
    position: int = 100


_panels: dict[str, HomePanel] = {}


def register_home_panel(panel: HomePanel) -> None:
    """Called once by the owner in its `ready()`; two panels of one name are a programming error."""
    if panel.name in _panels and _panels[panel.name] is not panel:
        raise RuntimeError(f"Home panel {panel.name!r} is registered twice.")
    _panels[panel.name] = panel


def home_panels() -> list[HomePanel]:
    """All boxes of the home page in their order."""
    return sorted(_panels.values(), key=lambda panel: (panel.position, panel.name))
