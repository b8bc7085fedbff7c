"""A form made from a JSON Schema, and the parameters read back from it. Whether they fit, the operation judges."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

PREFIX = "p-"
MOST_TEXT = 10_000
MOST_DIGITS = 40


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field: `widget` is text, number, choice, boolean or json."""

    name: str
    input_name: str
    label: str
    help: str
    widget: str
    required: bool
    value: str
    options: tuple[tuple[str, str], ...] = ()
    step: str = "any"
    least: str = ""
    most: str = ""
    error: str = ""


class Unreadable(ValueError):
    """A text that is no value of its field's type; the message says why."""


def properties_of(schema: Any) -> dict[str, dict[str, Any]]:
    """The named parameters of a schema; an empty dict for one that has none."""
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {str(name): dict(part) if isinstance(part, Mapping) else {} for name, part in found.items()}


def form_of(schema: Any, data: QueryDict | None, errors: Mapping[str, str] | None = None) -> tuple[FieldView, ...]:
    """The fields in the schema's order: as typed in `data`, else with the schema's defaults."""
    required = set(schema.get("required") or ()) if isinstance(schema, Mapping) else set()
    found: list[FieldView] = []
    for name, part in properties_of(schema).items():
        widget = _widget(part)
        typed = data.get(PREFIX + name) if data is not None else None
        found.append(
            FieldView(
                name=name,
                input_name=PREFIX + name,
                label=str(part.get("title") or name.replace("_", " ").capitalize()),
                help=str(part.get("description", "")),
                widget=widget,
                required=name in required and widget != "boolean",
                value=typed if typed is not None else _default(widget, part, was_sent=data is not None),
                options=tuple((_value_text(value), str(value)) for value in part.get("enum") or ()),
                step="1" if part.get("type") == "integer" else "any",
                least=str(part.get("minimum", "")),
                most=str(part.get("maximum", "")),
                error=(errors or {}).get(name, ""),
            )
        )
    return tuple(found)


def read_parameters(schema: Any, data: QueryDict) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters as typed, and for each unreadable field a sentence. An empty field is left out."""
    parameters: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, part in properties_of(schema).items():
        text = str(data.get(PREFIX + name, ""))
        widget = _widget(part)
        if widget == "boolean":
            parameters[name] = text == "true"
            continue
        if not text.strip():
            continue
        try:
            parameters[name] = _read(widget, part, text)
        except Unreadable as error:
            errors[name] = str(error)
    return parameters, errors


def _widget(part: Mapping[str, Any]) -> str:
    if part.get("enum"):
        return "choice"
    return {"string": "text", "integer": "number", "number": "number", "boolean": "boolean"}.get(
        str(part.get("type", "")), "json"
    )


def _default(widget: str, part: Mapping[str, Any], *, was_sent: bool) -> str:
    """A box that was sent unchecked arrives as nothing; only a form nobody has sent yet shows defaults."""
    if was_sent or "default" not in part:
        return ""
    value = part["default"]
    if widget == "choice":
        return _value_text(value)
    return value if isinstance(value, str) and widget == "text" else json.dumps(value, ensure_ascii=False)


def _value_text(value: Any) -> str:
    """One choice as text that leads back to its value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _read(widget: str, part: Mapping[str, Any], text: str) -> Any:
    if "\x00" in text or len(text) > MOST_TEXT:
        raise Unreadable(f"Text of at most {MOST_TEXT} characters, without NUL, is taken.")
    if widget == "text":
        return text
    if widget == "number":
        return _number(text, whole=part.get("type") == "integer")
    if widget == "choice":
        known = {_value_text(value): value for value in part.get("enum") or ()}
        if text not in known:
            raise Unreadable("Choose one of the values.")
        return known[text]
    return _json(text)


def _number(text: str, *, whole: bool) -> int | float:
    sentence = "This is no whole number." if whole else "This is no number."
    if len(text) > MOST_DIGITS:
        raise Unreadable(sentence)
    try:
        return int(text)
    except ValueError as error:
        if whole:
            raise Unreadable(sentence) from error
    try:
        found = float(text)
    except ValueError as error:
        raise Unreadable(sentence) from error
    if not math.isfinite(found):
        raise Unreadable(sentence)
    return found


def _json(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON.")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable('Write JSON, for example [1, 2] or {"a": 1}.') from error
