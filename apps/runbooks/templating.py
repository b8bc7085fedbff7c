"""Placeholders: `{{ params.world }}` and other dotted names, and nothing else. There is no language here.

A placeholder that is the whole string keeps the type of its value; inside a longer text the value is written out;
inside an address it is percent-quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from apps.policies.sections import Where

_NAME = r"[A-Za-z_][\w-]*(?:\.[\w-]+)+"
PLACEHOLDER = re.compile(rf"\{{\{{\s*({_NAME})\s*\}}\}}", re.ASCII)
_OPENING = re.compile(r"\{\{")
_DOTS = {".", ".."}

Resolve = Callable[[str], Any]


class Unknown(Exception):
    """A placeholder that can't be filled in; the message says which and why."""


class Mark(str):  # noqa: SLOT000  # a text by all means, told apart only by its class
    """Stands in a dry run for a value that only an execution will know: `‹steps.restore.version›`."""


@dataclass(frozen=True, slots=True)
class Found:
    """A placeholder and where it stands. `in_host` is true in the scheme or the host of an address."""

    where: Where
    name: str
    in_host: bool


def has_placeholder(value: Any) -> bool:
    """Whether a value is a text with at least one placeholder."""
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def placeholders(value: Any, where: Where = (), *, url_fields: tuple[str, ...] = ()) -> Iterator[Found]:
    """Every placeholder below a value, with its place. `url_fields` are the keys at the top that hold addresses."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key in url_fields and isinstance(entry, str):
                end = _host_end(entry)
                for match in PLACEHOLDER.finditer(entry):
                    yield Found((*where, key), match[1], match.start() < end)
            else:
                yield from placeholders(entry, (*where, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from placeholders(entry, (*where, index))
    elif isinstance(value, str):
        for match in PLACEHOLDER.finditer(value):
            yield Found(where, match[1], in_host=False)


def malformed(value: Any, where: Where = ()) -> Iterator[Where]:
    """Places of texts in which `{{` opens something that is no placeholder."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from malformed(entry, (*where, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from malformed(entry, (*where, index))
    elif isinstance(value, str) and len(_OPENING.findall(value)) != len(PLACEHOLDER.findall(value)):
        yield where


def render(value: Any, resolve: Resolve, *, url_fields: tuple[str, ...] = ()) -> Any:
    """A copy of `value` with every placeholder filled in. Raises Unknown for the first that can't be."""
    if isinstance(value, dict):
        return {
            key: _render_url(entry, resolve) if key in url_fields and isinstance(entry, str) else render(entry, resolve)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [render(entry, resolve) for entry in value]
    return _render_text(value, resolve) if isinstance(value, str) else value


def look_up(path: str, tree: Mapping[str, Any]) -> Any:
    """The value at a dotted path of mappings and lists. Raises Unknown where the path leads nowhere."""
    found: Any = tree
    for part in path.split("."):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and len(part) < 6 and int(part) < len(found):  # noqa: PLR2004  # no list is longer
            found = found[int(part)]
        elif isinstance(found, Mark):
            return Mark(f"{found[:-1]}.{part}›")
        else:
            raise Unknown(f"`{path}` is not known here.")
    return found


def _render_text(text: str, resolve: Resolve) -> Any:
    whole = PLACEHOLDER.fullmatch(text.strip())
    if whole:
        return resolve(whole[1])
    marked = False

    def filled(match: re.Match[str]) -> str:
        nonlocal marked
        value = resolve(match[1])
        marked = marked or isinstance(value, Mark)
        return written(value)

    rendered = PLACEHOLDER.sub(filled, text)
    return Mark(rendered) if marked else rendered


def _render_url(text: str, resolve: Resolve) -> str:
    """An address. A value before the first slash of the path is taken as it is (the author has bound it), a later one
    is quoted whole, so that it stays one segment of the path or one value of the query."""
    end = _host_end(text)
    marked = False

    def filled(match: re.Match[str]) -> str:
        nonlocal marked
        value = resolve(match[1])
        marked = marked or isinstance(value, Mark)
        plain = written(value)
        if match.start() < end:
            return plain.rstrip("/")
        if plain in _DOTS:
            raise Unknown(f"`{match[1]}` is {plain!r}: that is no name inside an address.")
        return plain if isinstance(value, Mark) else quote(plain, safe="")

    rendered = PLACEHOLDER.sub(filled, text.strip())
    return Mark(rendered) if marked else rendered


def _host_end(text: str) -> int:
    """Where the scheme and the host of an address as it was written end."""
    scheme = text.find("://")
    first = re.search(r"[/?#]", text)
    start = scheme + 3 if scheme >= 0 and first is not None and first.start() == scheme + 1 else 0
    found = re.search(r"[/?#]", text[start:])
    return start + found.start() if found else len(text)


def written(value: Any) -> str:
    """A value inside a longer text: texts as they are, numbers and truth values as in JSON, the rest as JSON."""
    return str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
