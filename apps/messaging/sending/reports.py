"""What a provider says later about a message that it took."""

from __future__ import annotations

from django.db import transaction

from apps.foundation.clock import now
from apps.messaging.models import Message
from apps.messaging.registry import tell_fallbacks
from apps.messaging.sending.outcomes import call_fallbacks, tell_failed

_LONGEST_DETAIL = 1000
# A provider may be quicker with its report than the sender with writing down that it was taken.
_TAKEN = (Message.State.SENT, Message.State.SENDING)


def note_delivered(message_id: int) -> None:
    """The provider says that it reached the device. A repeat changes nothing."""
    Message.objects.filter(pk=message_id, state__in=_TAKEN, delivered_at__isnull=True).update(delivered_at=now())


def note_undelivered(message_id: int, detail: str, *, attempt: int | None = None) -> None:
    """The provider took it and could not deliver it: it failed after all, and the person's other ways are used.

    While the outcome of that attempt is not written down yet, the report waits for it on the message. A repeat, or a
    report on another attempt than the running or last one (where `attempt` names it), changes nothing.
    """
    with transaction.atomic():
        rows = Message.objects.select_for_update().filter(pk=message_id, delivered_at__isnull=True)
        message = rows.filter(state__in=_TAKEN).first()
        if message is None or attempt not in {None, message.attempts}:
            return
        if message.state == Message.State.SENDING:
            # Nothing left yet for a message that still waits for its last look.
            if message.last_look_at is not None:
                message.undelivered = detail[:_LONGEST_DETAIL]
                message.save(update_fields=["undelivered"])
            return
        message.state, message.sent_at, message.last_error = Message.State.FAILED, None, detail[:_LONGEST_DETAIL]
        undelivered = call_fallbacks([message], is_final=True)
        message.save(update_fields=["state", "sent_at", "last_error", "fallback_at"])
        tell_failed([message], {})
        tell_fallbacks(undelivered)
