"""Definitions as people write them: YAML, whose mistakes are told with line and column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.flags.evaluation.definitions import BadDefinition, place_text
from apps.flags.yaml_texts import as_yaml
from apps.policies.documents import Document, read

_LOOK = {"rows": 16, "spellcheck": "false", "autocomplete": "off", "wrap": "off", "style": "font-family: monospace"}


class DefinitionField(forms.CharField):
    """A text in YAML, cleaned into the definition; what is wrong stands at its line."""

    widget = UnfoldAdminTextareaWidget(attrs=_LOOK)

    def __init__(self, *, check: Callable[[Any], Any] | None = None, **kwargs: Any) -> None:
        super().__init__(max_length=64 * 1024, strip=False, **kwargs)
        self.check = check

    def prepare_value(self, value: Any) -> str:
        return value if isinstance(value, str) else as_yaml(value)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return None
        document = read(text)
        if document.problems:
            raise forms.ValidationError([_at(each.line, each.column, each.message) for each in document.problems])
        if self.check is not None:
            try:
                self.check(document.value)
            except BadDefinition as error:
                raise forms.ValidationError(_placed(document, error)) from error
        return document.value


def _placed(document: Document, error: BadDefinition) -> list[str]:
    found = []
    for where, sentence in error.mistakes:
        problem, place = document.problem(where, sentence), place_text(where)
        found.append(_at(problem.line, problem.column, f"{place}: {sentence}" if place else sentence))
    return found


def _at(line: int, column: int, sentence: str) -> str:
    return f"Line {line}, column {column}: {sentence}" if line else sentence
