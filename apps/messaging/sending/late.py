"""Messages that wait too long for a broken provider: their people are called in their other ways meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.foundation.clock import now
from apps.messaging.models import Message
from apps.messaging.queries import WAITING
from apps.messaging.registry import tell_fallbacks
from apps.messaging.sending.outcomes import call_fallbacks

BATCH = 200


def late(at: datetime) -> QuerySet[Message]:
    """Messages to people that should have left MESSAGE_FALLBACK_SECONDS before `at`, and were not reported yet."""
    before = at - timedelta(seconds=settings.MESSAGE_FALLBACK_SECONDS)
    return Message.objects.filter(
        state__in=WAITING, recipient__isnull=False, fallback_at__isnull=True, planned_at__lte=before
    )


def is_any_late(at: datetime) -> bool:
    """One cheap query: is there a message to report?"""
    return late(at).exists()


def report_late() -> int:
    """Tell the fallbacks of up to 200 late messages, each once; the messages themselves go on. Returns how many."""
    with transaction.atomic():
        found = list(late(now()).select_for_update(skip_locked=True, of=("self",)).order_by("planned_at")[:BATCH])
        undelivered = call_fallbacks(found, is_final=False)
        Message.objects.filter(pk__in=[message.pk for message in found]).update(fallback_at=now())
        tell_fallbacks(undelivered)
    return len(found)
