"""Forms of the pages of authors."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.policies.documents import MOST_CHARACTERS
from apps.runbooks.models import Runbook
from apps.runbooks.operations.authoring import NOTE_LENGTH
from apps.runbooks.secrets import LONGEST, SHORTEST

_INPUT = {"class": "ip-input"}
_TEXT = {
    "class": "ip-input ip-mono p-authoring-text",
    "rows": 32,
    "spellcheck": "false",
    "autocomplete": "off",
    "wrap": "off",
}


class RunbookForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What is said about a runbook. What it does stands in its text."""

    class Meta:
        model = Runbook
        fields = ("name", "slug", "description", "category", "owner", "services")


class TextForm(forms.Form):
    """A runbook's text, what it changes, and whether executions follow it at once."""

    text = forms.CharField(
        max_length=MOST_CHARACTERS, strip=False, widget=forms.Textarea(attrs=_TEXT), label="Runbook (YAML)"
    )
    note = forms.CharField(
        max_length=NOTE_LENGTH, required=False, widget=forms.TextInput(attrs=_INPUT), label="What does it change?"
    )
    activate = forms.BooleanField(required=False, label="Activate it at once")
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        max_length=300, widget=forms.TextInput(attrs={**_INPUT, "required": True}), label="Why is it retired?"
    )


class ActivateForm(forms.Form):
    """Why a version is activated, if that needs saying."""

    reason = forms.CharField(
        max_length=300, required=False, widget=forms.TextInput(attrs=_INPUT), label="Why is it activated?"
    )


class SecretForm(forms.Form):
    """A name and a value; the value is never shown again."""

    name = forms.RegexField(
        r"^[a-zA-Z0-9_][-a-zA-Z0-9_]*\Z",
        max_length=60,
        widget=forms.TextInput(attrs={**_INPUT, "autocomplete": "off"}),
        help_text="as runbooks call it: {{ secret.NAME }}",
    )
    value = forms.CharField(
        min_length=SHORTEST,
        max_length=LONGEST,
        widget=forms.PasswordInput(attrs={**_INPUT, "autocomplete": "new-password"}, render_value=False),
        help_text=f"{SHORTEST} to {LONGEST} characters; it is shown nowhere again",
    )
    note = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs=_INPUT), help_text="what it is for"
    )

    def __init__(self, *args: Any, known: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if known:
            del self.fields["name"]
            self.fields["value"].label = "New value"
