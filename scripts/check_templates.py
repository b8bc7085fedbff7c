"""Compile every template of the project, so that a misspelt tag is found before a page is opened."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django
from django.template import TemplateSyntaxError
from django.template.loader import get_template

ROOT = Path(__file__).resolve().parent.parent


def names() -> list[str]:
    """The names under which Django finds our templates."""
    found = []
    for folder in [ROOT / "templates", *sorted((ROOT / "apps").glob("*/templates"))]:
        found += [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return found


def main() -> int:
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
    django.setup()
    failed = 0
    for name in names():
        try:
            get_template(name)
        except TemplateSyntaxError as error:
            failed += 1
            print(f"{name}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
