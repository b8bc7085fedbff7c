"""History rows that always say who and why, from pages, the API and tasks alike."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from simple_history.models import HistoricalRecords

from apps.foundation.actor import current_acting

PORTAL_USERNAME = "portal"


def _history_user(instance: Any, request: Any = None, **kwargs: Any) -> Any:
    """The account that signs a history row: the actor's, else the request's, else the portal's own."""
    users = get_user_model()._default_manager
    running = current_acting()
    if running is None:
        if request is not None and getattr(request.user, "is_authenticated", False):
            return request.user
        return users.filter(username=PORTAL_USERNAME).first()
    if running.account is None:  # asked once for all rows of an operation
        user_id = running.actor.user_id
        mine = users.filter(username=PORTAL_USERNAME) if user_id is None else users.filter(pk=user_id)
        running.account = mine.first()
    return running.account


class TrackedHistory(HistoricalRecords):
    """simple-history with our signature: the user and the reason come from the running operation."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("get_user", _history_user)
        super().__init__(**kwargs)

    def get_change_reason_for_object(self, instance: Any, history_type: str, using: str) -> str | None:
        """The explicit reason on the instance, else the running operation's, else what kind of edit it was."""
        given = super().get_change_reason_for_object(instance, history_type, using)
        if given:
            return str(given)[:100]
        running = current_acting()
        if running is not None:
            return f"{running.reason} ({running.actor.name})"[:100]
        return {"+": "created", "~": "edited", "-": "deleted"}[history_type]
