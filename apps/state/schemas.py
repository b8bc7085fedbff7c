"""JSON Schema (draft 2020-12) for config documents, safe also with a schema that means harm.

Nothing is fetched, patterns that could run for ages are refused, and a validation ends after a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from apps.foundation.errors import Invalid
from apps.foundation.redaction import MASK, redact, redact_text
from apps.state.contents import check_content, checksum, join
from apps.state.patterns import LONGEST_MATCHED, is_match, pattern_fault

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_BYTES = 64 * 1024
MOST_SHOWN = 20
SECONDS = 1.0
_REFERENCES = ("$ref", "$dynamicRef")
_NAMES_ONLY = {"required", "additionalProperties", "unevaluatedProperties", "dependentRequired"}
_deadline: ContextVar[float] = ContextVar("schema_deadline", default=float("inf"))

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


class TooExpensive(Exception):
    """A validation took longer than `SECONDS`."""


# --- the validator --------------------------------------------------------------------------------------------------


def _timed(keyword: Any) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if time.monotonic() > _deadline.get():
            raise TooExpensive
        yield from keyword(validator, value, instance, schema) or ()

    return check


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    if len(instance) > LONGEST_MATCHED:
        yield ValidationError(f"is longer than {LONGEST_MATCHED} characters, too long to be held against a pattern")
    elif not is_match(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, below in patterns.items():
        for name, entry in instance.items():
            if len(name) <= LONGEST_MATCHED and is_match(pattern, name):
                yield from validator.descend(entry, below, path=name, schema_path=pattern)


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if wanted and isinstance(instance, list) and len({checksum(entry) for entry in instance}) < len(instance):
        yield ValidationError("has entries that are the same")


_OWN: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "uniqueItems": _unique_items,
}
_extend: Any = extend
# Draft 2020-12 with bounded patterns; use it `within_time`, with a registry, for nothing is to be fetched.
BoundedValidator: Any = _extend(
    Draft202012Validator,
    {name: _timed(_OWN.get(name, keyword)) for name, keyword in Draft202012Validator.VALIDATORS.items()},
)


@contextmanager
def within_time() -> Iterator[None]:
    """Inside, a validation that goes on for longer than `SECONDS` raises TooExpensive."""
    token = _deadline.set(time.monotonic() + SECONDS)
    try:
        yield
    finally:
        _deadline.reset(token)


def content_problems(schema: dict[str, Any], content: Any) -> list[dict[str, str]]:
    """How the content breaks the schema: `path` and `message` of each place, at most 20; empty when it obeys.

    Values at places that look like secrets are not quoted. A schema that can't be followed is itself a problem.
    """
    if not schema:
        return []
    try:
        return sorted(_problems(schema, content), key=lambda problem: problem["path"])
    except (TooExpensive, RecursionError):
        return [{"path": "", "message": "The schema is too expensive to be followed: simplify it."}]
    except Unresolvable as error:
        return [{"path": "", "message": f"The schema refers to {error.ref!r}, which is not in it."}]


def _problems(schema: dict[str, Any], content: Any) -> list[dict[str, str]]:
    with within_time():
        found = []
        for error in BoundedValidator(schema, registry=_registry(schema)).iter_errors(content):
            found.append({"path": _path(error), "message": _message(error)})
            if len(found) == MOST_SHOWN:
                break
    return found


def _registry(schema: dict[str, Any]) -> Any:
    """Only the schema itself: whatever else is referred to is unknown, and nothing is fetched."""
    resource = DRAFT202012.create_resource({name: value for name, value in schema.items() if name != "$id"})
    empty: Any = Registry()
    return empty.with_resource("", resource)


def require_valid(schema: dict[str, Any], content: Any) -> None:
    """Raise Invalid, naming each place, unless the content can be kept and obeys the schema."""
    check_content(content)
    problems = content_problems(schema, content)
    if problems:
        fields: dict[str, list[str]] = {}
        for problem in problems:
            fields.setdefault(f"content.{problem['path']}".rstrip("."), []).append(problem["message"])
        first = as_sentence(problems[0])
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise Invalid(f"The content breaks the schema: {first}{more}", code="breaks_schema", fields=fields)


def as_sentence(problem: dict[str, str]) -> str:
    """A problem as one line."""
    return f"{problem['path']}: {problem['message']}" if problem["path"] else problem["message"]


def _path(error: ValidationError | SchemaError) -> str:
    path = ""
    for step in error.absolute_path:
        path = join(path, step)
    return path


def _message(error: ValidationError) -> str:
    """jsonschema's sentence, unless it quotes what should not be read or is too long to be."""
    keyword, instance = str(error.validator), error.instance
    secret = any(isinstance(step, str) and redact({step: 1})[step] == MASK for step in error.absolute_path)
    quotes = keyword not in {*_NAMES_ONLY, *_OWN} if isinstance(instance, dict | list) else secret
    rule = json.dumps(redact(error.validator_value), ensure_ascii=False)[:120] if error.validator_value != () else ""
    text = f"breaks the rule {keyword}: {rule}" if quotes else error.message
    return redact_text(text).replace("\x00", "")[:300]


# --- the schema itself ----------------------------------------------------------------------------------------------


def check_schema(schema: Any) -> None:
    """Raise Invalid for what is no usable schema; an empty one allows every document."""
    if not isinstance(schema, dict):
        raise _bad("", "A JSON Schema is an object.")
    if not schema:
        return
    try:
        check_content(schema)
    except Invalid as error:
        raise _bad("", error.message) from error
    if len(json.dumps(schema).encode()) > MOST_BYTES:
        raise _bad("", f"A schema holds at most {MOST_BYTES // 1024} KiB.")
    if schema.get("$schema", DIALECT) != DIALECT:
        raise _bad("$schema", f"Only draft 2020-12 is understood: {DIALECT}")
    _check_metaschema(schema)
    _check_places(schema, schema, "")
    # An endless circle of references shows with any document.
    problems = content_problems(schema, {})
    if problems and "schema" in problems[0]["message"]:
        raise _bad("", problems[0]["message"])


def _bad(path: str, sentence: str) -> Invalid:
    place = f"schema.{path}" if path else "schema"
    return Invalid(f"{place}: {sentence}", code="bad_schema", fields={place: [sentence]})


def _check_metaschema(schema: dict[str, Any]) -> None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise _bad(_path(error), redact_text(error.message)[:300]) from error
    except RecursionError as error:
        raise _bad("", "The schema is nested too deep.") from error


def _check_places(part: Any, root: dict[str, Any], path: str) -> None:
    """References, names and patterns anywhere below. What stands under `const` or `enum` is judged alike: no harm."""
    if isinstance(part, list):
        for index, entry in enumerate(part):
            _check_places(entry, root, join(path, index))
        return
    if not isinstance(part, dict):
        return
    for name, entry in part.items():
        here = join(path, name)
        if name in _REFERENCES and isinstance(entry, str):
            _check_reference(entry, here)
        elif name == "$id" and isinstance(entry, str) and part is not root:
            raise _bad(here, "Schemas inside a schema have no $id of their own here.")
        elif name == "pattern" and isinstance(entry, str):
            _check_pattern(entry, here)
        elif name == "patternProperties" and isinstance(entry, dict):
            for pattern in entry:
                _check_pattern(pattern, here)
        _check_places(entry, root, here)


def _check_reference(reference: str, path: str) -> None:
    if not reference.startswith("#"):
        raise _bad(path, "References may only lead into this schema (#/$defs/…): nothing is fetched.")


def _check_pattern(pattern: str, path: str) -> None:
    if fault := pattern_fault(pattern):
        raise _bad(path, fault)
