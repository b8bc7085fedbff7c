"""Verbs on requests for approval."""

from apps.approvals.operations.asking import request_approval, void_for, withdraw
from apps.approvals.operations.deciding import approve, bypass, expire_many, refuse

__all__ = ["approve", "bypass", "expire_many", "refuse", "request_approval", "void_for", "withdraw"]
