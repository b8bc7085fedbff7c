"""What of an event somebody may read, wherever it is shown: on its page, in a webhook."""

from __future__ import annotations

from typing import Any

from apps.engine.models import Event
from apps.foundation.subjects import Subject, is_visible


def payload_shown_to(event: Event, user: Any) -> dict[str, Any]:
    """The payload; without what it was done for, and why, where `user` may not see that. Whether they see the event's
    own subject is asked before."""
    payload: dict[str, Any] = event.payload
    about = Subject(str(payload.get("about_kind") or ""), str(payload.get("about_key") or ""))
    if not about.kind or is_visible(about, user):
        return payload
    return {**payload, "about_kind": "", "about_key": "", "reason": ""}
