"""The rows of this app."""

from apps.flags.models.experiments import (
    AllocationEpoch,
    Experiment,
    Exposure,
    Guardrail,
    GuardrailTotal,
    HeldUnits,
    LedgerSummary,
    SampleRatio,
)
from apps.flags.models.flags import (
    Flag,
    FlagChange,
    FlagGroupPermission,
    FlagRevision,
    FlagUse,
    FlagUserPermission,
    Segment,
)

__all__ = [
    "AllocationEpoch",
    "Experiment",
    "Exposure",
    "Flag",
    "FlagChange",
    "FlagGroupPermission",
    "FlagRevision",
    "FlagUse",
    "FlagUserPermission",
    "Guardrail",
    "GuardrailTotal",
    "HeldUnits",
    "LedgerSummary",
    "SampleRatio",
    "Segment",
]
