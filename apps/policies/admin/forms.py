"""Forms of the policy pages."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.policies.documents import MOST_CHARACTERS
from apps.policies.operations import NOTE_LENGTH

_INPUT = {"class": "ip-input"}
_TEXT = {
    "class": "ip-input ip-mono",
    "rows": 28,
    "spellcheck": "false",
    "autocomplete": "off",
    "wrap": "off",
    "style": "white-space: pre; overflow: auto",
}


class EditorForm(forms.Form):
    """A pack's text, what it changes, and whether new incidents follow it at once."""

    text = forms.CharField(
        max_length=MOST_CHARACTERS, strip=False, widget=forms.Textarea(attrs=_TEXT), label="Pack (YAML)"
    )
    note = forms.CharField(
        max_length=NOTE_LENGTH, required=False, widget=forms.TextInput(attrs=_INPUT), label="What does it change?"
    )
    activate = forms.BooleanField(required=False, label="Activate it at once")
    reason = forms.CharField(
        max_length=300, required=False, widget=forms.TextInput(attrs=_INPUT), label="Why is it activated?"
    )

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if found.get("activate") and not (found.get("reason") or found.get("note")):
            self.add_error("reason", "Say why this version is activated.")
        return found


class ReasonForm(forms.Form):
    """Why a version is activated."""

    reason = forms.CharField(
        max_length=300, widget=forms.TextInput(attrs={**_INPUT, "required": True}), label="Why is it activated?"
    )
