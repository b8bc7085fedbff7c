"""The pages of approvals."""

from apps.approvals.admin.requests import ApprovalRequestAdmin

__all__ = ["ApprovalRequestAdmin"]
