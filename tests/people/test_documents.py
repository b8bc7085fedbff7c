"""The documents say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from apps.people.groups import GROUP_PERMISSIONS
from apps.people.queries import AREAS

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_table_of_permissions_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \|(.*)\|$", (DOCS / "permissions.md").read_text(), re.MULTILINE)
    marks = {name: [bool(cell.strip()) for cell in cells.split("|")] for name, cells in rows}
    everything = {name for names in GROUP_PERMISSIONS.values() for name in names}
    assert marks == {name: [name in names for names in GROUP_PERMISSIONS.values()] for name in everything}


def test_every_area_of_scopes_is_named_for_callers() -> None:
    text = (DOCS / "api.md").read_text()
    assert all(f"`{area}`" in text for area in AREAS)
