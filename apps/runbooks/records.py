"""What a step says of itself while it runs, and what of its words and values can be stored."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from apps.runbooks.models import LogLine, StepRun
from apps.runbooks.operations.claiming import Claim, Superseded, fenced, tell_refused
from apps.runbooks.secrets import Vault
from apps.runbooks.steps.base import StepContext

_LONGEST_LINE = 4000
_MOST_CHARACTERS = 200_000
_DEEPEST = 30


class Notebook:
    """Writes the log and the progress of one attempt, each under the fence of its claim.

    `inside` the transaction of the outcome nothing is compared again, and lines of an effect that was rolled back
    are written once more by `write_again`.
    """

    def __init__(self, claim: Claim, vault: Vault, *, inside: bool = False) -> None:
        self._claim, self._vault, self._inside = claim, vault, inside
        self._lines: list[str] = []
        self._progress = -1

    def listening(self, context: StepContext) -> StepContext:
        """The context in which a step can be heard."""
        return replace(context, log=self.log, progress=self.progress)

    def log(self, text: str) -> None:
        """One line. Raises Superseded, which ends the attempt, when another worker has taken over."""
        line = str(storable(self._vault.mask_text(str(text))))[:_LONGEST_LINE]
        if self._inside:
            self._lines.append(line)
            self._insert(line)
            return
        self._fenced("a line of the log", lambda: self._insert(line))

    def progress(self, percent: int) -> None:
        """How far the step is; only a change is written."""
        value = max(0, min(int(percent), 100))
        if value == self._progress:
            return
        self._progress = value
        rows = StepRun.objects.filter(pk=self._claim.step_id)
        if self._inside:
            rows.update(progress=value)
        else:
            self._fenced("its progress", lambda: rows.update(progress=value))

    def write_again(self) -> None:
        """Keep the lines of an effect whose transaction was rolled back."""
        lines, self._lines = self._lines, []
        for line in lines:
            self._insert(line)

    def _insert(self, line: str) -> None:
        LogLine.objects.create(execution_id=self._claim.execution_id, step_id=self._claim.step_id, text=line)

    def _fenced(self, what: str, write: Any) -> None:
        try:
            with fenced(self._claim):
                write()
        except Superseded as error:
            tell_refused(self._claim, what)
            error.told = True
            raise


def storable(value: Any) -> Any:
    """A copy of `value` that a JSON column can hold: no NUL, no half surrogates, finite numbers, not endless."""
    kept = _plain(value, 1)
    if isinstance(kept, str):
        return kept[:_MOST_CHARACTERS]
    if len(json.dumps(kept, ensure_ascii=False)) > _MOST_CHARACTERS:
        return {"cut": f"It had more than {_MOST_CHARACTERS} characters."}
    return kept


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {str(_plain(str(name), depth + 1)): _plain(entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, depth + 1) for entry in value]
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = str(value).replace("\x00", "�")
    return text.encode("utf-8", "replace").decode("utf-8")
