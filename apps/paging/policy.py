"""The section of a pack that says whom to page when: the escalation path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, StringConstraints, model_validator

from apps.messaging.models import Message
from apps.policies.durations import Duration, duration_text
from apps.policies.queries import section
from apps.policies.sections import Finding, PackModel, Sections, Table, register_section

Track = Literal["page", "management"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,59}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=120)]

PERSONAL_CHANNELS = tuple(Message.Channel.values)


class Level(PackModel):
    """One level: these roles are paged `after` (seconds) for these severities. No channels means all of a person's."""

    level: Annotated[int, Field(ge=1, le=50)]
    name: Short
    after_seconds: Duration = Field(alias="after")
    roles: Annotated[Sequence[Slug], Field(min_length=1)]
    severities: Annotated[Sequence[str], Field(min_length=1)]
    channels: Sequence[str] = ()
    track: Track | None = None

    @model_validator(mode="after")
    def _channels_exist(self) -> Self:
        for channel in self.channels:
            if channel not in PERSONAL_CHANNELS:
                raise ValueError(f"Unknown channel {channel!r}; known are {', '.join(PERSONAL_CHANNELS)}.")
        return self


class Repeat(PackModel):
    """The last reached level of the page track is paged again: how many times, and every how many seconds."""

    times: Annotated[int, Field(ge=0, le=100)]
    every_seconds: Duration = Field(alias="every")

    @model_validator(mode="after")
    def _has_a_pause(self) -> Self:
        if self.times and self.every_seconds < 1:
            raise ValueError("`every` must be at least 1s.")
        return self


class Escalation(PackModel):
    """The path, and until when it runs: `acknowledged`, `resolved`, or a milestone of the pack."""

    until: Slug
    path: Annotated[Sequence[Level], Field(min_length=1, max_length=50)]
    repeat: Repeat = Repeat(times=0, every=0)

    @model_validator(mode="after")
    def _path_ascends(self) -> Self:
        numbers = [level.level for level in self.path]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError("Levels are numbered 1, 2, 3 … in their order.")
        delays = [level.after_seconds for level in self.path]
        if delays != sorted(delays):
            raise ValueError("No level may come before the one above it: `after` never falls.")
        return self

    def track_of(self, level: Level) -> Track:
        """`page` ends when somebody acknowledges, `management` when `until` is reached. A level may say it itself."""
        if level.track is not None:
            return level.track
        if self.until == "acknowledged" or level.after_seconds == 0:
            return "page"
        return "management"

    def levels(self, severity: str, track: Track | None = None) -> list[Level]:
        """The levels that `severity` reaches, of one track or of both, in order."""
        return [
            level
            for level in self.path
            if severity in level.severities and (track is None or self.track_of(level) == track)
        ]


def escalation(version_id: int) -> Escalation:
    """The escalation path of a policy version; NotFound where there is no such version."""
    return cast("Escalation", section(version_id, "escalation"))


def _check(sections: Sections) -> list[Finding]:
    """Severities and `until` must exist, and who is to be paged must be paged at once."""
    found = cast("Escalation", sections["escalation"])
    # Incidents stand above this app: their sections are read by their shape.
    severities: Any = sections["severities"]
    lifecycle: Any = sections["lifecycle"]
    findings: list[Finding] = []
    for index, level in enumerate(found.path):
        for position, severity in enumerate(level.severities):
            if severity not in severities.ids:
                where = ("escalation", "path", index, "severities", position)
                findings.append(Finding(where, f"Unknown severity {severity}; known are {', '.join(severities.ids)}."))
    if found.until not in lifecycle.milestone_slugs:
        known = ", ".join(lifecycle.milestone_slugs)
        findings.append(Finding(("escalation", "until"), f"Unknown milestone {found.until}; known are {known}."))
    for severity in severities.root:
        levels = found.levels(severity.id)
        if severity.paging == "page" and not any(level.after_seconds == 0 for level in levels):
            findings.append(Finding(("escalation", "path"), f"{severity.id} pages, but no level pages it at once."))
        if severity.paging == "none" and levels:
            findings.append(
                Finding(("escalation", "path"), f"{severity.id} pages nobody, but level {levels[0].level} names it.")
            )
    return findings


def _tables(found: Escalation) -> list[Table]:
    repeat = found.repeat
    again = (
        f" The page is repeated {repeat.times} times, every {duration_text(repeat.every_seconds)}."
        if repeat.times
        else ""
    )
    return [
        Table(
            "Escalation path",
            ("Level", "Name", "After", "Roles", "Severities", "Channels", "Ends when"),
            [
                (
                    str(level.level),
                    level.name,
                    duration_text(level.after_seconds),
                    ", ".join(level.roles),
                    ", ".join(level.severities),
                    ", ".join(level.channels) or "all",
                    "acknowledged" if found.track_of(level) == "page" else found.until,
                )
                for level in found.path
            ],
            note=f"Escalation runs until {found.until}.{again}",
        )
    ]


def register() -> None:
    """Own the section `escalation`. Called from `ready()`; again changes nothing."""
    register_section("escalation", Escalation, check=_check, tables=_tables)
