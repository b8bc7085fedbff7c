"""What the pages of entities have in common: rows under a page's own address, reading only, and filters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path
from unfold.decorators import display

from apps.foundation.errors import DomainError
from apps.people.admin.base import PortalModelAdmin, ReadOnlyAdmin, request_actor
from apps.state.entities.comparing import OPS, Filter
from apps.state.entities.models import Job
from apps.state.entities.permissions import may
from apps.state.operations.recording import NOTE_LENGTH

_INPUT = {"class": "ip-input"}
PAGE_LENGTH = 50


class JobAdmin(ReadOnlyAdmin, PortalModelAdmin):
    """Rows that only workers write. Children give `page`, and buttons under `BUTTONS`, each of which is posted."""

    BUTTONS: dict[str, str] = {}
    LOOKS: dict[str, str] = {}

    @display(
        description="State",
        ordering="state",
        label={
            "done": "success",
            "failed": "danger",
            "ready": "warning",
            "running": "info",
            "waiting": "",
            "stopped": "",
        },
    )
    def came(self, job: Job) -> tuple[str, str]:
        if job.is_open and job.percent is not None:
            return job.state, f"{job.get_state_display()}, {job.percent} %"
        return job.state, job.get_state_display()

    def source_of(self, row: Any) -> Any:
        """The source that a row belongs to, with its service."""
        return row.source

    def known(self, request: HttpRequest, object_id: Any, permission: str = "") -> Any:
        """The row if the reader may know of it (404) and do this to it (403)."""
        row = self.get_object(request, str(object_id))
        if row is None:
            raise Http404
        if permission and not may(request_actor(request), self.source_of(row), permission):
            raise PermissionDenied
        return row

    def page(self, request: HttpRequest, row: Any) -> HttpResponse:
        """The page of one row."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.known(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return self.page(request, row)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.model._meta.app_label}_{self.model._meta.model_name}"
        mine = []
        for verb, method in {**self.BUTTONS, **self.LOOKS}.items():
            view = getattr(self, method)
            wrapped = self.admin_site.admin_view(_posted(view) if verb in self.BUTTONS else view)
            mine.append(path(f"<int:object_id>/{verb}/", wrapped, name=f"{name}_{verb}"))
        return [*mine, *super().get_urls()]

    def context(self, request: HttpRequest, title: str, **more: Any) -> dict[str, Any]:
        """What every page needs."""
        return {**self.admin_site.each_context(request), "title": title, "opts": self.model._meta, **more}


def _posted(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    def run(request: HttpRequest, object_id: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return view(request, object_id)

    return run


class WhyForm(forms.Form):
    """Why something is done."""

    reason = forms.CharField(max_length=NOTE_LENGTH, widget=forms.TextInput(attrs={**_INPUT, "required": True}))


class FilterForm(forms.Form):
    """Which entities of a diff."""

    op = forms.ChoiceField(
        choices=[("", "all"), *((op, op) for op in OPS)],
        required=False,
        widget=forms.Select(attrs=_INPUT),
        label="Change",
    )
    path = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={**_INPUT, "placeholder": "inventory[*].count"}),
        label="Place",
    )
    id = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={**_INPUT, "placeholder": "p00*"}), label="Id"
    )
    delta = forms.FloatField(
        required=False, min_value=0, widget=forms.NumberInput(attrs={**_INPUT, "step": "any"}), label="Moved by over"
    )

    def chosen(self) -> Filter:
        """The filter; an empty one where the form is wrong, which the page then says."""
        if not self.is_valid():
            return Filter()
        given = self.cleaned_data
        delta = given["delta"]
        finite = delta if delta is not None and math.isfinite(delta) else None
        return Filter(op=given["op"], path=given["path"], id=given["id"], delta=finite)


def attempt(work: Callable[[], Any]) -> tuple[Any, str]:
    """What `work` gives, or why it could not, for a page that shows either."""
    try:
        return work(), ""
    except DomainError as error:
        return None, error.message
