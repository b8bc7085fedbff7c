"""Forgetting the stored answers of idempotent POSTs."""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.foundation.clock import now
from apps.people.models import IdempotencyRecord

ANSWERS_KEPT_FOR = timedelta(hours=24)


def forget_old_answers(*, before: datetime | None = None, limit: int = 500) -> int:
    """Delete stored answers of POSTs from before an instant (a day ago), at most `limit`; returns how many."""
    old = IdempotencyRecord.objects.filter(created_at__lt=before or now() - ANSWERS_KEPT_FOR)
    keys = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
    return IdempotencyRecord.objects.filter(pk__in=keys).delete()[0] if keys else 0


def has_old_answers(at: datetime) -> bool:
    """Whether `forget_old_answers` has something to do; one look into an index."""
    return IdempotencyRecord.objects.filter(created_at__lt=at - ANSWERS_KEPT_FOR).exists()
