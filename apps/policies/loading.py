"""From a text to validated sections, or to problems with line, column, path and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from apps.policies.documents import Document, read
from apps.policies.sections import PackModel, Problem, Section, Where, registered

HEAD = "pack"

_KINDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text; put quotes around it",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "is_instance_of": "must be a list",
    "sequence_str": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


class PackHead(PackModel):
    """What a text says of its pack. `notes` record readings of the source that a reader must know."""

    slug: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    description: Annotated[str, StringConstraints(max_length=4000)] = ""
    notes: Sequence[Annotated[str, StringConstraints(min_length=1, max_length=2000)]] = ()


@dataclass(slots=True)
class Loaded:
    """A text and all that could be read of it. Usable only where `problems` is empty."""

    text: str
    document: Document
    head: PackHead | None = None
    sections: dict[str, BaseModel] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def load(text: str) -> Loaded:
    """Read and check a text completely; every problem is found that does not hide behind another one. Never raises."""
    document = read(text)
    loaded = Loaded(text, document, problems=list(document.problems))
    if loaded.problems:
        return loaded
    if not isinstance(document.value, dict):
        loaded.problems.append(document.problem((), "A pack is a mapping of section names to sections."))
        return loaded
    known = registered()
    head = _section(document, Section(HEAD, PackHead), loaded.problems)
    loaded.head = head if isinstance(head, PackHead) else None
    for name in document.value:
        if name != HEAD and name not in known:
            message = f"Unknown section `{name}`; known are {', '.join([HEAD, *known])}."
            loaded.problems.append(document.problem((name,), message, at_key=True))
    for section in known.values():
        found = _section(document, section, loaded.problems)
        if found is not None:
            loaded.sections[section.name] = found
    if not loaded.problems:
        _cross_check(loaded, known)
    loaded.problems.sort(key=lambda problem: (problem.line, problem.column))
    return loaded


def _cross_check(loaded: Loaded, known: Mapping[str, Section]) -> None:
    for section in known.values():
        if section.check is not None and section.name in loaded.sections:
            for finding in section.check(loaded.sections):
                loaded.problems.append(loaded.document.problem(finding.where, finding.message))


def _section(document: Document, section: Section, problems: list[Problem]) -> BaseModel | None:
    if section.name not in document.value:
        if section.required:
            problems.append(Problem(0, 0, section.name, f"The section `{section.name}` is missing."))
        return None
    try:
        return section.model.model_validate(document.value[section.name])
    except ValidationError as error:
        problems += model_problems(document, (section.name,), error.errors(include_url=False))
    return None


def model_problems(document: Document, start: Where, details: list[ErrorDetails]) -> list[Problem]:
    """What pydantic found wrong in the part of a document at `start`, one problem for each place.

    Where branches of a union failed, the one that came deepest speaks for all.
    """
    by_place: dict[Where, Problem] = {}
    for detail in details:
        place, message = _sentence(_place(document, start, detail), detail)
        at_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        by_place.setdefault(place, document.problem(place, message, at_key=at_key))
    return [
        problem
        for place, problem in by_place.items()
        if not any(other != place and other[: len(place)] == place for other in by_place)
    ]


def _place(document: Document, start: Where, detail: ErrorDetails) -> Where:
    """Where in the text: pydantic's place without the names of union branches that it mixes in."""
    place = start
    parts = detail["loc"][:-1] if detail["type"] in {"missing", "extra_forbidden"} else detail["loc"]
    for part in parts:
        if (*place, part) in document.values:
            place = (*place, part)
    return (*place, detail["loc"][-1]) if len(parts) < len(detail["loc"]) else place


def _sentence(place: Where, detail: ErrorDetails) -> tuple[Where, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    name = next((str(part) for part in reversed(place) if isinstance(part, str)), "the text")
    shown = _shown(detail["input"])
    if kind == "missing":
        message = f"`{name}` is missing."
    elif kind == "extra_forbidden":
        message = f"Unknown key `{name}`."
    elif kind == "value_error":
        message = str(context["error"])
    elif kind in _KINDS:
        message = f"`{name}` {_KINDS[kind]}, not {shown}."
    elif kind == "string_pattern_mismatch":
        wanted = next((words for start, words in _PATTERNS.items() if context["pattern"].startswith(start)), None)
        message = f"`{name}` is {shown}: {wanted or 'it must match ' + context['pattern']}."
    else:
        message = f"`{name}`: {_lower(detail['msg'])}, not {shown}."
    return place, message


_PATTERNS = {
    "^[a-z][a-z0-9_-]": "write lower-case letters, digits, - and _, beginning with a letter",
    "^[a-z0-9][a-z0-9-]": "write lower-case letters, digits and -",
    "^[A-Za-z0-9][A-Za-z0-9._-]": "write letters, digits, dots, - and _",
    "^#[0-9a-fA-F]{6}": "write a colour as #c2410c",
    r"^\+?[0-9(]": "write a phone number as +1-555-0100",
    r"^[^@\s<>]": "write an address as sre@example.com",
}
"""What to write where a text must look a certain way, by how its pattern begins."""


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004  # long enough to recognise it
