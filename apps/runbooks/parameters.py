"""The parameters of a runbook: their JSON Schema, the defaults that it declares, and messages that name the place."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError
from referencing import Registry

from apps.foundation.errors import Invalid
from apps.policies.documents import path_text
from apps.policies.sections import Finding, Where
from apps.state.patterns import pattern_fault
from apps.state.schemas import BoundedValidator, TooExpensive, within_time

MOST_CHARACTERS = 64 * 1024
DEEPEST = 12
LARGEST_NUMBER = 2**53
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor", "$vocabulary")


def schema_findings(schema: Mapping[str, Any], where: Where) -> Iterator[Finding]:
    """What is wrong with a schema of parameters: its keywords, references (none are followed), its own defaults."""
    found = list(_reference_findings(schema, where))
    if not found:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            place: Where = (*where, *error.absolute_path)
            found.append(Finding(place, f"This is no valid JSON Schema: {error.message[:200]}."))
    if found:
        yield from found
        return
    if schema.get("type", "object") != "object":
        yield Finding((*where, "type"), "Parameters are an object: write `type: object` and their `properties`.")
        return
    for name, entry in schema.get("properties", {}).items():
        if isinstance(entry, Mapping) and "default" in entry:
            for problem in _errors(entry, entry["default"]):
                place = (*where, "properties", name, "default")
                yield Finding(place, f"The default does not fit its own schema: {problem.message[:200]}.")


def _reference_findings(schema: Any, where: Where) -> Iterator[Finding]:
    if isinstance(schema, Mapping):
        for key, entry in schema.items():
            if key in _REFERENCES and isinstance(entry, str):
                yield Finding((*where, key), f"`{key}` is not followed here: write the schema out.")
            else:
                yield from _pattern_findings(key, entry, where)
                yield from _reference_findings(entry, (*where, key))
    elif isinstance(schema, list):
        for index, entry in enumerate(schema):
            yield from _reference_findings(entry, (*where, index))


def _pattern_findings(key: str, entry: Any, where: Where) -> Iterator[Finding]:
    """Patterns that are none, or could run for ages over a short text."""
    if key == "pattern" and isinstance(entry, str) and (fault := pattern_fault(entry)):
        yield Finding((*where, key), fault)
    if key == "patternProperties" and isinstance(entry, Mapping):
        for pattern in entry:
            if fault := pattern_fault(str(pattern)):
                yield Finding((*where, key, str(pattern)), fault)


def filled(schema: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """`given` with the declared defaults filled in, checked. Unknown names are refused unless the schema allows them.

    Raises Invalid with a message for each place, as `parameters.limits[2].name`.
    """
    faults = list(_plain_faults(given, ("parameters",), 1))
    if not isinstance(given, dict):
        faults = [(("parameters",), "Must be an object of names and values.")]
    if not faults:
        try:
            size = len(json.dumps(given, ensure_ascii=False))
        except ValueError:
            size = MOST_CHARACTERS + 1
        if size > MOST_CHARACTERS:
            faults = [(("parameters",), f"At most {MOST_CHARACTERS} characters of JSON are allowed.")]
    if faults:
        raise _invalid(faults)
    found = copy.deepcopy(given)
    _fill(schema, found)
    closed = {"additionalProperties": False, "properties": {}, **schema, "type": "object"}
    errors = [fault for error in _errors(closed, found) for fault in _sentences(error)]
    if errors:
        raise _invalid(errors)
    return dict(found)


def _errors(schema: Mapping[str, Any], value: Any) -> list[ValidationError]:
    validator = BoundedValidator(schema, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    try:
        with within_time():
            return sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path])
    except (TooExpensive, RecursionError):
        return [ValidationError("These take too long to be held against their schema: simplify it")]


def _fill(schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    properties = schema.get("properties", {})
    for name, entry in properties.items():
        if not isinstance(entry, Mapping):
            continue
        if name not in value and "default" in entry:
            value[name] = copy.deepcopy(entry["default"])
        if isinstance(value.get(name), dict):
            _fill(entry, value[name])


def _sentences(error: ValidationError) -> Iterator[tuple[Where, str]]:
    """An error at the place that a person must change: a missing or unknown name is told by that name itself."""
    where: Where = ("parameters", *error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, Mapping):
        needed: Any = error.validator_value
        for name in needed:
            if name not in error.instance:
                yield (*where, str(name)), "This is missing."
    elif error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        for name in error.instance:
            if name not in known:
                yield (*where, str(name)), f"There is no such parameter; there is {', '.join(known) or 'none'}."
    else:
        yield where, f"{error.message[:300]}."


def _plain_faults(value: Any, where: Where, depth: int) -> Iterator[tuple[Where, str]]:
    """What no JSON column can hold, or no reader can bear."""
    if depth > DEEPEST:
        yield where, f"This is nested more than {DEEPEST} levels deep."
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _text_faults(str(name), where)
            yield from _plain_faults(entry, (*where, str(name)), depth + 1)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _plain_faults(entry, (*where, index), depth + 1)
    elif isinstance(value, str):
        yield from _text_faults(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        yield where, "This is no finite number."
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        yield where, "This number is too large."


def _text_faults(text: str, where: Where) -> Iterator[tuple[Where, str]]:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        yield where, "The text has a character that can't be stored (U+0000 or half a surrogate pair)."


def _invalid(faults: list[tuple[Where, str]]) -> Invalid:
    fields: dict[str, list[str]] = {}
    for where, message in faults[:50]:
        fields.setdefault(path_text(where), []).append(message)
    place, messages = next(iter(fields.items()))
    return Invalid(f"{place}: {messages[0]}", code="invalid_parameters", fields=fields)
