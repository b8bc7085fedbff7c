"""The section of a pack that says what an alert's labels mean: service, severity, team and group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, StringConstraints, field_validator, model_validator

from apps.alerts.fields import METRIC_LABEL, TYPE_LABEL
from apps.foundation.patterns import compiled
from apps.policies.durations import Duration, duration_text
from apps.policies.queries import section
from apps.policies.sections import Column, Finding, PackModel, Sections, Table, register_section

Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ChannelKind = Literal["slack", "pagerduty", "email", "discord"]
"""Kinds of channels that a whole team reads or is called by."""
CHANNEL_NAMES: Mapping[ChannelKind, str] = {
    "slack": "Slack",
    "pagerduty": "PagerDuty",
    "email": "Email",
    "discord": "Discord",
}


class Regex(PackModel):
    """A regular expression that the whole value of a label must match; of those that need only linear time."""

    regex: Annotated[str, StringConstraints(min_length=1, max_length=200)]

    @field_validator("regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compiled(value)
        return value


class Rule(PackModel):
    """Alerts whose labels all match get this service, severity, team or domain. The first rule that matches counts."""

    match: Annotated[Mapping[Label, str | Regex], Field(min_length=1)]
    service: Short | None = None
    severity: str | None = None
    team: Short | None = None
    domain: Slug | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.service is None and self.severity is None and self.team is None and self.domain is None:
            raise ValueError("A rule gives a service, a severity, a team or a domain.")
        return self

    def words(self) -> str:
        """The condition for people."""
        return ", ".join(
            f"{name} = {wanted}" if isinstance(wanted, str) else f"{name} ~ {wanted.regex}"
            for name, wanted in self.match.items()
        )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether each label named here is present and has the value, or matches the expression as a whole."""
        for name, wanted in self.match.items():
            value = labels.get(name)
            if value is None:
                return False
            if isinstance(wanted, str):
                if value != wanted:
                    return False
            elif not compiled(wanted.regex).fullmatch(value):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Routed:
    """Where an alert goes: slugs of services to try in order; no `team` leaves it to the service or integration."""

    severity: str
    services: tuple[str, ...]
    team: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that hears of an alert: the kind of channel and its name there, as `#alerts-economy`."""

    channel: str
    name: str


# Of PagerDuty that is a change event.
_READERS: tuple[ChannelKind, ...] = ("slack", "discord", "pagerduty")


class Domain(PackModel):
    """A field of the game or the company: which named channel of each kind hears of its alerts."""

    slug: Slug
    name: Short
    channels: Annotated[Mapping[ChannelKind, Short], Field(min_length=1)]


FIELDS = ("@service", "@severity", "@team", "@integration", "@title")
"""What alerts can be grouped by besides labels: what they came to be, not what they said. No label begins with @."""


def checked_group_by(names: Sequence[str]) -> Sequence[str]:
    """The same names; ValueError for a field that does not exist."""
    for name in names:
        if name.startswith("@") and name not in FIELDS:
            raise ValueError(f"There is no field {name}; there are {', '.join(FIELDS)}. Other names are labels.")
    return names


class Flapping(PackModel):
    """An alert that fires or clears this often within this time flaps: told once, and its incident stays open."""

    changes: Annotated[int, Field(ge=3, le=20)] = 6
    within_seconds: Annotated[Duration, Field(ge=10, le=86400)] = Field(default=600, alias="within")


class Suppression(PackModel):
    """An alert of a service that can't work without one that is down is attached to that one's incident."""

    by_dependency: bool = True
    release_after_seconds: Annotated[Duration, Field(le=86400)] = Field(default=120, alias="release_after")


class Routing(PackModel):
    """How labels are read. Severity words are compared in lower case."""

    service_labels: Sequence[Label] = ("service",)
    severity_labels: Sequence[Label] = ("severity",)
    type_labels: Sequence[Label] = (TYPE_LABEL,)
    metric_labels: Sequence[Label] = (METRIC_LABEL,)
    severity_map: Mapping[Label, str]
    default_severity: str
    group_by: Literal["dedup_key"] | Annotated[Sequence[Label], Field(min_length=1)] = "dedup_key"
    group_window_seconds: Annotated[Duration, Field(ge=1)] | None = Field(default=None, alias="group_window")
    group_max: Annotated[int, Field(ge=1, le=100_000)] | None = None
    flapping: Flapping | None = Flapping()
    suppression: Suppression = Suppression()
    rules: Sequence[Rule] = ()
    notify: Mapping[str, Sequence[ChannelKind]] = {}
    domain_labels: Sequence[Label] = ("domain",)
    domains: Sequence[Domain] = ()
    default_domain: Slug | None = None

    @model_validator(mode="after")
    def _domains_are_known(self) -> Self:
        slugs = [domain.slug for domain in self.domains]
        if twice := [slug for slug in slugs if slugs.count(slug) > 1]:
            raise ValueError(f"Two domains have the slug {twice[0]}.")
        if self.default_domain is not None and self.default_domain not in slugs:
            raise ValueError(f"`default_domain` {self.default_domain} is no domain of this pack.")
        for rule in self.rules:
            if rule.domain is not None and rule.domain not in slugs:
                raise ValueError(f"A rule names the domain {rule.domain}; known are {', '.join(slugs) or 'none'}.")
        return self

    @field_validator("group_by")
    @classmethod
    def _fields_exist(cls, value: str | Sequence[str]) -> str | Sequence[str]:
        return value if isinstance(value, str) else checked_group_by(value)

    @field_validator("severity_map")
    @classmethod
    def _words_are_lower_case(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for word in value:
            if word != word.lower():
                raise ValueError(f"Write {word.lower()!r}, not {word!r}: severity words are compared in lower case.")
        return value

    def severity_of(self, labels: Mapping[str, str]) -> str:
        """The severity that the labels name, else the default."""
        for name in self.severity_labels:
            found = self.severity_map.get(labels.get(name, "").lower())
            if found is not None:
                return found
        return self.default_severity

    def route(self, labels: Mapping[str, str]) -> Routed:
        """Service, severity and team of an alert: the first matching rule, then the labels, then the defaults."""
        rule = next((rule for rule in self.rules if rule.matches(labels)), None)
        services = tuple(labels[name] for name in self.service_labels if labels.get(name))
        if rule is None:
            return Routed(self.severity_of(labels), services, domain=self.domain_of(labels))
        return Routed(
            rule.severity or self.severity_of(labels),
            (rule.service,) if rule.service else services,
            rule.team or "",
            rule.domain or self.domain_of(labels),
        )

    def type_of(self, labels: Mapping[str, str]) -> str:
        """The word that the labels say for the type of incident; empty without one."""
        return next((labels[name] for name in self.type_labels if labels.get(name)), "")

    def metric_of(self, labels: Mapping[str, str]) -> str:
        """The metric that the alert is about, as the labels name it; empty without one."""
        return next((labels[name] for name in self.metric_labels if labels.get(name)), "")

    def domain_of(self, labels: Mapping[str, str]) -> str:
        """The domain that the labels name, else the default one; empty where the pack has none."""
        slugs = {domain.slug for domain in self.domains}
        named = (labels.get(name, "").lower() for name in self.domain_labels)
        return next((value for value in named if value in slugs), self.default_domain or "")

    def destinations(self, severity: str, domain: str) -> list[Destination]:
        """Which named channels hear of an alert: the kinds of its severity that its domain has, in the pack's order."""
        found = next((each for each in self.domains if each.slug == domain), None)
        if found is None:
            return []
        return [
            Destination(kind, found.channels[kind]) for kind in self.notify.get(severity, ()) if kind in found.channels
        ]

    def readers(self, domain: str) -> list[Destination]:
        """Which named channels read what was done about it, whatever the severity: those that open and page nothing."""
        found = next((each for each in self.domains if each.slug == domain), None)
        return [Destination(kind, found.channels[kind]) for kind in _READERS if kind in found.channels] if found else []

    def group_key(self, labels: Mapping[str, str], dedup_key: str) -> str:
        """Alerts with the same key share an incident: the dedup key, or the values of the labels of `group_by`."""
        return group_key_of(self.group_by, labels, dedup_key)


def group_key_of(group_by: str | Sequence[str], labels: Mapping[str, str], dedup_key: str) -> str:
    """The key of a group; `labels` holds the fields too."""
    if group_by == "dedup_key":
        return dedup_key
    return ",".join(f"{name}={labels.get(name, '')}" for name in group_by)


def routing(version_id: int) -> Routing:
    """The routing of a policy version; NotFound where there is no such version."""
    return cast("Routing", section(version_id, "routing"))


def _check(sections: Sections) -> list[Finding]:
    """Every severity named here must exist."""
    found = cast("Routing", sections["routing"])
    severities: Any = sections["severities"]
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("routing", "severity_map", word), target) for word, target in found.severity_map.items()
    ]
    named.append((("routing", "default_severity"), found.default_severity))
    named += [(("routing", "notify", severity), severity) for severity in found.notify]
    named += [
        (("routing", "rules", index, "severity"), rule.severity)
        for index, rule in enumerate(found.rules)
        if rule.severity is not None
    ]
    return [
        Finding(where, f"Unknown severity {target}; known are {', '.join(severities.ids)}.")
        for where, target in named
        if target not in severities.ids
    ]


def _tables(found: Routing) -> list[Table]:
    group = found.group_by if isinstance(found.group_by, str) else ", ".join(found.group_by)
    words: dict[str, list[str]] = {}
    for word, target in found.severity_map.items():
        words.setdefault(target, []).append(word)
    return [
        Table(
            "Severity of an alert",
            ("Label says", "Severity"),
            [(", ".join(sorted(said)), target) for target, said in sorted(words.items())]
            + [("anything else", found.default_severity)],
            note=f"Severity labels: {', '.join(found.severity_labels)}. Service labels: "
            f"{', '.join(found.service_labels)}. Type labels: {', '.join(found.type_labels)}. Metric labels: "
            f"{', '.join(found.metric_labels)}. Grouped by {group}{_bounds(found)}.",
        ),
        Table(
            "Routing rules",
            ("Labels", "Service", "Severity", "Team", "Domain"),
            [
                (
                    rule.words(),
                    rule.service or "–",
                    rule.severity or "–",
                    rule.team or "–",
                    rule.domain or "–",
                )
                for rule in found.rules
            ],
            note="The first rule that matches counts." if found.rules else "No rules.",
        ),
        *([_domain_table(found)] if found.domains else []),
        _noise_table(found),
    ]


def _bounds(found: Routing) -> str:
    window = f", for {duration_text(found.group_window_seconds)}" if found.group_window_seconds else ""
    return window + (f", at most {found.group_max} alerts" if found.group_max else "")


def _noise_table(found: Routing) -> Table:
    flapping, suppression = found.flapping, found.suppression
    flaps = f"{flapping.changes} changes within {duration_text(flapping.within_seconds)}" if flapping else "never"
    released = f"released {duration_text(suppression.release_after_seconds)} after the end of the outage further up"
    return Table(
        "Noise",
        ("What", "When"),
        [
            ("An alert flaps", flaps),
            ("Held back by a dependency", released if suppression.by_dependency else "never"),
        ],
    )


def _domain_table(found: Routing) -> Table:
    kinds = [kind for kind in CHANNEL_NAMES if any(kind in domain.channels for domain in found.domains)]
    return Table(
        "Domains and their channels",
        ("Domain", *(CHANNEL_NAMES[kind] for kind in kinds)),
        [(domain.name, *(domain.channels.get(kind, "–") for kind in kinds)) for domain in found.domains],
        note=f"Domain labels: {', '.join(found.domain_labels)}. An alert without one: {found.default_domain or '–'}.",
    )


def _columns(found: Routing) -> list[Column]:
    if not found.notify:
        return []
    cells = {severity: " + ".join(CHANNEL_NAMES[kind] for kind in kinds) for severity, kinds in found.notify.items()}
    return [Column("Told on", cells, place=60)]


def register() -> None:
    """Own the section `routing`. Called from `ready()`; again changes nothing."""
    register_section("routing", Routing, check=_check, tables=_tables, columns=_columns)
