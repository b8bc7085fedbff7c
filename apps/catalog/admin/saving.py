"""Forms of the catalog save through operations, so that a page can do no more than the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.foundation.errors import DomainError
from apps.people.admin.base import REASON, PortalModelAdmin


def given_reason(request: HttpRequest) -> str:
    """The reason that the form gave, or where the edit was made."""
    return str(request.POST.get(REASON, "")).replace("\x00", "").strip()[:80] or "edited in the admin"


class OperatingAdmin(PortalModelAdmin):
    """Saves and deletes through operations. Children give `create`, `update`, `destroy` and `save_children`."""

    ask_reason = True

    def create(self, request: HttpRequest, form: Any) -> Model:
        """Make the row from a valid form by one operation."""
        raise NotImplementedError

    def update(self, request: HttpRequest, obj: Any, form: Any) -> Model:
        """Change the row to a valid form by one operation."""
        raise NotImplementedError

    def destroy(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row by one operation."""
        raise NotImplementedError

    def save_children(self, request: HttpRequest, parent: Any, formset: Any) -> None:
        """Write an inline's rows by operations; `formset.save(commit=False)` has been called."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        saved = self.update(request, obj, form) if change else self.create(request, form)
        obj.pk, obj._state.adding = saved.pk, False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Not the form's many-to-many fields: the operation that saved the row has them already."""
        for formset in formsets:
            self.save_formset(request, form, formset, change=change)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        self.save_children(request, form.instance, formset)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.destroy(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.destroy(request, row)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().changeform_view, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().delete_view, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._told(request, super().changelist_view, *args, **kwargs)

    def _told(self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **kwargs: Any) -> HttpResponse:
        """Say why an operation refused; its transaction has taken back the rest of the form."""
        try:
            return view(request, *args, **kwargs)
        except DomainError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(request.get_full_path())


def changed_fields(form: Any, names: dict[str, str]) -> dict[str, Any]:
    """What a form changed, by the operation's names; a related row as its id."""
    found: dict[str, Any] = {}
    for field, name in names.items():
        if field in form.changed_data:
            value = form.cleaned_data[field]
            found[name] = value.pk if isinstance(value, Model) else value
    return found
