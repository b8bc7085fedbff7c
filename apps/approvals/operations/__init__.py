"""Verbs on requests for approval."""

from apps.approvals.operations.ahead import answer_ahead, approve_ahead, no_longer_ahead
from apps.approvals.operations.asking import request_approval, void_for, withdraw
from apps.approvals.operations.deciding import approve, bypass, expire_many, refuse

__all__ = [
    "answer_ahead",
    "approve",
    "approve_ahead",
    "bypass",
    "expire_many",
    "no_longer_ahead",
    "refuse",
    "request_approval",
    "void_for",
    "withdraw",
]
