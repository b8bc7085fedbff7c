"""The sections of a pack that every incident needs: severities, lifecycle and roles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, Self, cast

from pydantic import Field, StringConstraints, field_validator, model_validator

from apps.incidents.models import Incident
from apps.policies.durations import Duration, duration_text
from apps.policies.queries import section
from apps.policies.sections import Column, Finding, PackList, PackModel, Sections, Table, Where, register_section

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
SeverityId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$")]

RESOLVED = "resolved"
ALWAYS_MARKED = ("detected", "declared", "acknowledged", RESOLVED)
"""Milestones that the portal itself marks in every pack."""

_SEQ = re.compile(r"\{seq(?::0?(\d)d)?\}")
_DATE = re.compile(r"%[YmdHj]")


class Clocks(PackModel):
    """Limits in seconds; None means no limit. An elapsed time equal to the limit has missed it.

    The response ends with the acknowledgement, the target with the milestone `stop`.
    """

    response_seconds: Duration | None = Field(default=None, alias="response")
    target_seconds: Duration | None = Field(default=None, alias="target")
    stop: Slug = RESOLVED

    def target_met(self, elapsed_seconds: float) -> bool | None:
        """Whether the target was met, strictly below its limit; None where there is no limit."""
        return None if self.target_seconds is None else elapsed_seconds < self.target_seconds


class Updates(PackModel):
    """How often whom to tell. `every` in seconds, or `at: end_of_day`; neither means when there is something to say."""

    every_seconds: Duration | None = Field(default=None, alias="every")
    at: Literal["end_of_day"] | None = None
    audience: Short | None = None

    @model_validator(mode="after")
    def _one_cadence(self) -> Self:
        if self.every_seconds is not None and self.at is not None:
            raise ValueError("Give `every` or `at`, not both.")
        return self

    def text(self) -> str:
        """The cadence for people."""
        if self.every_seconds is not None:
            return f"every {duration_text(self.every_seconds)}"
        return "end of day" if self.at else "–"


class Severity(PackModel):
    """One severity of a pack. Rank 0 is the worst."""

    id: SeverityId
    name: Short
    rank: Annotated[int, Field(ge=0, le=99)]
    definition: Sentence
    impact: Sentence | None = None
    examples: Sequence[Short] = ()
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
    paging: Literal["page", "notify", "none"]
    clocks: Clocks = Clocks()
    updates: Updates = Updates()
    auto_remediate: Literal["yes", "conditional", "no"] = "no"


class Severities(PackList[Sequence[Severity]]):
    """All severities of a pack, worst first."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if not self.root:
            raise ValueError("A pack needs at least one severity.")
        for what, values in (("id", [s.id.lower() for s in self.root]), ("rank", [s.rank for s in self.root])):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise ValueError(f"Two severities have the {what} {twice[0]}.")
        if [s.rank for s in self.root] != sorted(s.rank for s in self.root):
            raise ValueError("Severities stand in the order of their rank, the worst first.")
        return self

    @property
    def ids(self) -> list[str]:
        return [severity.id for severity in self.root]

    def find(self, severity_id: str) -> Severity | None:
        """The severity with this id, in any case of letters."""
        return next((s for s in self.root if s.id.lower() == severity_id.lower()), None)

    def get(self, severity_id: str) -> Severity:
        """The same; KeyError where the pack has none."""
        found = self.find(severity_id)
        if found is None:
            raise KeyError(severity_id)
        return found


class Resolve(PackModel):
    """What happens when all alerts of an incident have cleared."""

    on_clear: Literal["propose_when_commanded", "always", "never"] = "propose_when_commanded"


class MilestoneKind(PackModel):
    """An instant that people mark."""

    slug: Slug
    label: Short


class Lifecycle(PackModel):
    """How the phases are called, how incidents are numbered, what is marked, and when they resolve by themselves."""

    number: Annotated[str, StringConstraints(max_length=60)] = "INC-%Y-%m-%d-{seq:03d}"
    labels: Mapping[str, Short]
    milestones: Sequence[MilestoneKind] = ()
    resolve: Resolve = Resolve()

    @field_validator("number")
    @classmethod
    def _number_is_a_format(cls, value: str) -> str:
        rest = _DATE.sub("", _SEQ.sub("", value))
        if len(_SEQ.findall(value)) != 1 or not _SEQ.search(value + "\n") or not re.fullmatch(r"[\w .#/-]*", rest):
            raise ValueError(
                "A number format has {seq} or {seq:03d} once, dates as %Y %m %d %j %H, and letters, digits, - . # / _."
            )
        if _DATE.search(value[value.index("{seq") :]):
            raise ValueError("In a number format the dates stand before {seq}.")
        if len(value) > 34:  # noqa: PLR2004  # a number has 40 characters, of which the sequence may need six more
            raise ValueError("The number format is too long: at most 34 characters.")
        return value

    @field_validator("labels")
    @classmethod
    def _all_phases_are_named(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        phases = set(Incident.Phase.values)
        if missing := sorted(phases - set(value)):
            raise ValueError(f"No label for the phase {', '.join(missing)}.")
        if unknown := sorted(set(value) - phases):
            raise ValueError(f"Unknown phase {', '.join(unknown)}; the phases are {', '.join(Incident.Phase.values)}.")
        return value

    @property
    def milestone_slugs(self) -> list[str]:
        """All milestones that can be reached, the portal's own first."""
        return [*ALWAYS_MARKED, *(m.slug for m in self.milestones if m.slug not in ALWAYS_MARKED)]

    def milestone_label(self, slug: str) -> str:
        return next((m.label for m in self.milestones if m.slug == slug), slug.replace("_", " ").capitalize())

    def number_prefix(self, at: datetime) -> str:
        """All that stands before the sequence; numbers with the same prefix share one sequence."""
        return at.strftime(self.number[: self.number.index("{seq")])

    def number_for(self, at: datetime, seq: int) -> str:
        """The number of the `seq`-th incident, in UTC dates of `at`."""
        return self.number_prefix(at) + self.number[self.number.index("{seq") :].format(seq=seq)


class RoleKind(PackModel):
    """A role in an incident and its place in the command structure."""

    slug: Slug
    name: Short
    required: bool = False
    reports_to: Slug | None = None
    staffed_from: Short | None = None
    responsibilities: Sequence[Short] = ()


class Roles(PackList[Sequence[RoleKind]]):
    """The command structure: exactly one role reports to nobody, and it commands."""

    @model_validator(mode="after")
    def _one_tree(self) -> Self:
        above = {role.slug: role.reports_to for role in self.root}
        if len(above) != len(self.root):
            raise ValueError("Two roles have the same slug.")
        if sum(1 for role in self.root if role.reports_to is None) != 1:
            raise ValueError("Exactly one role reports to nobody: the commander.")
        for slug, boss in above.items():
            if boss is not None and boss not in above:
                raise ValueError(f"Role {slug} reports to {boss}, which is no role of this pack.")
            seen: set[str | None] = set()
            step: str | None = slug
            while step is not None:
                if step in seen:
                    raise ValueError(f"Role {slug} reports to itself by a circle.")
                seen.add(step)
                step = above[step]
        return self

    @property
    def commander(self) -> RoleKind:
        return next(role for role in self.root if role.reports_to is None)

    def find(self, slug: str) -> RoleKind | None:
        return next((role for role in self.root if role.slug == slug), None)


def severities(version_id: int) -> Severities:
    """The severities of a policy version; NotFound where there is no such version."""
    return cast("Severities", section(version_id, "severities"))


def lifecycle(version_id: int) -> Lifecycle:
    """The lifecycle of a policy version; NotFound where there is no such version."""
    return cast("Lifecycle", section(version_id, "lifecycle"))


def roles(version_id: int) -> Roles:
    """The roles of a policy version; NotFound where there is no such version."""
    return cast("Roles", section(version_id, "roles"))


def _check_stops(sections: Sections) -> list[Finding]:
    """Milestones at which clocks stop must exist."""
    known = cast("Lifecycle", sections["lifecycle"]).milestone_slugs
    named: list[tuple[Where, str]] = [
        (("severities", index, "clocks", "stop"), severity.clocks.stop)
        for index, severity in enumerate(cast("Severities", sections["severities"]).root)
    ]
    return unknown_milestones(named, known)


def unknown_milestones(named: Sequence[tuple[Where, str]], known: Sequence[str]) -> list[Finding]:
    """A finding for each place that names a milestone which the lifecycle does not have."""
    return [
        Finding(where, f"Unknown milestone {slug}; known are {', '.join(known)}.")
        for where, slug in named
        if slug not in known
    ]


def _check_milestones(sections: Sections) -> list[Finding]:
    found = cast("Lifecycle", sections["lifecycle"])
    counts = Counter(milestone.slug for milestone in found.milestones)
    return [
        Finding(("lifecycle", "milestones", index, "slug"), f"The milestone {milestone.slug} is named twice.")
        for index, milestone in enumerate(found.milestones)
        if counts[milestone.slug] > 1
    ]


def _severity_tables(found: Severities) -> list[Table]:
    return [
        Table(
            "Severities and clocks",
            ("Severity", "Definition", "Impact", "Respond in", "Target", "Updates", "Audience", "Paging", "Remedy"),
            [
                (
                    f"{s.id} {s.name}",
                    s.definition,
                    s.impact or "–",
                    duration_text(s.clocks.response_seconds),
                    _target_text(s.clocks),
                    s.updates.text(),
                    s.updates.audience or "–",
                    s.paging,
                    f"automatic: {s.auto_remediate}",
                )
                for s in found.root
            ],
            note="A limit is met only below its time: exactly on it has missed it.",
        ),
        Table("Examples", ("Severity", "Examples"), [(s.id, ", ".join(s.examples) or "–") for s in found.root]),
    ]


def _target_text(clocks: Clocks) -> str:
    stop = f" until {clocks.stop}" if clocks.target_seconds is not None and clocks.stop != RESOLVED else ""
    return f"{duration_text(clocks.target_seconds)}{stop}"


def _severity_columns(found: Severities) -> list[Column]:
    return [
        Column("Severity", {s.id: f"{s.id} {s.name}" for s in found.root}, place=0),
        Column("Respond in", {s.id: duration_text(s.clocks.response_seconds) for s in found.root}, place=10),
        Column("Target", {s.id: _target_text(s.clocks) for s in found.root}, place=10),
        Column("Updates", {s.id: s.updates.text() for s in found.root}, place=90),
    ]


def _lifecycle_tables(found: Lifecycle) -> list[Table]:
    return [
        Table(
            "Lifecycle",
            ("Phase", "Called"),
            [(phase, found.labels[phase]) for phase in Incident.Phase.values],
            note=f"Numbers read {found.number}. When all alerts clear: {found.resolve.on_clear.replace('_', ' ')}.",
        ),
        Table("Milestones", ("Milestone", "Called"), [(m, found.milestone_label(m)) for m in found.milestone_slugs]),
    ]


def _role_tables(found: Roles) -> list[Table]:
    return [
        Table(
            "Roles",
            ("Role", "Required", "Reports to", "Staffed from", "Responsibilities"),
            [
                (
                    r.name,
                    "yes" if r.required else "no",
                    r.reports_to or "–",
                    r.staffed_from or "–",
                    "; ".join(r.responsibilities) or "–",
                )
                for r in found.root
            ],
        )
    ]


def register() -> None:
    """Own the sections. Called from `ready()`; again changes nothing."""
    register_section("severities", Severities, check=_check_stops, tables=_severity_tables, columns=_severity_columns)
    register_section("lifecycle", Lifecycle, check=_check_milestones, tables=_lifecycle_tables)
    register_section("roles", Roles, tables=_role_tables)
