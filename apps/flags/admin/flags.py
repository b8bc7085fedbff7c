"""Flags: the list by environment, and the page with the big switch."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from simple_history.template_utils import HistoricalRecordContextHelper
from unfold.decorators import display

from apps.catalog.admin.grants import save_grants
from apps.catalog.admin.saving import OperatingAdmin, given_reason
from apps.catalog.models import Environment, Team
from apps.catalog.permissions import leads_any_team
from apps.catalog.queries import led_team_ids, team_ids_of, visible_services
from apps.flags import operations
from apps.flags.admin.buttons import FlagButtons
from apps.flags.admin.filters import StaleFilter
from apps.flags.admin.forms import ANSWERS, TEXTS, FlagForm
from apps.flags.admin.grants import FlagGroupGrants, FlagUserGrants
from apps.flags.admin.proposing import propose, what_to_propose
from apps.flags.models import Flag
from apps.flags.operations.approving import demands_approval
from apps.flags.permissions import ADD, CHANGE, user_may
from apps.flags.queries import (
    about_of,
    coming_changes,
    knows_why,
    preview_kill,
    visible_flags,
    with_about_shown,
)
from apps.flags.staleness import why_stale
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
class FlagAdmin(FlagButtons, OperatingAdmin):
    """Managers and leads describe flags; the state has buttons, which ask why."""

    form = FlagForm
    list_display = (
        *("switch", "key", "name", "environment", "owner", "reason", "state_changed_at", "changed_by"),
        "staleness",
    )
    list_display_links = ("key",)
    list_filter = ("environment", "state", "kind", StaleFilter, "owner", "services")
    search_fields = ("key", "name", "description", "owner__name")
    ordering = ("environment__position", "environment__name", "key")
    list_before_template = "flags/environments.html"
    change_form_before_template = "flags/switch.html"
    inlines: ClassVar[list[Any]] = [FlagUserGrants, FlagGroupGrants]

    # --- who sees which ---

    def visible_to(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = visible_flags(request.user).select_related("environment", "owner", "state_changed_by", "use")
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
            needs_approval=given["needs_approval"],
            reason=given_reason(request),
            actor=request_actor(request),
            **{name: given[name] for name in TEXTS},
        )

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Flag:
        changed, given = set(form.changed_data), form.cleaned_data
        if not changed & {"owner", "services", "kind", "definition", "expires_on", "needs_approval", *TEXTS}:
            return obj  # type: ignore[no-any-return]  # the form's own row: only its grants were touched
        proposed = what_to_propose(obj.pk, changed, given)
        changed -= proposed.keys()
        edited = operations.edit_flag(
            obj.pk,
            needs_approval=given["needs_approval"] if "needs_approval" in changed else None,
            owner_id=given["owner"].pk if "owner" in changed else None,
            service_ids=self._service_ids(request, obj, given["services"]) if "services" in changed else None,
            kind=given["kind"] if "kind" in changed else None,
            definition=given["definition"] if "definition" in changed else None,
            expires_on=given["expires_on"] if "expires_on" in changed else ...,
            reason=given_reason(request),
            actor=request_actor(request),
            **{name: given[name] for name in TEXTS if name in changed},
        )
        if proposed:
            propose(request, obj.pk, proposed, given_reason(request))
        return edited

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

    @display(description="Stale")
    def staleness(self, flag: Flag) -> str:
        return ", ".join(sorted(why_stale(flag))) or "–"

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
            "stale": why_stale(flag).values(),
            "guarded": demands_approval(flag),
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
