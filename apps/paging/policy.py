"""The section of a pack that says whom to page when: the escalation path, and what calls somebody besides time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import time
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from apps.messaging.models import Message
from apps.paging.conditions import BY_CLOCK, KIND_NAMES, KINDS, LIMITED
from apps.policies.durations import Duration, duration_text
from apps.policies.queries import section
from apps.policies.sections import Column, Finding, PackModel, Sections, Table, Where, register_section

Track = Literal["page", "management"]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,59}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

PERSONAL_CHANNELS = tuple(Message.Channel.values)


def _clock_time(value: Any) -> time:
    """A time of day as people write it."""
    if isinstance(value, str):
        try:
            found = time.fromisoformat(value)
        except ValueError:
            pass
        else:
            if found.tzinfo is None:
                return found
    raise ValueError(f'{value!r} is not a time of day: write "08:00", in quotes.')


TimeOfDay = Annotated[time, BeforeValidator(_clock_time)]


def _known_channels(channels: Sequence[str]) -> None:
    for channel in channels:
        if channel not in PERSONAL_CHANNELS:
            raise ValueError(f"Unknown channel {channel!r}; known are {', '.join(PERSONAL_CHANNELS)}.")


class Call(PackModel):
    """Whom a level or a trigger calls, and how many of them must answer.

    `order: all` calls everybody who is on call for the roles. `round_robin` calls one of the people behind the roles,
    each time the next; `awake` calls those of them first for whom it is day. No channels means the severity's, and
    where the pack has none, all of a person's.
    """

    roles: Sequence[Slug] = ()
    channels: Sequence[str] = ()
    order: Literal["all", "round_robin", "awake"] = "all"
    acknowledgements: Annotated[int, Field(ge=1, le=10)] = 1

    @model_validator(mode="after")
    def _channels_exist(self) -> Self:
        _known_channels(self.channels)
        return self


class Level(Call):
    """One level: these roles are called `after` (seconds) for these severities; without it only by a trigger."""

    level: Annotated[int, Field(ge=1, le=50)]
    name: Short
    after_seconds: Duration | None = Field(default=None, alias="after")
    roles: Annotated[Sequence[Slug], Field(min_length=1)]
    severities: Annotated[Sequence[str], Field(min_length=1)]
    track: Track | None = None


class Trigger(Call):
    """Something besides time that calls a level, the next one (`call: next`), or roles of its own, after a delay.

    `for` is how long no progress lasts, `over` the amount that revenue lost must exceed. `of: service_owners` asks for
    the roles in the teams that own the affected services. Without `severities` it holds for all that page anybody.
    """

    when: Slug
    call: Annotated[int, Field(ge=1, le=50)] | Literal["next"] | None = None
    after_seconds: Duration = Field(default=0, alias="after")
    for_seconds: Duration | None = Field(default=None, alias="for")
    over: Annotated[int, Field(ge=0)] | None = None
    of: Literal["team", "service_owners"] = "team"
    name: Short | None = None
    severities: Sequence[str] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.when not in KINDS:
            raise ValueError(f"Unknown trigger {self.when!r}; known are {', '.join(KINDS)}.")
        if (self.call is None) == (not self.roles):
            raise ValueError("A trigger calls either a level (`call: 3` or `call: next`) or `roles` of its own.")
        if (self.when == "no_progress") != (self.for_seconds is not None):
            raise ValueError("`for` says how long no progress lasts: only `no_progress` has it, and needs it.")
        if self.for_seconds is not None and self.for_seconds < 60:  # noqa: PLR2004  # less would call without a pause
            raise ValueError("`for` must be at least 1m.")
        if (self.when in LIMITED) != (self.over is not None):
            raise ValueError(f"`over` is the limit of {', '.join(LIMITED)}: only these have it, and need it.")
        return self

    @property
    def title(self) -> str:
        """The trigger for people."""
        text = KIND_NAMES[self.when]
        if self.for_seconds is not None:
            text += f" for {duration_text(self.for_seconds)}"
        return f"{text} over {self.over:,}" if self.over is not None else text


class Repeat(PackModel):
    """The page track calls again, so many times, every so many seconds: the last reached level, or the whole path."""

    times: Annotated[int, Field(ge=0, le=100)]
    every_seconds: Duration = Field(alias="every")
    what: Literal["last_level", "path"] = "last_level"

    @model_validator(mode="after")
    def _has_a_pause(self) -> Self:
        if self.times and self.every_seconds < 1:
            raise ValueError("`every` must be at least 1s.")
        return self


class Hours(PackModel):
    """Hours of the day, on clocks of the person they are asked for; `to` lies after `from`."""

    starts: TimeOfDay = Field(alias="from")
    ends: TimeOfDay = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends <= self.starts:
            raise ValueError("`to` must be later on the same day than `from`.")
        return self


class WorkingHours(Hours):
    """The same, on these days of the week."""

    days: Annotated[Sequence[Weekday], Field(min_length=1)] = WEEKDAYS[:5]


class Snooze(PackModel):
    """For how long people may snooze at most, and until which hours."""

    at_most_seconds: Duration = Field(default=3 * 86400, alias="at_most")
    working_hours: WorkingHours = WorkingHours.model_validate({"from": "09:00", "to": "17:00"})


class Escalation(PackModel):
    """The path, and until when it runs: `acknowledged`, `resolved`, or a milestone of the pack.

    With `basis: gate` nothing escalates by itself before the severity's own target has passed. An acknowledged page
    track comes back when nothing happened for `unacknowledge` seconds.
    """

    until: Slug
    basis: Literal["matrix", "gate"] = "matrix"
    path: Annotated[Sequence[Level], Field(min_length=1, max_length=50)]
    triggers: Annotated[Sequence[Trigger], Field(max_length=50)] = ()
    repeat: Repeat = Repeat(times=0, every=0)
    channels: Mapping[str, Sequence[str]] = {}
    urgency: Mapping[str, Literal["high", "low"]] = {}
    unacknowledge_seconds: Duration | None = Field(default=None, alias="unacknowledge")
    waking_hours: Hours = Hours.model_validate({"from": "08:00", "to": "22:00"})
    snooze: Snooze = Snooze()

    @model_validator(mode="after")
    def _path_ascends(self) -> Self:
        numbers = [level.level for level in self.path]
        if numbers != list(range(1, len(numbers) + 1)):
            raise ValueError("Levels are numbered 1, 2, 3 … in their order.")
        delays = [level.after_seconds for level in self.path if level.after_seconds is not None]
        if delays != sorted(delays):
            raise ValueError("No level may come before the one above it: `after` never falls.")
        for channels in self.channels.values():
            _known_channels(channels)
        if self.unacknowledge_seconds is not None and self.unacknowledge_seconds < 60:  # noqa: PLR2004  # it would flap
            raise ValueError("`unacknowledge` must be at least 1m.")
        return self

    def track_of(self, level: Level) -> Track:
        """`page` ends when somebody acknowledges, `management` when `until` is reached. A level may say it itself."""
        if level.track is not None:
            return level.track
        if level.after_seconds is not None and (self.until == "acknowledged" or level.after_seconds == 0):
            return "page"
        return "management"

    def levels(self, severity: str, track: Track | None = None) -> list[Level]:
        """The levels that `severity` reaches, of one track or of both, in order."""
        return [
            level
            for level in self.path
            if severity in level.severities and (track is None or self.track_of(level) == track)
        ]

    def level(self, number: int) -> Level | None:
        return next((level for level in self.path if level.level == number), None)

    def triggers_of(self, severity: str) -> list[tuple[int, Trigger]]:
        """The triggers that hold for `severity`, with their places in the list."""
        return [
            (place, trigger)
            for place, trigger in enumerate(self.triggers)
            if severity in (trigger.severities or self._severities_of(trigger))
        ]

    def _severities_of(self, trigger: Trigger) -> set[str]:
        """A trigger that names none holds for those of the level that it calls, else for all that page anybody."""
        level = self.level(trigger.call) if isinstance(trigger.call, int) else None
        return {severity for found in ([level] if level else self.path) for severity in found.severities}

    def channels_of(self, call: Call, severity: str) -> tuple[str, ...]:
        """The channels of a call: its own, else those of the severity; empty means all of a person's."""
        return tuple(call.channels or self.channels.get(severity, ()))

    @property
    def roles(self) -> set[str]:
        """Every role that somebody must answer for."""
        return {role for call in (*self.path, *self.triggers) for role in call.roles}


def escalation(version_id: int) -> Escalation:
    """The escalation path of a policy version; NotFound where there is no such version."""
    return cast("Escalation", section(version_id, "escalation"))


def _check(sections: Sections) -> list[Finding]:
    """Severities and `until` must exist, clocks that are waited for must be set, and who pages must page at once."""
    found = cast("Escalation", sections["escalation"])
    # Incidents stand above this app: their sections are read by their shape.
    severities: Any = sections["severities"]
    lifecycle: Any = sections["lifecycle"]
    findings = _unknown_severities(found, severities)
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
        later = [level for level in levels if level.after_seconds]
        if found.basis == "gate" and later and severity.clocks.target_seconds is None:
            text = f"`gate` waits for the target of {severity.id}, which has none: set its clock `target`."
            findings.append(Finding(("escalation", "basis"), text))
    return findings + _check_triggers(found, severities)


def _unknown_severities(found: Escalation, severities: Any) -> list[Finding]:
    named: list[tuple[Where, str]] = [
        (("escalation", "path", index, "severities", position), severity)
        for index, level in enumerate(found.path)
        for position, severity in enumerate(level.severities)
    ]
    named += [
        (("escalation", "triggers", index, "severities", position), severity)
        for index, trigger in enumerate(found.triggers)
        for position, severity in enumerate(trigger.severities)
    ]
    named += [(("escalation", "channels", severity), severity) for severity in found.channels]
    named += [(("escalation", "urgency", severity), severity) for severity in found.urgency]
    known = ", ".join(severities.ids)
    return [
        Finding(where, f"Unknown severity {severity}; known are {known}.")
        for where, severity in named
        if severity not in severities.ids
    ]


def _check_triggers(found: Escalation, severities: Any) -> list[Finding]:
    """A trigger must call a level that is there, and wait for a clock that runs."""
    findings: list[Finding] = []
    for index, trigger in enumerate(found.triggers):
        place: Where = ("escalation", "triggers", index)
        if isinstance(trigger.call, int) and found.level(trigger.call) is None:
            findings.append(
                Finding((*place, "call"), f"There is no level {trigger.call}; there are {len(found.path)}.")
            )
        clock = BY_CLOCK.get(trigger.when)
        if clock is None:
            continue
        held = [s for s in severities.root if index in dict(found.triggers_of(s.id)) and s.paging != "none"]
        if not any(getattr(s.clocks, f"{clock}_seconds") is not None for s in held):
            text = f"{KIND_NAMES[trigger.when]} never happens: no severity of this trigger has the clock `{clock}`."
            findings.append(Finding((*place, "when"), text))
    return findings


def _tables(found: Escalation) -> list[Table]:
    tables = [
        Table(
            "Escalation path",
            ("Level", "Name", "After", "Roles", "Severities", "Channels", "Ends when"),
            [
                (
                    str(level.level),
                    level.name,
                    _after_text(found, level),
                    _who_text(level),
                    ", ".join(level.severities),
                    ", ".join(level.channels) or ("by severity" if found.channels else "all"),
                    "acknowledged" if found.track_of(level) == "page" else found.until,
                )
                for level in found.path
            ],
            note=_note(found),
        )
    ]
    if found.triggers:
        rows = [
            (
                trigger.title,
                _called_text(found, trigger),
                duration_text(trigger.after_seconds) if trigger.after_seconds else "at once",
                ", ".join(trigger.severities) or "all it can reach",
                ", ".join(trigger.channels) or ("by severity" if found.channels else "all"),
            )
            for trigger in found.triggers
        ]
        columns = ("Trigger", "Calls", "After that", "Severities", "Channels")
        tables.append(Table("Escalation triggers", columns, rows, note="Whichever comes first calls a level, once."))
    if found.channels:
        rows_by_severity = [(severity, ", ".join(channels)) for severity, channels in found.channels.items()]
        tables.append(Table("Paging channels", ("Severity", "Channels"), rows_by_severity))
    if found.urgency:
        tables.append(Table("Urgency", ("Severity", "Urgency"), list(found.urgency.items())))
    return tables


def _after_text(found: Escalation, level: Level) -> str:
    if level.after_seconds is None:
        return "by a trigger"
    text = duration_text(level.after_seconds)
    return f"{text}, not before the target" if found.basis == "gate" and level.after_seconds else text


def _who_text(call: Call) -> str:
    text = ", ".join(call.roles)
    if call.order == "round_robin":
        text += " (in turn, one at a time)"
    if call.order == "awake":
        text += " (who is awake first)"
    return f"{text}; {call.acknowledgements} must answer" if call.acknowledgements > 1 else text


def _called_text(found: Escalation, trigger: Trigger) -> str:
    if trigger.call == "next":
        return "the next level"
    level = found.level(trigger.call) if isinstance(trigger.call, int) else None
    if level is not None:
        return f"level {level.level}: {level.name}"
    of = " of the teams that own the services" if trigger.of == "service_owners" else ""
    return (f"{trigger.name}: " if trigger.name else "") + _who_text(trigger) + of


def _note(found: Escalation) -> str:
    repeat = found.repeat
    note = f"Escalation runs until {found.until}."
    if repeat.times:
        what = "The whole path" if repeat.what == "path" else "The page"
        note += f" {what} is repeated {repeat.times} times, every {duration_text(repeat.every_seconds)}."
    if found.basis == "gate":
        note += " By itself nothing escalates before the target of the severity has passed."
    if found.unacknowledge_seconds is not None:
        quiet = duration_text(found.unacknowledge_seconds)
        note += f" An acknowledged incident is paged again when nothing happens on it for {quiet}."
    return note


def _columns(found: Escalation) -> list[Column]:
    """Who is paged when, on which channels, for each severity that any level names."""
    cells: dict[str, list[str]] = {}
    for level in found.path:
        for severity in level.severities:
            channels = found.channels_of(level, severity)
            on = f" on {', '.join(channels)}" if channels else ""
            line = f"{_after_text(found, level)} {level.name} ({', '.join(level.roles)}){on}"
            cells.setdefault(severity, []).append(line)
    return [Column("Escalation", {severity: "\n".join(lines) for severity, lines in cells.items()})]


def register() -> None:
    """Own the section `escalation`. Called from `ready()`; again changes nothing."""
    register_section("escalation", Escalation, check=_check, tables=_tables, columns=_columns)
