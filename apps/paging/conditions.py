"""What may call somebody besides time, by the names that packs, pages and programs use."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NO_PROGRESS = "no_progress"
TARGET_MET = "target_met"
"""What a run keeps once the milestone is reached at which the clock of its target stops. Nobody marks it."""

SEVERAL_SERVICES = "several_services"

BY_CLOCK: Mapping[str, str] = MappingProxyType({"response_exceeded": "response", "target_exceeded": "target"})
"""Conditions that a clock of the severity brings about, and which."""

MARKED: Mapping[str, str] = MappingProxyType(
    {
        "auto_remediation_failed": "Automatic remediation failed",
        SEVERAL_SERVICES: "Several services are affected",
        "revenue": "Revenue is lost",
        "public_relations": "Public relations risk",
        "data_loss": "Data loss is suspected",
        "security": "Security incident",
    }
)
"""Conditions that somebody marks: a person, or a part of the portal that finds out."""

LIMITED = frozenset({"revenue"})
"""Conditions with an amount, which a trigger's limit is compared with."""

KIND_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "response_exceeded": "The time to answer has passed",
        "target_exceeded": "The target has passed",
        NO_PROGRESS: "No progress",
        **MARKED,
    }
)
KINDS = tuple(KIND_NAMES)

CHOICES = list(MARKED.items())
"""The conditions to mark, as a choice of Django's and of the API's."""
