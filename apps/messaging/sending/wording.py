"""Messages whose text is written when they are sent, of how things stand then."""

from __future__ import annotations

from collections.abc import Sequence

from apps.messaging.models import Message
from apps.messaging.registry import worders

_WORDED = ["title", "body", "payload", "subject_kind", "subject_key"]
_LONGEST_TITLE = 300


def word(messages: Sequence[Message]) -> None:
    """Write the texts of those of `messages` whose owner words them late, into their rows too. No query for others.

    The caller has claimed them. A repeat writes what is so by then.
    """
    changed: list[Message] = []
    for kind, worder in worders().items():
        rows = [message for message in messages if message.guard_kind == kind]
        said = worder([row.guard_key for row in rows]) if rows else {}
        for row in rows:
            wording = said.get(row.guard_key)
            if wording is not None:
                row.title, row.body, row.payload = wording.title[:_LONGEST_TITLE], wording.body, wording.payload
                row.subject_kind, row.subject_key = wording.subject.kind, wording.subject.key
                changed.append(row)
    if changed:
        Message.objects.bulk_update(changed, _WORDED, batch_size=100)
