"""Admin pages of alerts: integrations, alerts, receipts."""

from apps.alerts.admin import alerts, integrations, receipts

__all__ = ["alerts", "integrations", "receipts"]
