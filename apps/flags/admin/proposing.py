"""What saving the form of a flag does where a second person must approve changes of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from apps.flags import operations
from apps.flags.models import Flag
from apps.flags.operations.approving import demands_approval
from apps.people.admin.base import request_actor

PROPOSED = "Proposed: it is done as soon as a second person has approved it."
UNSAID = "changed on its page"


def what_to_propose(flag_id: int, changed: set[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Which of the changed fields can't be saved but only proposed, with their values."""
    flag = Flag.objects.select_related("environment").get(pk=flag_id)
    if not demands_approval(flag):
        return {}
    found = {}
    if "definition" in changed and given["definition"] is not None:
        found["definition"] = given["definition"]
    elif "needs_approval" in changed and flag.needs_approval:
        found["needs_approval"] = False
    return found


def propose(request: HttpRequest, flag_id: int, change: Mapping[str, Any], reason: str) -> None:
    """Ask a second person, and say so on the page."""
    operations.schedule_change(flag_id, None, dict(change), reason=reason or UNSAID, actor=request_actor(request))
    messages.info(request, PROPOSED)
