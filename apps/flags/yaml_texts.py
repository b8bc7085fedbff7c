"""Definitions as people read them."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Lists and mappings of scalars stay on one line, as people write them."""


def _written_short(dumper: yaml.SafeDumper, found: dict[Any, Any]) -> yaml.Node:
    plain = all(not isinstance(value, dict | list) for value in found.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", found.items(), flow_style=plain and len(found) <= 4)  # noqa: PLR2004  # what fits a line


_Dumper.add_representer(dict, _written_short)


def as_yaml(definition: Any) -> str:
    """A definition as text."""
    return yaml.dump(definition, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
