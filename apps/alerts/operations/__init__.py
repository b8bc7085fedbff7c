"""The verbs of alerts. What arrives is stored by `apps.alerts.intake`; here it is understood."""

from apps.alerts.operations.grouping import group, receipts_due
from apps.alerts.operations.integrations import (
    Settings,
    create_integration,
    pause,
    resume,
    revoke,
    rotate_key,
    set_mapping,
    settings_of,
    try_mapping,
    update_integration,
)
from apps.alerts.operations.receipts import retry_receipt

__all__ = [
    "Settings",
    "create_integration",
    "group",
    "pause",
    "receipts_due",
    "resume",
    "retry_receipt",
    "revoke",
    "rotate_key",
    "set_mapping",
    "settings_of",
    "try_mapping",
    "update_integration",
]
