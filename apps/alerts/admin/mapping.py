"""The page on which a mapping is written: the result on a pasted sample is seen before anything is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from apps.alerts import operations
from apps.alerts.mapping import FIELDS, MAX_EXPRESSION, PRESETS
from apps.alerts.models import Integration
from apps.alerts.payloads import AlertEvent
from apps.foundation.errors import DomainError
from apps.people.admin.base import request_actor

if TYPE_CHECKING:
    from apps.alerts.admin.integrations import IntegrationAdmin

MAX_SAMPLE = 200_000
SHOWN = 20
SAMPLE = '{"event": {"id": 17, "name": "Disk is full", "state": "open", "level": "critical"}}'


class MappingForm(forms.Form):
    """One expression for each field, and a sample to try them on."""

    sample = forms.CharField(
        max_length=MAX_SAMPLE,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text="A payload as the sender posts it. It is not kept.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, meaning in FIELDS.items():
            self.fields[name] = forms.CharField(
                required=False,
                max_length=MAX_EXPRESSION,
                help_text=meaning,
                widget=UnfoldAdminTextInputWidget(attrs={"spellcheck": "false", "autocomplete": "off"}),
            )

    @property
    def expressions(self) -> dict[str, str]:
        """The expressions that were written."""
        return {name: self.cleaned_data[name] for name in FIELDS if self.cleaned_data[name]}


@require_http_methods(["GET", "HEAD", "POST"])
def mapping_page(request: HttpRequest, page: IntegrationAdmin, row: Integration) -> HttpResponse:
    """Try a mapping on a sample; `save` keeps it only if it can read the sample."""
    preset = request.GET.get("preset", "")
    before = PRESETS.get(preset, row.mapping)
    form = MappingForm(request.POST if request.method == "POST" else None, initial={"sample": SAMPLE, **before})
    found: list[AlertEvent] | None = None
    if request.method == "POST" and form.is_valid():
        actor = request_actor(request)
        try:
            found = operations.try_mapping(row.pk, form.expressions, form.cleaned_data["sample"], actor=actor)
            if "save" in request.POST:
                operations.set_mapping(row.pk, form.expressions, actor=actor, reason="tried on a sample")
                messages.success(request, "Saved: from now on it is read like this.")
                return page.go_to_row(request, str(row.pk))
        except DomainError as error:
            _show(form, error)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Mapping of {row.name}",
        "opts": page.model._meta,
        "integration": row,
        "form": form,
        "presets": sorted(PRESETS),
        "found": found[:SHOWN] if found else [],
        "found_count": len(found) if found else 0,
    }
    return TemplateResponse(request, "alerts/mapping.html", context)


def _show(form: MappingForm, error: DomainError) -> None:
    """Put the sentence under the expression that is at fault, with the place in the payload where it shows."""
    if not error.fields:
        form.add_error(None, error.message)
    for where, sentences in error.fields.items():
        name = where.removeprefix("mapping.").rsplit("]", 1)[-1].lstrip(".").split(".")[0].split("[")[0]
        for sentence in sentences:
            place = "" if where.startswith("mapping.") or where in FIELDS or where == "sample" else f"{where}: "
            form.add_error(name if name in form.fields else None, f"{place}{sentence}")
