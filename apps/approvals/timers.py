"""The timer that ends a request which nobody decided."""

from __future__ import annotations

from collections.abc import Sequence

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.deciding import expire_many
from apps.approvals.queries import EXPIRE
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.foundation.actor import Actor


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the requests that nobody else holds; the present run of each."""
    rows = ApprovalRequest.objects.select_for_update(skip_locked=True, of=("self",)).select_related("requested_by")
    found = rows.filter(pk__in=[int(key) for key in keys]).order_by("pk")
    return {str(row.pk): Locked(row, row.run) for row in found}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the requests are there, locked or not."""
    rows = ApprovalRequest.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """End those that still are pending."""
    pending = [item.subject for item in due if item.subject.state == ApprovalRequest.State.PENDING]
    expire_many(pending, actor=Actor.system("approvals"))


KIND = TimerKind(name=EXPIRE, lock=lock, exists=exists, fire=fire)
