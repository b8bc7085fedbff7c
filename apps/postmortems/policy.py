"""The section of a pack that says which incidents are reviewed, by when, in which parts, and how promises are chased.

A pack may leave the section out: then no review opens by itself, and one that somebody opens takes the template of
the default pack.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal, Self, cast

from django.conf import settings
from pydantic import Field, StringConstraints, model_validator

from apps.foundation.errors import NotFound
from apps.incidents.models import Incident
from apps.policies.durations import Duration, duration_text
from apps.policies.models import PolicyPack
from apps.policies.queries import section
from apps.policies.sections import Column, Finding, PackModel, Sections, Table, register_section

SECTION = "review"
DEFAULT_DIGEST = time(9, 0)

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Short = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Priority = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,19}$")]
WallClock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Computed = Literal["metadata", "impact", "timeline", "detection", "responders", "actions", "items"]


class Rule(PackModel):
    """Incidents of these severities need a review; with `over` (seconds), only those that lasted longer."""

    severities: Annotated[Sequence[str], Field(min_length=1)]
    over_seconds: Duration | None = Field(default=None, alias="over")

    def demands(self, severity: str, lasted: timedelta) -> bool:
        """Whether an incident of this severity that lasted so long needs one."""
        long_enough = self.over_seconds is None or lasted > timedelta(seconds=self.over_seconds)
        return severity in self.severities and long_enough

    def text(self) -> str:
        over = f" over {duration_text(self.over_seconds)}" if self.over_seconds is not None else ""
        return f"{', '.join(self.severities)}{over}"


class Part(PackModel):
    """One part of the template, in its order: computed by the portal, written by people, or both.

    `under` puts parts that follow each other under one heading. Only a written part can be required.
    """

    slug: Slug
    title: Short
    hint: Sentence | Literal[""] = ""
    computed: Computed | None = None
    written: bool = True
    required: bool = False
    under: Short | None = None

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if self.computed is None and not self.written:
            raise ValueError("A part is computed, written, or both.")
        if self.required and not self.written:
            raise ValueError("Only a written part can be required: the portal fills in the others.")
        return self


class ReviewRules(PackModel):
    """All of the section. Durations in seconds: `due` counts from the resolution, the others from a due date."""

    required: Sequence[Rule] = ()
    due_seconds: Duration = Field(alias="due")
    reminder_before_seconds: Duration = Field(alias="reminder_before")
    escalate_after_seconds: Duration = Field(alias="escalate_after")
    digest: WallClock = "09:00"
    priorities: Annotated[Sequence[Priority], Field(min_length=1, max_length=20)]
    template: Annotated[Sequence[Part], Field(min_length=1, max_length=40)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, values in (
            ("part", [part.slug for part in self.template]),
            ("computed part", [part.computed for part in self.template if part.computed]),
            ("priority", list(self.priorities)),
        ):
            if twice := [value for value, count in Counter(values).items() if count > 1]:
                raise ValueError(f"The {what} {twice[0]} is named twice.")
        return self

    @property
    def written_parts(self) -> list[tuple[int, Part]]:
        """The parts that people write, each with its place in the template."""
        return [(position, part) for position, part in enumerate(self.template) if part.written]

    @property
    def reminder_before(self) -> timedelta:
        return timedelta(seconds=self.reminder_before_seconds)

    @property
    def escalate_after(self) -> timedelta:
        return timedelta(seconds=self.escalate_after_seconds)

    def due_at(self, resolved_at: datetime) -> datetime:
        """When a review of an incident that was resolved at this instant is due."""
        return resolved_at + timedelta(seconds=self.due_seconds)

    def demanding(self, severity: str, lasted: timedelta) -> Rule | None:
        """The first rule that demands a review; None where it is voluntary."""
        return next((rule for rule in self.required if rule.demands(severity, lasted)), None)


def rules(version_id: int) -> ReviewRules | None:
    """The review section of a policy version; None where the pack has none."""
    try:
        return cast("ReviewRules", section(version_id, SECTION))
    except NotFound:
        return None


def why_required(incident: Incident) -> str:
    """The rule of the incident's pinned pack that demands a review, in words; empty where none does.

    Drills and incidents that are not resolved demand none. The severity is the one at the resolution.
    """
    found = rules(incident.policy_version_id)
    if found is None or incident.resolved_at is None or incident.kind == Incident.Kind.DRILL:
        return ""
    rule = found.demanding(incident.severity, incident.resolved_at - incident.detected_at)
    return f"The pack demands a review of {rule.text()}." if rule else ""


def template_version(incident: Incident) -> int | None:
    """The policy version whose review section holds for an incident: its pinned one, else what its pack says now,
    else what the default pack says now. None where none of them has the section."""
    pack_id = incident.policy_version.pack_id
    packs = PolicyPack.objects.filter(pk=pack_id) | PolicyPack.objects.filter(slug=settings.DEFAULT_PACK)
    active = {pack.pk: pack.active_version_id for pack in packs.only("pk", "active_version_id")}
    candidates = [incident.policy_version_id, active.pop(pack_id, None), *active.values()]
    return next((version for version in candidates if version and rules(version) is not None), None)


def digest_time() -> time:
    """When the managers' digest goes out, in each manager's own time zone: one time for the whole company, that of the
    default pack."""
    version = PolicyPack.objects.filter(slug=settings.DEFAULT_PACK).values_list("active_version_id", flat=True).first()
    found = rules(version) if version else None
    return time.fromisoformat(found.digest) if found else DEFAULT_DIGEST


def _check(sections: Sections) -> list[Finding]:
    """The severities that rules name must exist."""
    found = cast("ReviewRules", sections[SECTION])
    severities: Any = sections["severities"]
    return [
        Finding(
            (SECTION, "required", index, "severities", position),
            f"Unknown severity {severity}; known are {', '.join(severities.ids)}.",
        )
        for index, rule in enumerate(found.required)
        for position, severity in enumerate(rule.severities)
        if severity not in severities.ids
    ]


def _tables(found: ReviewRules) -> list[Table]:
    required = "; ".join(rule.text() for rule in found.required) or "none"
    return [
        Table(
            "Reviews",
            ("Rule", "Setting"),
            [
                ("Required for", required),
                ("Due", f"{duration_text(found.due_seconds)} after the resolution"),
                ("Reminder", f"{duration_text(found.reminder_before_seconds)} before a due date"),
                ("Escalation to the manager", f"{duration_text(found.escalate_after_seconds)} after a due date"),
                ("Digest for managers", f"{found.digest}, in their own time zone"),
                ("Priorities of action items", ", ".join(found.priorities)),
            ],
        ),
        Table(
            "Template",
            ("Part", "Filled in by", "Required", "Hint"),
            [
                (
                    f"{part.under}: {part.title}" if part.under else part.title,
                    _by_whom(part),
                    "yes" if part.required else "no",
                    part.hint or "–",
                )
                for part in found.template
            ],
            note="What the portal fills in can't be edited, and is frozen once the review is done.",
        ),
    ]


def _columns(found: ReviewRules) -> list[Column]:
    """Which severities are reviewed, and which only where they lasted longer."""
    cells: dict[str, list[str]] = {}
    for rule in found.required:
        text = "always" if rule.over_seconds is None else f"over {duration_text(rule.over_seconds)}"
        for severity in rule.severities:
            cells.setdefault(severity, []).append(text)
    return [Column("Review", {severity: ", ".join(said) for severity, said in cells.items()}, place=95)]


def _by_whom(part: Part) -> str:
    if part.computed is None:
        return "people"
    return "the portal, and people" if part.written else "the portal"


def register() -> None:
    """Own the section `review`. Called from `ready()`; again changes nothing."""
    register_section(SECTION, ReviewRules, check=_check, required=False, tables=_tables, columns=_columns)
