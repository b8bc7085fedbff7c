"""The section of a pack that names types of incident with their sub-types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Self, cast

from pydantic import field_validator, model_validator

from apps.incidents.policy import Short, Slug
from apps.policies.queries import optional_section
from apps.policies.sections import PackList, PackModel, Table, register_section


class TypeKind(PackModel):
    """A kind of incident, and the sub-types that it is told apart by."""

    slug: Slug
    name: Short
    subtypes: Sequence[Short] = ()

    @field_validator("subtypes")
    @classmethod
    def _distinct(cls, value: Sequence[str]) -> Sequence[str]:
        if twice := [name for name, count in Counter(name.lower() for name in value).items() if count > 1]:
            raise ValueError(f"The sub-type {twice[0]} is named twice.")
        return value


class Types(PackList[Sequence[TypeKind]]):
    """The kinds of incident that a pack tells apart."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, values in (("slug", [t.slug for t in self.root]), ("name", [t.name.lower() for t in self.root])):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise ValueError(f"Two types have the {what} {twice[0]}.")
        return self

    def find(self, slug: str) -> TypeKind | None:
        return next((kind for kind in self.root if kind.slug == slug), None)

    def named(self, word: str) -> tuple[str, str] | None:
        """The type, and the sub-type, that a word of an alert means: a slug, a name, or the name of a sub-type."""
        said = word.strip().lower()
        for kind in self.root:
            if said in {kind.slug, kind.name.lower()}:
                return kind.slug, ""
            if found := next((name for name in kind.subtypes if name.lower() == said), None):
                return kind.slug, found
        return None

    def text(self, slug: str, subtype: str) -> str:
        """A type for people; empty where none is said."""
        kind = self.find(slug)
        name = kind.name if kind is not None else slug
        return f"{name}: {subtype}" if subtype else name


def types_of(version_id: int) -> Types:
    """The types of a policy version; none where its pack has no such section."""
    return cast("Types | None", optional_section(version_id, "types")) or Types([])


def _type_tables(found: Types) -> list[Table]:
    rows = [(kind.name, ", ".join(kind.subtypes) or "–") for kind in found.root]
    return [Table("Types of incident", ("Type", "Sub-types"), rows)]


def register() -> None:
    """Own the section. Called from `ready()`; again changes nothing."""
    register_section("types", Types, required=False, tables=_type_tables)
