"""The shipped packs, read once each, with their sections in their types."""

from __future__ import annotations

from functools import cache
from typing import cast

from apps.alerts.policy import Routing
from apps.incidents.incident_types import Types
from apps.incidents.policy import Lifecycle, Roles, Severities
from apps.incidents.service_levels import ServiceLevels
from apps.paging.policy import Escalation
from apps.policies.loading import Loaded, load
from apps.policies.operations import shipped_packs
from apps.postmortems.policy import ReviewRules

MINUTE, HOUR, DAY = 60, 3600, 86400


@cache
def loaded(letter: str) -> Loaded:
    """Pack A, B, C, D or E."""
    path = next(path for path in shipped_packs() if path.name.startswith(f"{letter.lower()}-"))
    found = load(path.read_text(encoding="utf-8"))
    assert found.problems == []
    return found


def severities(letter: str) -> Severities:
    return cast("Severities", loaded(letter).sections["severities"])


def lifecycle(letter: str) -> Lifecycle:
    return cast("Lifecycle", loaded(letter).sections["lifecycle"])


def roles(letter: str) -> Roles:
    return cast("Roles", loaded(letter).sections["roles"])


def types(letter: str) -> Types:
    return cast("Types", loaded(letter).sections["types"])


def service_levels(letter: str) -> ServiceLevels:
    return cast("ServiceLevels", loaded(letter).sections["sla"])


def escalation(letter: str) -> Escalation:
    return cast("Escalation", loaded(letter).sections["escalation"])


def routing(letter: str) -> Routing:
    return cast("Routing", loaded(letter).sections["routing"])


def review(letter: str) -> ReviewRules:
    return cast("ReviewRules", loaded(letter).sections["review"])


def notes(letter: str) -> str:
    head = loaded(letter).head
    assert head is not None
    return " ".join(head.notes)


def targets(letter: str) -> dict[str, int | None]:
    """The limit of each severity, in seconds."""
    return {severity.id: severity.clocks.target_seconds for severity in severities(letter).root}


def responses(letter: str) -> dict[str, int | None]:
    """The time to answer of each severity, in seconds."""
    return {severity.id: severity.clocks.response_seconds for severity in severities(letter).root}


def called(letter: str, severity: str) -> list[tuple[int, str]]:
    """Whom the clock calls for a severity: minutes after the start, and the role."""
    return [
        (level.after_seconds // MINUTE, role)
        for level in escalation(letter).levels(severity)
        if level.after_seconds is not None
        for role in level.roles
    ]
