"""What paging keeps: escalation and its pages, and how each person wants to be notified."""

from apps.paging.models.escalation import (
    Acknowledgement,
    EscalationCondition,
    EscalationRun,
    MaintenanceWindow,
    Page,
    Snooze,
    Turn,
)
from apps.paging.models.notification import (
    BundledPage,
    NotificationPreference,
    PageBundle,
    PageTest,
    PageTestCall,
    PageWindow,
)

__all__ = [
    "Acknowledgement",
    "BundledPage",
    "EscalationCondition",
    "EscalationRun",
    "MaintenanceWindow",
    "NotificationPreference",
    "Page",
    "PageBundle",
    "PageTest",
    "PageTestCall",
    "PageWindow",
    "Snooze",
    "Turn",
]
