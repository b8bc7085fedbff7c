"""What a flag may answer and to whom, as a document: its variants, its rules in order, and what else is served.

variants: {new: true, old: false}
off: old                                  # served when it is killed, or when a prerequisite isn't met
serve: old                                # to everybody whom no rule meets
prerequisites: [{flag: payments.api, variants: ["on"]}]
rules:
  - name: testers
    when: [{segment: testers}]
    serve: new
  - name: a tenth of the rest
    when: [{attribute: version, operator: version_at_least, values: [2.0.0]}]
    serve: {split: [{variant: new, weight: 10}, {variant: old, weight: 90}], by: targetingKey}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, ValidationError

from apps.flags.evaluation.conditions import TEXTS, VALUES
from apps.foundation.errors import Invalid
from apps.foundation.patterns import BadPattern, compiled

KEY_PATTERN = r"^[A-Za-z0-9._-]{1,100}$"
MOST_BYTES = 64 * 1024
MOST_VARIANTS, MOST_RULES, MOST_CONDITIONS, MOST_VALUES, DEEPEST = 50, 100, 50, 1_000, 5
DEEPEST_DOCUMENT = 32
LARGEST_INTEGER = 2**53 - 1
TYPES = ("boolean", "string", "integer", "float", "object")
BY = "targetingKey"

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN)]
Attribute = Annotated[str, StringConstraints(min_length=1, max_length=200)]
LONGEST_VALUE = 2_000
Scalar = bool | int | float | Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]
_SCALARS = frozenset({"bool", "int", "float", "str", "constrained-str"})  # as Pydantic calls the members of the union
Operator = Literal[
    "equals",
    "not_equals",
    "in",
    "not_in",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "matches",
    "not_matches",
    "greater_than",
    "at_least",
    "less_than",
    "at_most",
    "before",
    "after",
    "version_equals",
    "version_at_least",
    "version_below",
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Comparison(_Part):
    """An attribute of the context against values: it holds for any of them, a `not_…` operator for none."""

    attribute: Attribute
    operator: Operator
    values: Annotated[list[Scalar], Field(min_length=1, max_length=MOST_VALUES)]


class Presence(_Part):
    """Whether the context has the attribute at all."""

    attribute: Attribute
    exists: bool


class Percentage(_Part):
    """A fixed part of all: who is in stays in while the percentage grows."""

    percentage: Annotated[float, Field(ge=0, le=100)]
    by: Attribute = BY
    salt: Annotated[str, StringConstraints(max_length=100)] = ""


class InSegment(_Part):
    """Whoever a segment describes."""

    segment: Key


class AnyOf(_Part):
    any: Annotated[list[Condition], Field(min_length=1, max_length=MOST_CONDITIONS)]


class AllOf(_Part):
    all: Annotated[list[Condition], Field(min_length=1, max_length=MOST_CONDITIONS)]


class NotThis(_Part):
    not_: Condition = Field(alias="not")


_KINDS: tuple[str, ...] = ("segment", "percentage", "any", "all", "not", "exists")


_KIND_OF: dict[Any, str] = {
    InSegment: "=segment",
    Percentage: "=percentage",
    AnyOf: "=any",
    AllOf: "=all",
    NotThis: "=not",
    Presence: "=exists",
}


def _kind(raw: Any) -> str:
    """By which of its names a condition is told; one with an operator is a comparison."""
    if isinstance(raw, Mapping):
        return next((f"={name}" for name in _KINDS if name in raw), "=comparison")
    return _KIND_OF.get(type(raw), "=comparison")


Condition = Annotated[
    Annotated[Comparison, Tag("=comparison")]
    | Annotated[Presence, Tag("=exists")]
    | Annotated[Percentage, Tag("=percentage")]
    | Annotated[InSegment, Tag("=segment")]
    | Annotated[AnyOf, Tag("=any")]
    | Annotated[AllOf, Tag("=all")]
    | Annotated[NotThis, Tag("=not")],
    Discriminator(_kind),
]


class Portion(_Part):
    """A variant and its weight in a split; weights need not add up to 100."""

    variant: Key
    weight: Annotated[int, Field(ge=0, le=1_000_000)]


class Split(_Part):
    """Everybody gets one of several variants, always the same one, by an attribute of theirs."""

    split: Annotated[list[Portion], Field(min_length=1, max_length=MOST_VARIANTS)]
    by: Attribute = BY
    salt: Annotated[str, StringConstraints(max_length=100)] = ""


Serve = Annotated[
    Annotated[Key, Tag("=variant")] | Annotated[Split, Tag("=split")],
    Discriminator(lambda raw: "=split" if isinstance(raw, Mapping | Split) else "=variant"),
]


class Rule(_Part):
    """The first rule whose conditions all hold decides."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    when: Annotated[list[Condition], Field(min_length=1, max_length=MOST_CONDITIONS)]
    serve: Serve


class Prerequisite(_Part):
    """Another flag of the same environment that must answer one of these variants."""

    flag: Key
    variants: Annotated[list[Key], Field(min_length=1, max_length=MOST_VARIANTS)]


class Definition(_Part):
    """All that a flag may answer."""

    variants: Annotated[dict[Key, Any], Field(min_length=1, max_length=MOST_VARIANTS)]
    off: Key
    serve: Serve
    rules: Annotated[list[Rule], Field(max_length=MOST_RULES)] = []
    prerequisites: Annotated[list[Prerequisite], Field(max_length=20)] = []


class SegmentDefinition(_Part):
    """Who belongs to a segment: all conditions hold."""

    when: Annotated[list[Condition], Field(min_length=1, max_length=MOST_CONDITIONS)]


for _model in (AnyOf, AllOf, NotThis, Rule, Definition, SegmentDefinition):
    _model.model_rebuild()


def switch_definition() -> dict[str, Any]:
    """Of a plain switch: true, and false when it is killed."""
    return {"variants": {"on": True, "off": False}, "off": "off", "serve": "on", "rules": [], "prerequisites": []}


def read_definition(kind_of_value: str, raw: Any) -> Definition:
    """The definition of a flag of this type. Raises Invalid, with every mistake at its place."""
    found = _read(Definition, raw)
    mistakes = [*_wrong_values(kind_of_value, found), *_wrong_references(found)]
    for number, rule in enumerate(found.rules):
        mistakes += _wrong_conditions(rule.when, ("rules", number, "when"))
    names = [rule.name for rule in found.rules]
    mistakes += [
        (("rules", number, "name"), f"Another rule is called {name!r} already.")
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    _refuse(mistakes)
    return found


def read_segment(raw: Any) -> SegmentDefinition:
    """The definition of a segment, which may not name another. Raises Invalid."""
    found = _read(SegmentDefinition, raw)
    mistakes = _wrong_conditions(found.when, ("when",))
    mistakes += [(("when",), "A segment can't be made of other segments.")] if any(segments_in(found.when)) else []
    _refuse(mistakes)
    return found


def segments_in(conditions: Sequence[Condition]) -> Iterator[str]:
    """The keys of all segments that the conditions name."""
    for each in conditions:
        if isinstance(each, InSegment):
            yield each.segment
        elif isinstance(each, AnyOf):
            yield from segments_in(each.any)
        elif isinstance(each, AllOf):
            yield from segments_in(each.all)
        elif isinstance(each, NotThis):
            yield from segments_in([each.not_])


def served(serve: Serve) -> list[str]:
    """The variants that may come of it."""
    return [serve] if isinstance(serve, str) else [portion.variant for portion in serve.split]


Where = tuple[str | int, ...]
Mistake = tuple[Where, str]
_P = TypeVar("_P", bound=_Part)


class BadDefinition(Invalid):
    """Every mistake of a definition with its place; the first one is the sentence."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = list(mistakes)
        fields: dict[str, list[str]] = {}
        for where, sentence in self.mistakes:
            fields.setdefault(place_text(("definition", *where)), []).append(sentence)
        where, sentence = self.mistakes[0]
        place = place_text(where)
        super().__init__(f"{place}: {sentence}" if place else sentence, code="bad_definition", fields=fields)


def _read(model: type[_P], raw: Any) -> _P:
    try:
        size = len(json.dumps(raw, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadDefinition([((), f"The definition holds something that JSON has not: {str(error)[:200]}.")]) from error
    mistakes: list[Mistake] = []
    if size > MOST_BYTES:
        mistakes.append(((), f"The definition has {size:,} bytes; at most {MOST_BYTES:,} are allowed."))
    elif _depth(raw) > DEEPEST_DOCUMENT:
        mistakes.append(((), f"The definition is nested deeper than {DEEPEST_DOCUMENT} levels."))
    _refuse(mistakes)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        found = [_mistake(each) for each in error.errors(include_url=False, include_input=False)]
        _refuse(list(dict.fromkeys(found)))
        raise


def _mistake(each: Any) -> Mistake:
    """One of Pydantic's errors with its place; a value that is of no kind of scalar is one mistake, not four."""
    where = _place(each["loc"])
    if where[-1:] and where[-1] in _SCALARS and isinstance(where[-2], int):
        return where[:-1], f"Give a text of at most {LONGEST_VALUE:,} characters, a number, true or false."
    return where, _sentence(each)


def _depth(raw: Any) -> int:
    level, depth = [raw], 0
    while level:
        depth += 1
        below = [
            list(each.values()) if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)
        ]
        level = [member for members in below for member in members]
    return depth


def place_text(where: Where) -> str:
    """`rules[0].when[1].values`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _place(location: Where) -> Where:
    """Without the tags of the unions' members, which begin with an equals sign."""
    return tuple(part for part in location if isinstance(part, int) or not part.startswith("="))


def _sentence(each: Any) -> str:
    words = str(each["msg"]).removeprefix("Value error, ")
    return {"missing": "It is missing.", "extra_forbidden": "There is no such setting here."}.get(
        each["type"], f"{words}."
    )


def _wrong_values(kind: str, found: Definition) -> Iterator[Mistake]:
    """Variants of another type than the flag's."""
    for name, value in found.variants.items():
        if (fault := value_fault(kind, value)) is not None:
            yield ("variants", name), fault


def value_fault(kind: str, value: Any) -> str | None:
    """Why a flag of this type can't answer `value`; None where it can."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "boolean": isinstance(value, bool),
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and number and abs(value) <= LARGEST_INTEGER,
        "float": number,
        "object": isinstance(value, dict),
    }[kind]
    if fits:
        return None
    if kind == "integer" and number and isinstance(value, int):
        return f"{value} is larger than every program can read: at most {LARGEST_INTEGER}."
    return f"A flag of the type {kind} can't answer {json.dumps(value)[:80]}."


def _wrong_references(found: Definition) -> Iterator[Mistake]:
    known = ", ".join(found.variants)
    serves: list[tuple[Where, Serve]] = [(("serve",), found.serve)]
    serves += [(("rules", at, "serve"), rule.serve) for at, rule in enumerate(found.rules)]
    if found.off not in found.variants:
        yield ("off",), f"There is no variant {found.off!r}; there are {known}."
    for place, serve in serves:
        names = served(serve)
        for name in names:
            if name not in found.variants:
                yield place, f"There is no variant {name!r}; there are {known}."
        if isinstance(serve, Split):
            if not sum(portion.weight for portion in serve.split):
                yield place, "The weights add up to nothing: give at least one variant a weight above 0."
            if len(set(names)) < len(names):
                yield place, "A variant stands in the split twice: give it one weight."


def _wrong_conditions(conditions: Sequence[Condition], place: Where, depth: int = 1) -> list[Mistake]:
    found: list[Mistake] = []
    if depth > DEEPEST:
        return [(place, f"Conditions are nested deeper than {DEEPEST} levels.")]
    for number, each in enumerate(conditions):
        at = (*place, number)
        if isinstance(each, Comparison):
            found += _wrong_comparison(each, at)
        elif isinstance(each, AnyOf):
            found += _wrong_conditions(each.any, (*at, "any"), depth + 1)
        elif isinstance(each, AllOf):
            found += _wrong_conditions(each.all, (*at, "all"), depth + 1)
        elif isinstance(each, NotThis):
            found += _wrong_conditions([each.not_], (*at, "not"), depth + 1)
    return found


def _wrong_comparison(each: Comparison, place: Where) -> Iterator[Mistake]:
    readable, called = VALUES.get(each.operator, (None, ""))
    for number, value in enumerate(each.values):
        at = (*place, "values", number)
        if readable is not None and readable(value) is None:
            yield at, f"{each.operator} needs {called}, and {value!r} is none."
        elif each.operator in TEXTS and not isinstance(value, str):
            yield at, f"{each.operator} compares texts, and {value!r} is none."
        elif each.operator in {"matches", "not_matches"}:
            try:
                compiled(value)
            except BadPattern as error:
                yield at, str(error)


def _refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise BadDefinition where there is any mistake."""
    if found := list(mistakes):
        raise BadDefinition(found)
