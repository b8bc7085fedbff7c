"""The boxes that runbooks add to the command page of an incident: what can be done, what was, and the kill switches."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.approvals.models import ApprovalRequest
from apps.approvals.registry import register_display
from apps.incidents.models import Incident
from apps.incidents.panels import Panel, register_panel
from apps.runbooks.queries import EXECUTION


def response_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """Runbooks, mitigations and executions, as far as the reader may see and use them."""
    # Admin pages may only be loaded after those of all lower apps: when a page is asked for, they are.
    from apps.runbooks.admin.desk import response_view

    return {"response": response_view(incident, request), "whole_page": _is_whole_page(request)}


def flags_context(incident: Incident, request: HttpRequest) -> dict[str, Any]:
    """The kill switches of the incident's services, and behind a fold all others that the reader may see."""
    from apps.runbooks.admin.switches import flags_view

    return {"switches": flags_view(incident, request)}


def execution_context(approval: ApprovalRequest, request: HttpRequest) -> dict[str, Any]:
    """What is asked for, on the page of an approval: the steps and the whole difference."""
    from apps.runbooks.admin.displays import execution_display

    return execution_display(approval, request)


def _is_whole_page(request: HttpRequest) -> bool:
    """Whether a browser loads the page; a part that htmx brings in needs no script a second time."""
    return request.headers.get("HX-Request") != "true"


_RESPONSE = Panel("runbooks", "Runbooks and mitigations", "runbooks/panel_response.html", response_context, position=5)
_FLAGS = Panel("flags", "Kill switches", "runbooks/panel_flags.html", flags_context, position=6)


def register_panels() -> None:
    """Put two boxes on the command page, and executions on the page of approvals. Called from `ready()`."""
    register_panel(_RESPONSE)
    register_panel(_FLAGS)
    register_display(EXECUTION, "runbooks/approval.html", execution_context)
