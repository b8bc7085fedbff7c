"""Experiments: the list, and a page that says who gets what, who is enrolled, and what the guardrails say."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.permissions import leads_any_team
from apps.flags import operations
from apps.flags.admin.experiment_forms import (
    EndForm,
    ExperimentForm,
    GuardrailForm,
    KillVariantForm,
    SharesForm,
    experiment_flags,
)
from apps.flags.admin.forms import ReasonForm
from apps.flags.experiment_page import experiment_page
from apps.flags.experiment_queries import visible_experiments
from apps.flags.models import Experiment
from apps.flags.permissions import CHANGE, KILL, user_may
from apps.flags.queries import visible_flags
from apps.people.admin.base import request_actor
from apps.people.models import User

_NAMES = {"name": "name", "hypothesis": "hypothesis", "auto_kill": "auto_kill"}
_DRAFT, _RUNNING = Experiment.State.DRAFT, Experiment.State.RUNNING


@admin.register(Experiment)
class ExperimentAdmin(OperatingAdmin):
    """Whoever may change a flag runs experiments on it; whoever may kill it kills variants."""

    form = ExperimentForm
    list_display = ("key", "shown_state", "name", "flag", "started_at", "ended_at")
    list_filter = ("state", "flag__environment")
    search_fields = ("key", "name", "flag__key")
    ordering = ("-id",)
    change_form_before_template = "flags/experiment.html"
    actions_detail: ClassVar[Any] = ("kill_variant", "start", "shares", "add_guardrail", "end")

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_experiments(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not isinstance(request.user, User) or not request.user.is_active:
            return False
        if obj is None:
            return super().has_view_permission(request) or visible_flags(request.user).exists()
        return visible_experiments(request.user).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(CHANGE) or leads_any_team(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return self.has_add_permission(request)
        return user_may(request.user, CHANGE, obj.flag)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What was found out stays; an experiment ends instead."""
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            fields = ["key", "flag", "name", "hypothesis", "shares", "fallback", "traffic", "auto_kill"]
            return [(None, {"fields": fields})]
        asked = [("Why", {"fields": ["change_reason"]})] if self._asks_reason(request, obj) else []
        return [(None, {"fields": ["name", "hypothesis", "auto_kill"]}), *asked]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "flag":
            kwargs["queryset"] = experiment_flags(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def create(self, request: HttpRequest, form: Any) -> Experiment:
        given = form.cleaned_data
        return operations.create_experiment(
            given["key"],
            flag_id=given["flag"].pk,
            name=given["name"],
            hypothesis=given["hypothesis"],
            fallback=given["fallback"],
            percents=given["shares"],
            traffic=given["traffic"],
            auto_kill=given["auto_kill"],
            reason=given_reason(request),
            actor=request_actor(request),
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Experiment:
        return operations.edit_experiment(
            obj.pk, **changed_fields(form, _NAMES), reason=given_reason(request), actor=request_actor(request)
        )

    @display(description="State", ordering="state")
    def shown_state(self, experiment: Experiment) -> str:
        return render_to_string("flags/experiment_state.html", {"state": experiment.state})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown = {"page": experiment_page(row, request.user), "title": row.name} if row is not None else {}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return found

    # --- the buttons ---

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
        reason = form.cleaned_data["reason"]
        return self.press(request, operations.start_experiment, object_id, reason=reason, done="It runs.")

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
        given = form.cleaned_data
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
