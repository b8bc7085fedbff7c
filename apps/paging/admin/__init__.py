"""The admin pages of paging."""

from apps.paging.admin.escalation import EscalationRunAdmin, MaintenanceWindowAdmin, PageAdmin
from apps.paging.admin.notifications import NotificationPreferenceAdmin, PageBundleAdmin

__all__ = [
    "EscalationRunAdmin",
    "MaintenanceWindowAdmin",
    "NotificationPreferenceAdmin",
    "PageAdmin",
    "PageBundleAdmin",
]
