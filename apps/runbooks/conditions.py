"""Whether a step runs: the comparisons under its `when`, all of which must hold."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from typing import Any

from apps.runbooks.documents import Condition, Step
from apps.runbooks.names import resolver
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import StepContext
from apps.runbooks.templating import Mark, Unknown, render

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LONGEST_VALUE = 100


def skip_reason(step: Step, context: StepContext, vault: Vault) -> str:
    """Why the step does not run, in a sentence without secrets; empty when it does, or, in a dry run, when only an
    execution will know. What names an outcome that there is none of does not hold."""
    for condition in step.when:
        try:
            value, than = (render(each, resolver(context, vault.resolve)) for each in (condition.value, condition.than))
        except Unknown as error:
            return vault.mask_text(f"Skipped: {error}")
        if has_mark(value) or has_mark(than):
            continue
        if not _holds(condition.is_, value, than):
            return vault.mask_text(f"Skipped: {_shown(value)} {condition.is_} {_shown(than)} does not hold.")
    return ""


def condition_text(step: Step) -> str:
    """The conditions as they were written: `Only if {{ steps.look.json.queue }} > 500.`; empty without any."""
    return f"Only if {' and '.join(map(_written, step.when))}." if step.when else ""


def has_mark(value: Any) -> bool:
    """Whether something in a rendered value is known only at work."""
    if isinstance(value, dict):
        return any(map(has_mark, value.values()))
    return any(map(has_mark, value)) if isinstance(value, list) else isinstance(value, Mark)


def _holds(is_: str, value: Any, than: Any) -> bool:
    if is_ in {"in", "not in"}:
        found = isinstance(than, list) and any(_same(value, each) for each in than)
        found = found or (isinstance(than, str) and isinstance(value, str) and value in than)
        return found == (is_ == "in")
    if is_ in {"==", "!="}:
        return _same(value, than) == (is_ == "==")
    alike = (_is_number(value) and _is_number(than)) or (isinstance(value, str) and isinstance(than, str))
    return alike and _ORDERED[is_](value, than)


def _same(value: Any, than: Any) -> bool:
    """1 is 1.0, but never true."""
    return (type(value) is type(than) or (_is_number(value) and _is_number(than))) and bool(value == than)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(condition: Condition) -> str:
    return f"{_shown(condition.value)} {condition.is_} {_shown(condition.than)}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"a value of {len(text)} characters"
