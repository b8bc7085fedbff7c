"""What is done from the command page of an incident: a mitigation, a kill, its taking back. One operation each."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods, require_safe

from apps.flags import operations as flags
from apps.flags.models import Flag
from apps.flags.permissions import KILL
from apps.flags.permissions import user_may as user_may_flag
from apps.flags.queries import answer_in_words, preview_kill, visible_flags
from apps.incidents.models import Incident
from apps.incidents.queries import subject_of, visible_to
from apps.people.admin.base import request_actor
from apps.runbooks.admin.asking import Ask, ask_or_do, fresh
from apps.runbooks.admin.desk import MOST_EXECUTIONS, execution_rows, names, needs_approval
from apps.runbooks.admin.showing import DiffRow
from apps.runbooks.models import Execution, Mitigation
from apps.runbooks.operations.ahead import goes_ahead
from apps.runbooks.operations.executing import use_mitigation
from apps.runbooks.permissions import user_may_use

_ASKING = ["GET", "HEAD", "POST"]


class IncidentDeeds:
    """Mixed into the admin of executions, which gives the addresses."""

    admin_site: Any

    def deed_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            found: URLPattern = path(
                f"of-incident/<int:incident_id>/{route}",
                self.admin_site.admin_view(view),
                name=f"runbooks_incident_{name}",
            )
            return found

        return [
            page("executions/", require_safe(self.executions_part), "executions"),
            page("use/<int:mitigation_id>/", require_http_methods(_ASKING)(self.use), "use"),
            page("kill/<int:flag_id>/", require_http_methods(_ASKING)(self.kill), "kill"),
            page("bring-back/<int:flag_id>/", require_http_methods(_ASKING)(self.bring_back), "bring_back"),
        ]

    def executions_part(self, request: HttpRequest, incident_id: int) -> HttpResponse:
        """The executions of an incident alone, for the panel while one is at work."""
        incident = _incident(request, incident_id)
        rows = execution_rows(incident, request)[:MOST_EXECUTIONS]
        context = {
            "executions": rows,
            "is_at_work": any(row.is_open for row in rows),
            "executions_url": reverse("admin:runbooks_incident_executions", args=[incident_id]),
        }
        return fresh(render(request, "runbooks/_executions.html", context))

    def use(self, request: HttpRequest, incident_id: int, mitigation_id: int) -> HttpResponse:
        """Press the button of a mitigation: look, ask for approval where it is needed, else start."""
        incident = _incident(request, incident_id)
        found = Mitigation.objects.filter(pk=mitigation_id, runbook__active_version__isnull=False)
        mitigation = found.select_related("runbook__active_version").first()
        if mitigation is None:
            raise Http404("There is no such mitigation.")
        assert not request.user.is_anonymous
        if not user_may_use(request.user, mitigation):
            raise PermissionDenied
        version = mitigation.runbook.active_version
        assert version is not None
        asks = needs_approval(version, goes_ahead([version], request.user))
        ask = Ask(
            title=f"{mitigation.name}?",
            action=reverse("admin:runbooks_incident_use", args=[incident_id, mitigation_id]),
            back=_command(incident_id),
            submit="Ask for approval" if asks else "Do it now",
            icon="how_to_reg" if asks else "bolt",
            tone="primary" if asks else "danger",
            lead=mitigation.description,
            facts=(
                ("Runbook", f"{version}"),
                ("Incident", str(incident.number)),
                ("What happens", _USE_ASKS if asks else _USE_STARTS),
            ),
            reason_hint="What you see, and what this should change",
        )

        def told(execution: Execution) -> str:
            return f"{execution}: {execution.get_state_display().lower()}."

        return ask_or_do(
            request,
            ask,
            lambda given: use_mitigation(
                mitigation_id, incident_id=incident_id, reason=given.reason, actor=request_actor(request)
            ),
            done=told,
            to=lambda _: _command(incident_id),
            stays=True,
        )

    def kill(self, request: HttpRequest, incident_id: int, flag_id: int) -> HttpResponse:
        """Kill a flag because of an incident, after its whole blast radius was shown."""
        incident, flag = _incident(request, incident_id), _flag(request, flag_id)
        preview = preview_kill(flag, user=request.user)
        before, after = preview.before, preview.after
        changes = (DiffRow(flag.key, "changed", "~", "changed", before, after),) if before != after else ()
        ask = Ask(
            title=f"Kill {flag.name} in {flag.environment.name}?",
            action=reverse("admin:runbooks_incident_kill", args=[incident_id, flag_id]),
            back=_command(incident_id),
            submit="Kill it",
            icon="power_settings_new",
            tone="danger",
            lead="" if changes else "It is killed already: nothing changes.",
            changes=changes,
            facts=(
                ("Who loses something", preview.blast_radius),
                ("What to expect, and the way back", preview.rollback_expectation),
                ("Services", ", ".join(names(preview.services)) or "none named"),
                ("In force everywhere", f"within {preview.waits_seconds} s"),
                ("Stands in the record of", incident.number),
            ),
            items_title="Need one of these services",
            items=names(preview.dependants),
            reason_hint="What you see, and why this switch",
        )
        return ask_or_do(
            request,
            ask,
            lambda given: flags.kill(
                flag_id, reason=given.reason, about=subject_of(incident), actor=request_actor(request)
            ),
            done=lambda _: f"{flag.name} is killed in {flag.environment.name}.",
            to=lambda _: _command(incident_id),
            stays=True,
        )

    def bring_back(self, request: HttpRequest, incident_id: int, flag_id: int) -> HttpResponse:
        """Take a kill back."""
        _incident(request, incident_id)
        flag = _flag(request, flag_id)
        killed, before = (answer_in_words(flag, state) for state in (Flag.State.KILLED, flag.state_brought_back))
        ask = Ask(
            title=f"Bring {flag.name} back in {flag.environment.name}?",
            action=reverse("admin:runbooks_incident_bring_back", args=[incident_id, flag_id]),
            back=_command(incident_id),
            submit="Bring it back",
            icon="toggle_on",
            changes=(DiffRow(flag.key, "changed", "~", "changed", killed, before),),
            facts=(("What to expect", flag.rollback_expectation),),
            reason_hint="How you know that it is safe now",
        )
        return ask_or_do(
            request,
            ask,
            lambda given: flags.bring_back(flag_id, reason=given.reason, actor=request_actor(request)),
            done=lambda done: f"{flag.name} is {done.state} again in {flag.environment.name}.",
            to=lambda _: _command(incident_id),
            stays=True,
        )


_USE_ASKS = (
    "The portal looks what it would change and asks a second person. Nothing changes until they approve "
    "and somebody starts it."
)
_USE_STARTS = "The portal looks what it would change and starts at once. You follow it here, step by step."


def _command(incident_id: int) -> str:
    return reverse("admin:incidents_incident_command", args=[incident_id])


def _incident(request: HttpRequest, incident_id: int) -> Incident:
    """The incident, or 404: for what does not exist and for what this person may not see alike."""
    found = visible_to(request.user).filter(pk=incident_id).first()
    if found is None:
        raise Http404("There is no such incident, or you may not see it.")
    return found


def _flag(request: HttpRequest, flag_id: int) -> Flag:
    """A flag that this person may switch; 404 where it is hidden from them, 403 where they only see it."""
    flag = visible_flags(request.user).filter(pk=flag_id).first()
    if flag is None:
        raise Http404("There is no such flag, or you may not see it.")
    if not user_may_flag(request.user, KILL, flag):
        raise PermissionDenied
    return flag
