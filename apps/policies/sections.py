"""The sections that a pack may have. Each app owns its own and registers them in its `ready()`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, RootModel

Where = tuple[str | int, ...]
T = TypeVar("T")


class PackModel(BaseModel):
    """Base of everything in a section: unknown keys and wrong types are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, str_strip_whitespace=True)


class PackList(RootModel[T]):
    """Base of a section that is a list."""

    model_config = ConfigDict(strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a pack's text. Lines and columns count from 1; 0 means the text as a whole."""

    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}" if self.line else "the pack"
        return f"{where}{f' ({self.path})' if self.path else ''}: {self.message}"

    def as_json(self) -> dict[str, Any]:
        """The same for an API."""
        return {"line": self.line, "column": self.column, "path": self.path, "message": self.message}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a cross-section check found, at a place in the document; the loader adds line and column."""

    where: Where
    message: str


@dataclass(frozen=True, slots=True)
class Table:
    """A section as people read it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """What a section says of each severity: a column of the table that sums up a version. Lower places stand first."""

    title: str
    cells: Mapping[str, str]
    place: int = 50


Sections = Mapping[str, BaseModel]
Check = Callable[[Sections], list[Finding]]
Tables = Callable[[Any], list[Table]]
Columns = Callable[[Any], list[Column]]


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    model: type[BaseModel]
    check: Check | None = None
    required: bool = True
    tables: Tables | None = field(default=None, compare=False)
    columns: Columns | None = field(default=None, compare=False)


_sections: dict[str, Section] = {}


def register_section(
    name: str,
    model: type[BaseModel],
    check: Check | None = None,
    required: bool = True,
    tables: Tables | None = None,
    *,
    columns: Columns | None = None,
) -> None:
    """Own the section `name`. `check` sees all sections that loaded and runs only when each of them is right by itself;
    `tables` shows the section to people, and `columns` what it says of each severity. The same owner again changes
    nothing; another one is a programming error."""
    section = Section(name, model, check, required, tables, columns)
    if name in _sections and _sections[name].model is not model:
        raise RuntimeError(f"Section {name!r} has two owners.")
    _sections[name] = section


def registered() -> dict[str, Section]:
    """All sections by name, in the order of their registration."""
    return dict(_sections)
