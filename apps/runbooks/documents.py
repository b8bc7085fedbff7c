"""A runbook's text: its model, and the way from YAML to it or to problems with their lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from apps.foundation.errors import Invalid
from apps.policies.documents import Document as YamlDocument
from apps.policies.documents import read
from apps.policies.durations import Duration
from apps.policies.loading import model_problems
from apps.policies.sections import Finding, Problem, Where
from apps.runbooks import steps as registry
from apps.runbooks.models import RunbookVersion
from apps.runbooks.names import name_findings
from apps.runbooks.parameters import schema_findings
from apps.runbooks.templating import has_placeholder
from apps.runbooks.timing import span_text

MOST_STEPS = 50
MOST_SHOWN = 50
LONGEST_STEP_SECONDS = 3600
PROBES = ("health_check", "http_request", "metric_check")
SLUG = r"^[a-z0-9][a-z0-9_-]{0,59}$"

REVIEW_SECONDS = 90 * 86_400

Slug = Annotated[str, StringConstraints(pattern=SLUG)]
Lines = Annotated[Sequence[Annotated[str, StringConstraints(min_length=1, max_length=300)]], Field(max_length=20)]


class RunbookModel(BaseModel):
    """Base of everything in a runbook: unknown keys and wrong types are refused, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=True)


class Compensation(RunbookModel):
    """What undoes a step where its kind does not know that by itself."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    with_: Annotated[dict[str, Any], Field(alias="with")] = {}


class Probe(RunbookModel):
    """What finds out whether a step has happened of which no outcome is known: a check that succeeds if it has."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    with_: Annotated[dict[str, Any], Field(alias="with")] = {}


class GoTo(RunbookModel):
    """Where it goes on after a failure: at a later step; those between are skipped."""

    go_to: Slug


class Condition(RunbookModel):
    """A comparison of two values, with placeholders or without."""

    value: Any
    is_: Annotated[Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in"], Field(alias="is")] = "=="
    than: Any


class Step(RunbookModel):
    """One step as it was written. Seconds everywhere. It is skipped unless all of `when` holds.

    `timeout` ends one attempt; `target` ends nothing, it is what the whole step, with every attempt and wait, is
    measured against.
    """

    slug: Slug
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    kind: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    with_: Annotated[dict[str, Any], Field(alias="with")] = {}
    timeout: Annotated[Duration, Field(ge=1, le=LONGEST_STEP_SECONDS)] = 30
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    retry_delay: Annotated[Duration, Field(le=LONGEST_STEP_SECONDS)] = 2
    idempotent: bool | None = None
    when: Annotated[Sequence[Condition], Field(max_length=10)] = ()
    on_failure: Literal["abort", "continue"] | GoTo = "abort"
    probe: Probe | None = None
    compensate: Literal["auto", "none"] | Compensation = "auto"
    estimate: Duration | None = None
    target: Annotated[Duration, Field(ge=1)] | None = None


class Document(RunbookModel):
    """A whole runbook as it was written. `signals` tell that it is needed, `comms` is what to write to players."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=120)]
    description: Annotated[str, StringConstraints(max_length=4000)] = ""
    command: Annotated[str, StringConstraints(pattern=SLUG)] | None = None
    category: Annotated[str, StringConstraints(max_length=60)] = ""
    estimate: Duration | None = None
    target: Duration | None = None
    approval: Literal["required", "none"] = "required"
    signals: Lines = ()
    prerequisites: Lines = ()
    expected: Annotated[str, StringConstraints(max_length=2000)] = ""
    contacts: Lines = ()
    escalation: Lines = ()
    comms: Annotated[str, StringConstraints(max_length=4000)] = ""
    review_every: Annotated[Duration, Field(ge=86_400)] = REVIEW_SECONDS
    parameters: dict[str, Any] = {}
    steps: Annotated[Sequence[Step], Field(min_length=1, max_length=MOST_STEPS)]

    def step(self, slug: str) -> Step:
        """The step with this slug. LookupError when there is none."""
        for step in self.steps:
            if step.slug == slug:
                return step
        raise LookupError(f"There is no step {slug!r}.")


class InvalidRunbook(Invalid):
    """The text is no valid runbook; `problems` says where and why, and `extra["problems"]` the same for an API."""

    code = "invalid_runbook"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        shown = problems[:MOST_SHOWN]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"The runbook has {count}. The first: {told(problems[0])}",
            fields={"text": [told(problem) for problem in shown]},
            extra={"problems": [problem.as_json() for problem in shown]},
        )


def told(problem: Problem) -> str:
    """A problem as one line of text."""
    where = f"line {problem.line}, column {problem.column}" if problem.line else "the text"
    return f"{where}{f' ({problem.path})' if problem.path else ''}: {problem.message}"


def normalized(text: str) -> str:
    """The text as it is stored: line ends as `\\n`, no byte-order mark, one line end at the end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip() + "\n"


def problems_of(text: str) -> list[Problem]:
    """All that is wrong with a text, in the order of its lines; empty when it can be saved. Never raises."""
    return _checked(text)[2]


def read_document(text: str) -> Document:
    """The runbook that a text describes. Raises InvalidRunbook with the line of every problem."""
    return read_content(text)[0]


def read_content(text: str) -> tuple[Document, dict[str, Any]]:
    """The same, and the plain value that is stored beside the text."""
    yaml, document, problems = _checked(text)
    if problems or document is None:
        raise InvalidRunbook(problems)
    return document, yaml.value


def document_of(version: RunbookVersion) -> Document:
    """The runbook of a stored version, which was checked when it was saved.

    Raises InvalidRunbook where the rules of this release no longer accept it.
    """
    try:
        return Document.model_validate(version.content)
    except ValidationError as error:
        problem = Problem(0, 0, "", f"{version} does not fit the rules of this release: {error.errors()[0]['msg']}.")
        raise InvalidRunbook([problem]) from error


def _checked(text: str) -> tuple[YamlDocument, Document | None, list[Problem]]:
    yaml = read(normalized(text))
    if yaml.problems:
        return yaml, None, yaml.problems
    if not isinstance(yaml.value, dict):
        return yaml, None, [yaml.problem((), "A runbook is a mapping: title, parameters, steps.")]
    document, problems = None, []
    try:
        document = Document.model_validate(yaml.value)
    except ValidationError as error:
        problems = model_problems(yaml, (), error.errors(include_url=False))
    # One wrong step hides nothing in the others.
    steps = dict(_readable_steps(yaml.value))
    problems += [yaml.problem(finding.where, finding.message) for finding in _findings(yaml.value, steps)]
    problems += [yaml.problem(finding.where, finding.message) for finding in _target_findings(document)]
    for where, kind, options in _all_options(steps):
        if registry.known(kind):
            problems += model_problems(yaml, where, option_errors(kind, options))
    return yaml, document, sorted(problems, key=lambda problem: (problem.line, problem.column))


def _readable_steps(value: dict[str, Any]) -> Iterator[tuple[int, Step]]:
    """The steps that are right by themselves, by their places."""
    rows = value.get("steps")
    for index, row in enumerate(rows[:MOST_STEPS] if isinstance(rows, list) else ()):
        try:
            yield index, Step.model_validate(row)
        except ValidationError:
            continue


def _findings(value: dict[str, Any], steps: Mapping[int, Step]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, step in steps.items():
        if step.slug in first:
            yield Finding(("steps", index, "slug"), f"Step {first[step.slug] + 1} has the slug `{step.slug}` already.")
        first.setdefault(step.slug, index)
    for where, kind, _ in _all_options(steps):
        if not registry.known(kind):
            names = ", ".join(found.name for found in registry.kinds())
            yield Finding((*where[:-1], "kind"), f"There is no step kind `{kind}`; known are {names}.")
    schema = value.get("parameters", {})
    if not isinstance(schema, dict):
        return
    yield from schema_findings(schema, ("parameters",))
    for index, step in steps.items():
        earlier = _kinds_by_slug(value["steps"][:index])
        yield from name_findings(step.with_, step.kind, ("steps", index, "with"), schema, earlier)
        if isinstance(step.compensate, Compensation):
            place: Where = ("steps", index, "compensate", "with")
            done = {**earlier, step.slug: step.kind}
            yield from name_findings(step.compensate.with_, step.compensate.kind, place, schema, done)
        yield from _flow_findings(value, index, step, schema, earlier)


def _target_findings(document: Document | None) -> Iterator[Finding]:
    """The steps together may take no longer than the runbook promises: one of both could not be kept."""
    if document is None or document.target is None:
        return
    together = sum(step.target or 0 for step in document.steps)
    if together > document.target:
        promised = span_text(document.target)
        told = f"The targets of the steps make up {span_text(together)}, more than the runbook's own of {promised}."
        yield Finding(("target",), told)


def _flow_findings(
    value: dict[str, Any], index: int, step: Step, schema: dict[str, Any], earlier: dict[str, str]
) -> Iterator[Finding]:
    """What is wrong with when a step runs, where it goes on after a failure, and how it is probed."""
    for number, condition in enumerate(step.when):
        place: Where = ("steps", index, "when", number)
        yield from name_findings({"value": condition.value, "than": condition.than}, "", place, schema, earlier)
        if condition.is_ in {"in", "not in"} and not isinstance(condition.than, list | str):
            yield Finding((*place, "than"), "`in` looks into a list or a text.")
    if isinstance(step.on_failure, GoTo):
        later = _kinds_by_slug(value["steps"][index + 1 :])
        if step.on_failure.go_to not in later:
            names = ", ".join(later) or "none"
            where: Where = ("steps", index, "on_failure", "go_to")
            yield Finding(where, f"No step `{step.on_failure.go_to}` comes after this one; after it come {names}.")
    if step.probe is not None:
        place = ("steps", index, "probe")
        yield from name_findings(step.probe.with_, step.probe.kind, (*place, "with"), schema, earlier)
        if step.probe.kind not in PROBES:
            yield Finding((*place, "kind"), f"A probe only looks: it is one of {', '.join(PROBES)}.")
        elif str(step.probe.with_.get("method", "GET")) not in {"GET", "HEAD"}:
            yield Finding((*place, "with", "method"), "A probe only looks: GET or HEAD.")


def _kinds_by_slug(rows: list[Any]) -> dict[str, str]:
    """Also of steps with a mistake, so that naming them is not told as another one."""
    return {str(row["slug"]): str(row.get("kind")) for row in rows if isinstance(row, dict) and "slug" in row}


def _all_options(steps: Mapping[int, Step]) -> Iterator[tuple[Where, str, dict[str, Any]]]:
    for index, step in steps.items():
        yield ("steps", index, "with"), step.kind, step.with_
        if isinstance(step.compensate, Compensation):
            yield ("steps", index, "compensate", "with"), step.compensate.kind, step.compensate.with_
        if step.probe is not None:
            yield ("steps", index, "probe", "with"), step.probe.kind, step.probe.with_


def option_errors(kind: str, options: dict[str, Any]) -> list[ErrorDetails]:
    """What pydantic finds wrong with options as they were written; a place that holds a placeholder is judged only
    when it is filled in."""
    try:
        registry.kind(kind).options.model_validate(options)
    except ValidationError as error:
        return [
            detail
            for detail in error.errors(include_url=False)
            if detail["type"] == "missing" or not has_placeholder(detail["input"])
        ]
    return []
