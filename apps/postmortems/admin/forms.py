"""What a button asks for before it acts, what was sent, and the form as a page shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from apps.foundation.errors import DomainError, Invalid
from apps.incidents.admin.actions import Form
from apps.incidents.admin.choices import Option
from apps.postmortems.admin.next_step import Lack

END_OF_DAY = time(23, 59)

Kind = Literal["text", "long", "choice", "day", "url"]


@dataclass(frozen=True, slots=True)
class Field:
    """One input. `hint` is shown below it, `example` inside it while it is empty."""

    name: str
    label: str
    kind: Kind = "text"
    value: str = ""
    options: tuple[Option, ...] = ()
    required: bool = False
    hint: str = ""
    example: str = ""
    most: int = 300
    error: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole form: where it goes, what it says, what it asks for."""

    action: str
    title: str
    text: str
    button: str
    tone: str
    fields: tuple[Field, ...]
    back: str
    lacks: tuple[Lack, ...] = ()
    error: str = ""
    is_from_review: bool = False

    @property
    def is_blocked(self) -> bool:
        """Whether it would be refused, so that no button is offered."""
        return any(lack.blocks for lack in self.lacks)


@dataclass(frozen=True, slots=True)
class Sent(Form):
    """What a button sent about the review or item with the number `key`."""

    key: int = 0

    def day(self, name: str) -> datetime | None:
        """The end of a day on the person's own clock; None when none was chosen."""
        value = self.text(name)
        if not value:
            return None
        try:
            chosen = date.fromisoformat(value)
        except ValueError as error:
            raise Invalid(f"{value[:40]!r} is not a day.", fields={name: ["Give a day as 2025-11-10."]}) from error
        return datetime.combine(chosen, END_OF_DAY, tzinfo=self.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Verb:
    """A button: what it says, what it asks for about a row, and the ONE operation it calls."""

    title: str
    button: str
    run: Callable[[Sent], Any]
    done: str
    text: str = ""
    tone: str = "primary"
    fields: Callable[[Any, Any], tuple[Field, ...]] = field(default=lambda _row, _user: ())


def filled(fields: tuple[Field, ...], data: Mapping[str, Any], error: DomainError | None) -> tuple[Field, ...]:
    """The fields with what was typed into them, and what was wrong with it, so that nobody types twice."""
    wrong = error.fields if error else {}
    return tuple(
        replace(item, value=str(data.get(item.name, item.value)), error=" ".join(wrong.get(item.name, [])))
        for item in fields
    )


def said(error: DomainError, fields: tuple[Field, ...]) -> str:
    """What was refused, as far as no field says it already."""
    named = {item.name for item in fields}
    shown = {line for name, lines in error.fields.items() if name in named for line in lines}
    lines = [error.message, *(line for lines in error.fields.values() for line in lines)]
    return " ".join(line for line in dict.fromkeys(lines) if line not in shown)
