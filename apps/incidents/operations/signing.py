"""The signature of history rows that are written in bulk, where simple-history can't find it by itself."""

from __future__ import annotations

from typing import Any

from apps.foundation.actor import current_acting
from apps.people.models import User
from apps.people.operations import portal_user


def history_signature() -> dict[str, Any]:
    """`default_user` and `default_change_reason` for `bulk_*_with_history`: those of the running operation."""
    running = current_acting()
    if running is None:
        raise RuntimeError("History is written inside an operation.")
    user = User.objects.filter(pk=running.actor.user_id).first() if running.actor.user_id else None
    return {
        "default_user": user or portal_user(),
        "default_change_reason": f"{running.reason} ({running.actor.name})"[:100],
    }
