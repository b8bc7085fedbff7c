"""The base of every admin page: Unfold's look, history with user and reason, and rows that only some may see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.admin import StackedInline, TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.foundation.actor import Actor, acting
from apps.foundation.errors import DomainError
from apps.people.admin.rows import ScopedRows
from apps.people.queries import actor_for_user

REASON = "change_reason"
R = TypeVar("R")


def request_actor(request: HttpRequest) -> Actor:
    """The Actor of the person who is logged in on this page."""
    return actor_for_user(request.user, "web")


@contextmanager
def acting_on_page(request: HttpRequest, default: str) -> Iterator[None]:
    """Sign history inside the block with the person of `request` and the reason that the form gave, else `default`."""
    if not request.user.is_authenticated:
        yield
        return
    given = str(request.POST.get(REASON, "")).replace("\x00", "").strip()[:80]
    with acting(request_actor(request), given or default):
        yield


class PortalModelAdmin(ScopedRows, SimpleHistoryAdmin, UnfoldModelAdmin):
    """The base of the portal's admin pages.

    `readonly` lists state fields, which only operations change; `ask_reason` adds a "why" to the form, which
    lands in the history. `perform` calls one operation and tells its outcome.
    """

    readonly: ClassVar[Sequence[str]] = ()
    ask_reason: ClassVar[bool] = False

    list_fullwidth = True
    list_filter_submit = True
    compressed_fields = True
    warn_unsaved_form = True
    show_full_result_count = False

    def __init__(self, model: type[Model], admin_site: Any) -> None:
        super().__init__(model, admin_site)
        if not self._is_tracked():
            # Hot tables have no history of their own; Django's log of edits in the admin is all there is.
            self.object_history_template = None

    def _is_tracked(self) -> bool:
        return hasattr(self.model._meta, "simple_history_manager_attribute")

    # --- forms ---

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return [*super().get_readonly_fields(request, obj), *self.readonly]

    def _asks_reason(self, request: HttpRequest, obj: Model | None) -> bool:
        return self.ask_reason and obj is not None and self.has_change_permission(request, obj)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        if self._asks_reason(request, obj):
            base: Any = kwargs.get("form", self.form)
            reason = forms.CharField(
                label="Why", max_length=80, required=False, widget=UnfoldAdminTextInputWidget,
                help_text="kept in the history",
            )  # fmt: skip
            kwargs["form"] = type(base)(base.__name__, (base,), {REASON: reason})
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        sections = super().get_fieldsets(request, obj)
        if not self._asks_reason(request, obj):
            return sections
        kept = [
            (title, {**options, "fields": [field for field in options["fields"] if field != REASON]})
            for title, options in sections
        ]
        return [*kept, ("Reason of the change", {"fields": [REASON]})]

    # --- what is written is signed ---

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_on_page(request, "edited in the admin"):
            found: HttpResponse = super().changeform_view(request, *args, **kwargs)
            return found

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_on_page(request, "deleted in the admin"):
            found: HttpResponse = super().delete_view(request, *args, **kwargs)
            return found

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with acting_on_page(request, "edited in the list"):
            found: HttpResponse = super().changelist_view(request, *args, **kwargs)
            return found

    def perform(
        self, request: HttpRequest, verb: Callable[..., R], *args: Any, done: str = "", **kwargs: Any
    ) -> R | None:
        """Call ONE operation as the person of `request`; say `done`, or why it was refused. None when refused."""
        try:
            result = verb(*args, **kwargs, actor=request_actor(request))
        except DomainError as error:
            for line in [error.message, *(line for lines in error.fields.values() for line in lines)]:
                messages.error(request, line)
            return None
        if done:
            messages.success(request, done)
        return result

    def row(self, request: HttpRequest, object_id: str) -> Any:
        """The row with this id if the person of `request` may know of it; 404 otherwise. For buttons."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def press(
        self, request: HttpRequest, verb: Callable[..., Any], object_id: str, *, done: str, **given: Any
    ) -> HttpResponse:
        """A button on a row's page: one operation on that row, said as by `perform`, then the page again."""
        self.perform(request, verb, self.row(request, object_id).pk, **given, done=done)
        return self.go_to_row(request, object_id)

    def go(self, request: HttpRequest, url: str) -> HttpResponse:
        """Leave for `url`, also out of one of Unfold's dialogs, which htmx posts."""
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": url})
        return HttpResponseRedirect(url)

    def go_to_row(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave for the row's own page."""
        opts = self.model._meta
        return self.go(request, reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[object_id]))

    def go_to_list(self, request: HttpRequest) -> HttpResponse:
        """Leave for the list."""
        opts = self.model._meta
        return self.go(request, reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"))

    # --- history: as visible as the row itself, and never a way to write ---

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._require_history(request, object_id)
        if not self._is_tracked():
            return ModelAdmin.history_view(self, request, object_id, extra_context)
        found: HttpResponse = super().history_view(request, object_id, extra_context)
        return found

    def history_form_view(
        self, request: HttpRequest, object_id: str, version_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        # simple-history would save a POST for anybody who may see the page.
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not version_id.isdecimal() or not self._is_tracked():
            raise Http404
        self._require_history(request, object_id)
        found: HttpResponse = super().history_form_view(request, object_id, version_id, extra_context)
        return found

    def revert_disabled(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True

    def _require_history(self, request: HttpRequest, object_id: str) -> None:
        """404 for a row that the person may not know of; a deleted row only for those who may read histories."""
        obj = self.get_object(request, object_id)
        if obj is not None:
            if not self.has_view_permission(request, obj):
                raise PermissionDenied
            return
        opts = self.model._meta
        exists = self.model._default_manager.filter(pk=object_id).exists() if object_id.isdecimal() else True
        if exists or not request.user.has_perm(f"{opts.app_label}.view_historical{opts.model_name}"):
            raise Http404


class PortalTabularInline(TabularInline):
    """Rows of a child under their parent's page."""

    extra = 0
    show_change_link = False


class PortalStackedInline(StackedInline):
    """The same, one below the other."""

    extra = 0


class ReadOnlyInline(PortalTabularInline):
    """Children that only operations write."""

    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin:
    """Mix in before PortalModelAdmin for rows that nobody edits by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
