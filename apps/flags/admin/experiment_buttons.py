"""The buttons on the page of an experiment: each opens a dialog, and calls one operation."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.enums import ActionVariant

from apps.flags import operations
from apps.flags.admin.experiment_forms import (
    EndForm,
    GuardrailEditForm,
    GuardrailForm,
    KillVariantForm,
    OnGuardrail,
    SharesForm,
)
from apps.flags.admin.forms import ReasonForm
from apps.flags.admin.proposing import PROPOSED
from apps.flags.experiment_queries import has_guardrails
from apps.flags.models import Experiment
from apps.flags.operations.approving import demands_approval
from apps.flags.permissions import CHANGE, KILL, user_may
from apps.people.admin.base import PortalModelAdmin

_DRAFT, _RUNNING = Experiment.State.DRAFT, Experiment.State.RUNNING


class ExperimentButtons(PortalModelAdmin):
    """The part of the page that does something; `ExperimentAdmin` describes."""

    actions_detail: ClassVar[Any] = (
        "kill_variant",
        "start",
        "shares",
        {
            "title": "Guardrails",
            "icon": "fence",
            "items": ["add_guardrail", "edit_guardrail", "remove_guardrail"],
        },
        "end",
    )

    def _offers(self, request: HttpRequest, object_id: str | None, permission: str, *states: str) -> bool:
        row = self.get_object(request, str(object_id)) if object_id else None
        return row is not None and row.state in states and user_may(request.user, permission, row.flag)

    def has_kill_variant_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, KILL, _RUNNING)

    def has_start_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, _DRAFT)

    def has_shares_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, _RUNNING)

    def has_add_guardrail_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, _DRAFT, _RUNNING)

    def _offers_guardrails(self, request: HttpRequest, object_id: str | None) -> bool:
        return self._offers(request, object_id, CHANGE, _DRAFT, _RUNNING) and has_guardrails(object_id)

    def has_edit_guardrail_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers_guardrails(request, object_id)

    def has_remove_guardrail_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers_guardrails(request, object_id)

    def has_end_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, _DRAFT, _RUNNING)

    @action(
        description="Kill a variant",
        icon="power_settings_new",
        variant=ActionVariant.DANGER,
        permissions=["kill_variant"],
        dialog={"title": "Kill a variant?", "form_class": KillVariantForm, "form_submit_text": "Kill it"},
    )
    def kill_variant(self, request: HttpRequest, form: KillVariantForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.kill_variant,
            object_id,
            done="Killed: nobody gets it any more within 2 seconds.",
            **{name: form.cleaned_data[name] for name in ("variant", "mode", "reason")},
        )

    @action(
        description="Start",
        icon="play_arrow",
        permissions=["start"],
        dialog={
            "title": "Start it?",
            "description": "Whom no rule of the flag meets gets their variant, within 2 seconds.",
            "form_class": ReasonForm,
            "form_submit_text": "Start",
        },
    )
    def start(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        reason, row = form.cleaned_data["reason"], self.row(request, object_id)
        if demands_approval(row.flag) and row.state == _DRAFT:
            return self._propose(request, row, {"start": row.key}, reason)
        return self.press(request, operations.start_experiment, object_id, reason=reason, done="It runs.")

    def _propose(self, request: HttpRequest, row: Experiment, change: dict[str, Any], reason: str) -> HttpResponse:
        """Ask a second person, where the flag demands it."""
        given = {"at": None, "change": change, "reason": reason}
        self.perform(request, operations.schedule_change, row.flag_id, **given, done=PROPOSED)
        return self.go_to_row(request, str(row.pk))

    @action(
        description="Other shares",
        icon="tune",
        permissions=["shares"],
        dialog={
            "title": "Other shares for newcomers",
            "description": "Whoever is enrolled keeps their variant.",
            "form_class": SharesForm,
            "form_submit_text": "Give them",
        },
    )
    def shares(self, request: HttpRequest, form: SharesForm, object_id: str) -> HttpResponse:
        given, row = form.cleaned_data, self.row(request, object_id)
        if demands_approval(row.flag) and row.state == _RUNNING:
            change = {"shares": {"experiment": row.key, "percents": given["shares"]}}
            return self._propose(request, row, change, given["reason"])
        done = "Newcomers get the new shares."
        return self.press(
            request, operations.reallocate, object_id, percents=given["shares"], reason=given["reason"], done=done
        )

    @action(
        description="Add a guardrail",
        icon="fence",
        permissions=["add_guardrail"],
        dialog={"title": "Watch a metric", "form_class": GuardrailForm, "form_submit_text": "Watch"},
    )
    def add_guardrail(self, request: HttpRequest, form: GuardrailForm, object_id: str) -> HttpResponse:
        names = ("metric", "kind", "worse", "against", "threshold", "sensitivity", "reason")
        given = {name: form.cleaned_data[name] for name in names}
        return self.press(request, operations.add_guardrail, object_id, done="It is watched.", **given)

    @action(
        description="Change a guardrail",
        icon="edit",
        permissions=["edit_guardrail"],
        dialog={
            "title": "Watch otherwise",
            "description": "What is left empty stays. All that was measured is judged anew at once.",
            "form_class": GuardrailEditForm,
            "form_submit_text": "Change",
        },
    )
    def edit_guardrail(self, request: HttpRequest, form: GuardrailEditForm, object_id: str) -> HttpResponse:
        names = ("worse", "against", "threshold", "sensitivity", "alpha")
        given = {name: form.cleaned_data[name] for name in names if form.cleaned_data[name] not in ("", None)}
        given |= {"guardrail_id": int(form.cleaned_data["guardrail"]), "reason": form.cleaned_data["reason"]}
        return self.press(request, operations.edit_guardrail, object_id, done="It is watched so now.", **given)

    @action(
        description="Remove a guardrail",
        icon="remove_circle",
        permissions=["remove_guardrail"],
        dialog={
            "title": "Watch it no more?",
            "description": "What was measured goes with it.",
            "form_class": OnGuardrail,
            "form_submit_text": "Remove",
        },
    )
    def remove_guardrail(self, request: HttpRequest, form: OnGuardrail, object_id: str) -> HttpResponse:
        given = {"guardrail_id": int(form.cleaned_data["guardrail"]), "reason": form.cleaned_data["reason"]}
        return self.press(request, operations.remove_guardrail, object_id, done="It is watched no more.", **given)

    @action(
        description="End",
        icon="flag",
        permissions=["end"],
        dialog={
            "title": "End it?",
            "description": "The flag answers by its definition again, to everybody.",
            "form_class": EndForm,
            "form_submit_text": "End it",
        },
    )
    def end(self, request: HttpRequest, form: EndForm, object_id: str) -> HttpResponse:
        given = form.cleaned_data
        return self.press(
            request,
            operations.end_experiment,
            object_id,
            winner=given["winner"],
            reason=given["reason"],
            done="It has ended.",
        )
