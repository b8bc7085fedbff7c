"""Mails that are not worth sending: what was written about a time that is over before anybody could send it."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.errors import Forbidden
from apps.foundation.operations import operation
from apps.messaging.models import Message


@operation
def silence_mails(*, after_id: int, reason: str, actor: Actor) -> int:
    """Let every mail that waits and was enqueued after the message `after_id` be void; returns how many.

    Inboxes keep theirs. A repeat changes nothing. Only the portal itself may: raises Forbidden for anybody else.
    """
    if not actor.is_system:
        raise Forbidden("Only the portal itself keeps mails back.")
    waiting = Message.objects.filter(pk__gt=after_id, channel=Message.Channel.EMAIL, state=Message.State.QUEUED)
    return waiting.update(state=Message.State.VOID, last_error=reason[:300])
