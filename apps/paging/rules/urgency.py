"""How urgent a severity is, and how bad beside others: from the pack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.paging.policy import escalation
from apps.paging.rules.document import HIGH, LOW
from apps.policies.queries import section

_UNKNOWN_RANK = 50
# Whatever is of low urgency comes after whatever is of high urgency, also of another pack.
_LOW_FROM = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """Low ranks are worse; ranks of different packs are compared as they are."""

    urgency: str
    rank: int


def standing_of(version_id: int, severity: str) -> Standing:
    """Urgency and rank of a severity of a policy version.

    The pack's `escalation.urgency` says it; else a severity that pages (`paging: page`) is of high urgency, and one
    that only notifies of low. One that the pack does not know is of high urgency. No query once a version is loaded.
    """
    # Incidents stand above this app: their section is read by its shape.
    severities: Any = section(version_id, "severities")
    found = next((each for each in severities.root if each.id == severity), None)
    said = escalation(version_id).urgency.get(severity)
    urgency = said or (LOW if found is not None and found.paging != "page" else HIGH)
    rank = found.rank if found is not None else _UNKNOWN_RANK
    return Standing(urgency, rank if urgency == HIGH else _LOW_FROM + rank)
