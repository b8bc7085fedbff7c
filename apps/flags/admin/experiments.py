"""Experiments: the list, and a page that says who gets what, who is enrolled, and what the guardrails say."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from unfold.decorators import display

from apps.catalog.admin.saving import OperatingAdmin, changed_fields, given_reason
from apps.catalog.permissions import leads_any_team
from apps.flags import operations
from apps.flags.admin.experiment_buttons import ExperimentButtons
from apps.flags.admin.experiment_forms import ExperimentForm, experiment_flags
from apps.flags.experiment_page import experiment_page
from apps.flags.experiment_queries import visible_experiments
from apps.flags.models import Experiment
from apps.flags.permissions import CHANGE, user_may
from apps.flags.queries import visible_flags
from apps.people.admin.base import request_actor
from apps.people.models import User

_NAMES = {"name": "name", "hypothesis": "hypothesis", "auto_kill": "auto_kill"}


@admin.register(Experiment)
class ExperimentAdmin(ExperimentButtons, OperatingAdmin):
    """Whoever may change a flag runs experiments on it; whoever may kill it kills variants."""

    form = ExperimentForm
    list_display = ("key", "shown_state", "name", "flag", "started_at", "ended_at")
    list_filter = ("state", "flag__environment")
    search_fields = ("key", "name", "flag__key")
    ordering = ("-id",)
    change_form_before_template = "flags/experiment.html"

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
