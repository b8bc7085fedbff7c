"""The look and the sidebar."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {"SITE_TITLE": "Incident Portal", "SITE_HEADER": "Incident Portal"}
