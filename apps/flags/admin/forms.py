"""The form of a flag, and the dialogs of its buttons: each asks why."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.flags.models import Flag
from apps.flags.operations.checking import KEY_RULE, MAX_REASON, key_of
from apps.flags.queries import preview_kill, visible_flags
from apps.foundation.errors import Invalid

TEXTS = ("name", "description", "blast_radius", "rollback_expectation")


class FlagForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What describes a flag; its state has buttons."""

    class Meta:
        model = Flag
        fields = ("key", "environment", "owner", "services", *TEXTS)
        help_texts = {"key": KEY_RULE}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in TEXTS[1:]:
            if name in self.fields:
                self.fields[name].widget.attrs["rows"] = 3

    def clean_key(self) -> str:
        given: str = self.cleaned_data["key"]
        try:
            return key_of(given)
        except Invalid as error:
            raise forms.ValidationError(error.message) from error


class ReasonForm(BaseDialogForm):
    """Why, which must be said."""

    reason = forms.CharField(
        max_length=MAX_REASON,
        label="Why",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="kept in the history and told to all who hear of it",
    )


class KillForm(ReasonForm):
    """The same, below who and what would change."""

    form_before_template = "flags/kill_preview.html"

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        flag = visible_flags(request.user).filter(pk=str(object_id)).first()
        return {"preview": preview_kill(flag, user=request.user) if flag is not None else None}
