"""Flags: the list by environment, and the page with the big switch."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from simple_history.template_utils import HistoricalRecordContextHelper
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from apps.catalog.admin.grants import save_grants
from apps.catalog.admin.saving import OperatingAdmin, given_reason
from apps.catalog.models import Environment, Team
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids, team_ids_of, visible_services
from apps.flags import operations
from apps.flags.admin.forms import ANSWERS, TEXTS, FlagForm, KillForm, ReasonForm, RolloutForm, TryForm
from apps.flags.admin.grants import FlagGroupGrants, FlagUserGrants
from apps.flags.models import Flag
from apps.flags.permissions import ADD, CHANGE, KILL, user_may
from apps.flags.queries import (
    about_of,
    coming_changes,
    knows_why,
    preview_kill,
    tried_in_words,
    try_out,
    visible_flags,
    with_about_shown,
)
from apps.foundation.subjects import is_visible, subject_title, subject_url
from apps.people.admin.base import request_actor
from apps.people.models import User

_HIDDEN = {"about_kind", "about_key"}


class _Changes(HistoricalRecordContextHelper):
    """Changes as the history shows them, without what a flag was killed for, and why where not everybody may know."""

    def __init__(self, model: Any, historical_record: Any, user: Any) -> None:
        super().__init__(model, historical_record)
        self._user = user

    def context_for_delta_changes(self, delta: Any) -> list[dict[str, Any]]:
        known = all(knows_why(record, self._user) for record in (delta.old_record, delta.new_record))
        hidden = _HIDDEN if known else {*_HIDDEN, "state_reason"}
        delta.changes[:] = [change for change in delta.changes if change.field not in hidden]
        found: list[dict[str, Any]] = super().context_for_delta_changes(delta)
        return found


@admin.register(Flag)
class FlagAdmin(OperatingAdmin):
    """Managers and leads describe flags; the state has buttons, which ask why."""

    form = FlagForm
    list_display = ("switch", "key", "name", "kind", "environment", "owner", "reason", "state_changed_at", "changed_by")
    list_display_links = ("key",)
    list_filter = ("environment", "state", "kind", "owner", "services")
    search_fields = ("key", "name", "description", "owner__name")
    ordering = ("environment__position", "environment__name", "key")
    list_before_template = "flags/environments.html"
    change_form_before_template = "flags/switch.html"
    inlines: ClassVar[list[Any]] = [FlagUserGrants, FlagGroupGrants]
    actions_detail: ClassVar[Any] = ("kill", "bring_back", "try_it", "rollout", "disable", "enable")

    # --- who sees which ---

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = visible_flags(request.user).select_related("environment", "owner", "state_changed_by")
        return with_about_shown(rows, request.user).order_by(*self.ordering)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) or self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if super().has_view_permission(request, obj):
            return True
        if not isinstance(request.user, User) or not request.user.is_active:
            return False
        if obj is None:
            return bool(team_ids_of(request.user.pk)) or visible_flags(request.user).exists()
        return visible_flags(request.user).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(ADD) or leads_any_team(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return super().has_change_permission(request) or leads_any_team(request.user)
        return user_may(request.user, CHANGE, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Programs may still ask for it: it is disabled instead."""
        return False

    # --- the form ---

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        names = ("key", "environment", "owner", "services")
        asked = [("Why", {"fields": ["change_reason"]})] if self._asks_reason(request, obj) else []
        return [
            ("What programs ask for", {"fields": names}),
            ("What it answers", {"fields": ANSWERS}),
            ("What it means", {"fields": TEXTS}),
            *asked,
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        fixed = ["key", "environment", "type"] if obj is not None else []
        return [*super().get_readonly_fields(request, obj), *fixed]

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if obj is None else self.inlines

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A lead may only choose among the teams that they lead."""
        if db_field.name == "owner" and not request.user.has_perm(ADD):
            kwargs["queryset"] = Team.objects.filter(pk__in=led_team_ids(request.user.pk or 0))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "services":
            kwargs["queryset"] = visible_services(request.user).order_by("name")
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def create(self, request: HttpRequest, form: Any) -> Flag:
        given = form.cleaned_data
        return operations.create_flag(
            given["key"],
            environment_id=given["environment"].pk,
            owner_id=given["owner"].pk,
            service_ids=[service.pk for service in given["services"]],
            kind=given["kind"],
            value_type=given["type"],
            definition=given["definition"],
            expires_on=given["expires_on"],
            reason=given_reason(request),
            actor=request_actor(request),
            **{name: given[name] for name in TEXTS},
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Flag:
        changed, given = set(form.changed_data), form.cleaned_data
        if not changed & {"owner", "services", "kind", "definition", "expires_on", *TEXTS}:
            return obj  # type: ignore[no-any-return]  # the form's own row: only its grants were touched
        return operations.edit_flag(
            obj.pk,
            owner_id=given["owner"].pk if "owner" in changed else None,
            service_ids=self._service_ids(request, obj, given["services"]) if "services" in changed else None,
            kind=given["kind"] if "kind" in changed else None,
            definition=given["definition"] if "definition" in changed else None,
            expires_on=given["expires_on"] if "expires_on" in changed else ...,
            reason=given_reason(request),
            actor=request_actor(request),
            **{name: given[name] for name in TEXTS if name in changed},
        )

    @staticmethod
    def _service_ids(request: HttpRequest, flag: Flag, chosen: Any) -> list[int]:
        """Those chosen, and those that the form could not offer because this person may not see them."""
        hidden = flag.services.exclude(pk__in=visible_services(request.user).values("pk"))
        return [service.pk for service in (*chosen, *hidden)]

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        save_grants(request, parent, formset, operations.grant_flag, operations.revoke_flag)

    # --- what is shown ---

    @display(description="State", ordering="state")
    def switch(self, flag: Flag) -> str:
        return render_to_string("flags/state.html", {"state": flag.state})

    @display(description="Why")
    def reason(self, flag: Flag) -> str:
        return (getattr(flag, "about_is_shown", False) and flag.state_reason) or "–"

    @display(description="By")
    def changed_by(self, flag: Flag) -> str:
        return flag.state_changed_by.name if flag.state_changed_by else "the portal"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {"title": "Flags", "environments": self._environments(request)}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def _environments(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The environments with flags, in their order; one query."""
        mine = Q(flags__in=visible_flags(request.user).select_related(None).order_by().values("pk"))
        rows = Environment.objects.annotate(
            all_count=Count("flags", filter=mine),
            killed_count=Count("flags", filter=mine & Q(flags__state=Flag.State.KILLED)),
        )
        chosen = request.GET.get("environment__id__exact", "")
        return [
            {"row": row, "query": f"?environment__id__exact={row.pk}", "is_chosen": chosen == str(row.pk)}
            for row in rows.filter(all_count__gt=0)
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        shown = {"switch": self._switch(request, row), "title": row.name} if row is not None else {}
        found: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return found

    def _switch(self, request: HttpRequest, flag: Flag) -> dict[str, Any]:
        """What the page says above the form: the state, why, and what a kill would do."""
        about = about_of(flag)
        may_know = about is not None and is_visible(about, request.user)
        return {
            "flag": flag,
            "reason": flag.state_reason if about is None or may_know else "",
            "preview": preview_kill(flag, user=request.user),
            "changes": coming_changes(flag),
            "about": subject_title(about) if about and may_know else "",
            "about_url": subject_url(about) if about and may_know else "",
        }

    def get_historical_record_context_helper(self, request: HttpRequest, historical_record: Any) -> Any:
        return _Changes(self.model, historical_record, request.user)

    def set_history_delta_changes(self, request: HttpRequest, historical_records: Any, *args: Any) -> None:
        """Where somebody may not know what a flag was killed for, the history says who and when, but not why."""
        for record in historical_records:
            if not knows_why(record, request.user):
                record.history_change_reason = ""
        super().set_history_delta_changes(request, historical_records, *args)

    # --- the buttons ---

    def _offers(self, request: HttpRequest, object_id: str | None, permission: str, *states: str) -> bool:
        """Whether a button makes sense: asked for each of four, the row read once for a page."""
        known: dict[str, Flag | None] = request.__dict__.setdefault("portal_switches", {})
        key = str(object_id or "")
        if key not in known:
            known[key] = self.get_object(request, key) if key else None
        flag = known[key]
        return flag is not None and flag.state in states and user_may(request.user, permission, flag)

    def has_kill_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, KILL, Flag.State.ON, Flag.State.DISABLED)

    def has_bring_back_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, KILL, Flag.State.KILLED)

    def has_disable_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, Flag.State.ON)

    def has_enable_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, Flag.State.DISABLED)

    @action(
        description="Kill",
        icon="power_settings_new",
        variant=ActionVariant.DANGER,
        permissions=["kill"],
        dialog={"title": "Kill this flag?", "form_class": KillForm, "form_submit_text": "Kill it"},
    )
    def kill(self, request: HttpRequest, form: KillForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.kill,
            object_id,
            reason=form.cleaned_data["reason"],
            done="Killed: every program gets that within 2 seconds.",
        )

    @action(
        description="Bring back",
        icon="power",
        variant=ActionVariant.SUCCESS,
        permissions=["bring_back"],
        dialog={
            "title": "Bring it back?",
            "description": "It answers as before the kill, in every process within 2 seconds.",
            "form_class": ReasonForm,
            "form_submit_text": "Bring it back",
        },
    )
    def bring_back(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.bring_back,
            object_id,
            reason=form.cleaned_data["reason"],
            done="It answers as before the kill.",
        )

    def has_try_it_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return bool(object_id)

    @action(
        description="Try it",
        icon="science",
        permissions=["try_it"],
        dialog={
            "title": "What would it answer?",
            "description": "Nothing is changed.",
            "form_class": TryForm,
            "form_submit_text": "Try",
        },
    )
    def try_it(self, request: HttpRequest, form: TryForm, object_id: str) -> HttpResponse:
        flag = self.get_object(request, object_id)
        if flag is not None:
            messages.info(request, tried_in_words(try_out(flag, form.cleaned_data["context"])))
        return self.go_to_row(request, object_id)

    def has_rollout_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return self._offers(request, object_id, CHANGE, *Flag.State.values)

    @action(
        description="Roll out",
        icon="moving",
        permissions=["rollout"],
        dialog={
            "title": "Roll out in steps",
            "description": "Ever more of those whom no rule meets get the variant; whoever has it keeps it.",
            "form_class": RolloutForm,
            "form_submit_text": "Schedule",
        },
    )
    def rollout(self, request: HttpRequest, form: RolloutForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.schedule_rollout,
            object_id,
            variant=form.cleaned_data["variant"],
            steps=form.steps,
            reason=form.cleaned_data["reason"],
            done=f"Scheduled: {len(form.steps)} steps.",
        )

    @action(
        description="Disable",
        icon="toggle_off",
        permissions=["disable"],
        dialog={
            "title": "Leave the answer to its callers?",
            "description": "Each program then uses the default in its own code, as before a flag is removed.",
            "form_class": ReasonForm,
            "form_submit_text": "Disable",
        },
    )
    def disable(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.disable,
            object_id,
            reason=form.cleaned_data["reason"],
            done="Disabled: callers use their own default.",
        )

    @action(
        description="Enable",
        icon="toggle_on",
        permissions=["enable"],
        dialog={
            "title": "Enable it?",
            "description": "It answers by its definition from now on.",
            "form_class": ReasonForm,
            "form_submit_text": "Enable",
        },
    )
    def enable(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        return self.press(
            request,
            operations.enable,
            object_id,
            reason=form.cleaned_data["reason"],
            done="Enabled: it answers by its definition.",
        )
