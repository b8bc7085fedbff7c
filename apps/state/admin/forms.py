"""Forms of the config pages."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminURLInputWidget

from apps.state.contents import MOST_BYTES
from apps.state.models import ConfigDocument
from apps.state.operations.recording import NOTE_LENGTH

_INPUT = {"class": "ip-input"}
_CODE = {"class": "ip-input ip-mono p-state-code", "rows": 24, "spellcheck": "false", "autocomplete": "off"}


class JsonTextField(forms.CharField):
    """A JSON object as text; what is none is told with line and column."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=2 * MOST_BYTES, strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text.strip():
            return None
        try:
            found = json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise ValidationError(f"Line {error.lineno}, column {error.colno}: {error.msg}.") from error
        except (ValueError, RecursionError) as error:
            raise ValidationError("This is no JSON that can be kept.") from error
        if not isinstance(found, dict):
            raise ValidationError("It must be a JSON object: { … }.")
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial if isinstance(initial, dict) else None))
        except ValidationError:
            return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class DocumentForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What is said about a document. Its content is edited on a page of its own."""

    source_url = forms.URLField(
        max_length=500,
        required=False,
        assume_scheme="https",
        widget=UnfoldAdminURLInputWidget,
        help_text="where the live document is read and written; empty: the portal holds it",
    )
    schema = JsonTextField(
        required=False,
        initial={},
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text="JSON Schema (draft 2020-12) that every version obeys; {} allows everything",
    )

    class Meta:
        model = ConfigDocument
        fields = (
            "name",
            "slug",
            "description",
            "service",
            "environment",
            "source_url",
            "capture_every_seconds",
            "schema",
        )


class ReasonForm(forms.Form):
    """Why something is done, and what its maker looked at."""

    reason = forms.CharField(max_length=NOTE_LENGTH, widget=forms.TextInput(attrs={**_INPUT, "required": True}))


class RestoreForm(ReasonForm):
    """Also what was live when the diff was shown, and the key by which a second click does nothing."""

    expected_checksum = forms.RegexField(r"^[0-9a-f]{64}\Z", widget=forms.HiddenInput)
    effect_key = forms.RegexField(r"^[0-9a-f]{32}\Z", widget=forms.HiddenInput)


class ContentForm(forms.Form):
    """The whole content, what changes in it, and the revision that it was made from."""

    content = JsonTextField(widget=forms.Textarea(attrs=_CODE), label="Content (JSON)")
    note = forms.CharField(
        max_length=NOTE_LENGTH, required=False, widget=forms.TextInput(attrs=_INPUT), label="What does it change?"
    )
    expected_revision = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
