"""The form of a flag, and the dialogs of its buttons: each asks why."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

from django import forms
from django.http import HttpRequest
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.flags.admin.fields import DefinitionField
from apps.flags.evaluation.definitions import read_definition, read_segment
from apps.flags.models import Flag, Segment
from apps.flags.operations import Step
from apps.flags.operations.checking import KEY_RULE, MAX_REASON, key_of
from apps.flags.operations.scheduling import FURTHEST
from apps.flags.queries import preview_kill, visible_flags
from apps.foundation.clock import now
from apps.foundation.errors import Invalid

TEXTS = ("name", "description", "blast_radius", "rollback_expectation")
ANSWERS = ("kind", "type", "definition", "expires_on", "needs_approval")
DEFINITION_HELP = "variants, off, serve, rules and prerequisites: see docs/flags.md"
SEGMENT_HELP = "when: a list of conditions that all hold, for example attribute, operator and values"
_SEGMENT_EXAMPLE = """when:
- {attribute: country, operator: in, values: [DE, AT]}
"""
_EXAMPLE = """variants: {"on": true, "off": false}
off: "off"     # served when it is killed
serve: "on"    # to everybody whom no rule meets
rules: []
"""


class FlagForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What describes a flag; its state has buttons."""

    class Meta:
        model = Flag
        fields = ("key", "environment", "owner", "services", "kind", "type", "expires_on", "needs_approval", *TEXTS)
        help_texts = {"key": KEY_RULE}

    definition = DefinitionField(required=False, label="What it answers (YAML)", help_text=DEFINITION_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial.setdefault("definition", _EXAMPLE)
        if "definition" in self.fields:
            cast("DefinitionField", self.fields["definition"]).check = self._check
        for name in TEXTS[1:]:
            if name in self.fields:
                self.fields[name].widget.attrs["rows"] = 3

    def _check(self, definition: Any) -> None:
        read_definition(self.instance.type if self.instance.pk else self.data.get("type", ""), definition)

    def clean_key(self) -> str:
        given: str = self.cleaned_data["key"]
        try:
            return key_of(given)
        except Invalid as error:
            raise forms.ValidationError(error.message) from error


class SegmentForm(forms.ModelForm):  # type: ignore[type-arg]  # the same
    """What describes a segment."""

    class Meta:
        model = Segment
        fields = ("key", "name", "owner", "description", "definition")
        help_texts = {"key": KEY_RULE}

    definition = DefinitionField(check=read_segment, label="Who belongs to it (YAML)", help_text=SEGMENT_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial.setdefault("definition", _SEGMENT_EXAMPLE)

    clean_key = FlagForm.clean_key


class TryForm(BaseDialogForm):
    """Who would ask."""

    context = forms.CharField(
        max_length=20_000,
        initial='{"targetingKey": "user-1"}',
        label="Context (JSON)",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="what a program sends: targetingKey, and attributes that rules look at",
    )

    def clean_context(self) -> dict[str, Any]:
        try:
            found = json.loads(self.cleaned_data["context"])
        except RecursionError as error:
            raise forms.ValidationError("This is nested too deeply.") from error
        except json.JSONDecodeError as error:
            raise forms.ValidationError(f"This is not valid JSON: {error}.") from error
        except ValueError as error:
            raise forms.ValidationError("A number in it has too many digits.") from error
        if not isinstance(found, dict):
            raise forms.ValidationError('Write an object, for example {"targetingKey": "user-1"}.')
        return found


class RolloutForm(BaseDialogForm):
    """Ever more of those whom no rule meets get a variant."""

    variant = forms.CharField(max_length=100, initial="on", widget=UnfoldAdminTextInputWidget())
    percents = forms.CharField(
        max_length=200, initial="1, 10, 50, 100", label="Percentages", widget=UnfoldAdminTextInputWidget()
    )
    begins_at = forms.DateTimeField(
        label="First step (UTC)", help_text="for example 2026-12-01 09:00", widget=UnfoldAdminTextInputWidget()
    )
    every_hours = forms.IntegerField(
        min_value=1, max_value=720, initial=24, label="Hours between steps", widget=UnfoldAdminIntegerFieldWidget()
    )
    reason = forms.CharField(max_length=MAX_REASON, label="Why", widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}))

    def clean_percents(self) -> list[float]:
        try:
            return [float(part) for part in self.cleaned_data["percents"].split(",")]
        except ValueError as error:
            raise forms.ValidationError(
                "Write percentages with commas between them, for example 1, 10, 100."
            ) from error

    def clean(self) -> None:
        """Refuse what no calendar has; the operation says how far ahead a step may be."""
        super().clean()
        begins, percents = self.cleaned_data.get("begins_at"), self.cleaned_data.get("percents", [])
        pause = timedelta(hours=self.cleaned_data.get("every_hours") or 0)
        if begins is not None and begins > now() + FURTHEST - pause * (len(percents) - 1):
            self.add_error("begins_at", f"The last step would be more than {FURTHEST.days} days ahead.")

    @property
    def steps(self) -> list[Step]:
        given = self.cleaned_data
        begins, pause = given["begins_at"], timedelta(hours=given["every_hours"])
        return [Step(begins + number * pause, percent) for number, percent in enumerate(given["percents"])]


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
