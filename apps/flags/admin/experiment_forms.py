"""The form of an experiment, and the dialogs of its buttons."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.http import HttpRequest
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.flags.admin.forms import ReasonForm
from apps.flags.experiment_queries import (
    SPLIT_EVENLY,
    TO_FALLBACK,
    epochs_of,
    preview_variant_kills,
    visible_experiments,
)
from apps.flags.experiments.epochs import killed_in
from apps.flags.models import Experiment, Flag, Guardrail
from apps.flags.operations.checking import KEY_RULE, MAX_REASON, key_of
from apps.flags.queries import visible_flags
from apps.foundation.errors import Invalid

_PERCENTS_HELP = "each variant with its percent, one per line; together 100"


def read_percents(text: str) -> dict[str, float]:
    """`control 50`, one variant per line or with commas between; a percent sign may follow. Raises ValidationError."""
    found: dict[str, float] = {}
    for part in re.split(r"[\n,;]", text):
        words = part.strip().removesuffix("%").replace(":", " ").replace("=", " ").split()
        if not words:
            continue
        try:
            name, number = words
            percent = float(number)
        except ValueError as error:
            raise forms.ValidationError(f"Write a variant and its percent: {part.strip()[:80]!r} is not.") from error
        if name in found:
            raise forms.ValidationError(f"{name} stands there twice.")
        found[name] = percent
    return found


def percents_text(percents: Any) -> str:
    """The same the other way."""
    return "\n".join(f"{name} {percent:g}" for name, percent in percents.items())


class ExperimentForm(forms.ModelForm):  # type: ignore[type-arg]  # Django can't subscript it at run time
    """What describes an experiment; who gets what has buttons once it is there."""

    class Meta:
        model = Experiment
        fields = ("key", "flag", "name", "hypothesis", "fallback", "traffic", "auto_kill")
        help_texts = {"key": KEY_RULE}

    shares = forms.CharField(
        required=False,
        label="Shares",
        initial="control 50\na 50",
        help_text=_PERCENTS_HELP,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.initial["shares"] = percents_text(self.instance.percents)
        if "hypothesis" in self.fields:
            self.fields["hypothesis"].widget.attrs["rows"] = 3

    def clean_key(self) -> str:
        try:
            return key_of(self.cleaned_data["key"])
        except Invalid as error:
            raise forms.ValidationError(error.message) from error

    def clean_shares(self) -> dict[str, float]:
        return read_percents(self.cleaned_data["shares"])


def experiment_flags(request: HttpRequest) -> Any:
    """The flags that may get an experiment, for a select."""
    return visible_flags(request.user).filter(kind=Flag.Kind.EXPERIMENT)


class OnExperiment(ReasonForm):
    """A dialog about one experiment that the person sees."""

    def __init__(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        number = str(object_id) if str(object_id).isdecimal() else "0"
        self.experiment = visible_experiments(request.user).filter(pk=number).first()
        self.prepare()

    def prepare(self) -> None:
        """Fill in what depends on the experiment."""


class KillVariantForm(OnExperiment):
    """Which variant, below what a kill of each would change."""

    form_before_template = "flags/variant_preview.html"
    field_order = ("variant", "mode", "reason")

    variant = forms.ChoiceField(widget=UnfoldAdminSelectWidget())
    mode = forms.ChoiceField(
        choices=[(TO_FALLBACK, "go to the fallback"), (SPLIT_EVENLY, "are split like newcomers")],
        label="Its enrolled",
        widget=UnfoldAdminSelectWidget(),
    )

    def prepare(self) -> None:
        self.previews = preview_variant_kills(self.experiment) if self.experiment is not None else []
        names = [each.variant for each in self.previews]
        # None is chosen beforehand: a hurried press must not take the wrong one away.
        self.fields["variant"].choices = [("", "choose one"), *((name, name) for name in names)]

    def get_before_template_context(self, request: HttpRequest, object_id: int | str | None = None) -> dict[str, Any]:
        return {"previews": self.previews, "experiment": self.experiment}


class SharesForm(OnExperiment):
    """Other shares for newcomers."""

    field_order = ("shares", "reason")
    shares = forms.CharField(help_text=_PERCENTS_HELP, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))

    def prepare(self) -> None:
        if self.experiment is not None:
            self.fields["shares"].initial = percents_text(self.experiment.percents)

    def clean_shares(self) -> dict[str, float]:
        return read_percents(self.cleaned_data["shares"])


class EndForm(OnExperiment):
    """Why, and which variant everybody gets."""

    field_order = ("winner", "reason")
    winner = forms.ChoiceField(required=False, label="Everybody gets", widget=UnfoldAdminSelectWidget())

    def prepare(self) -> None:
        experiment = self.experiment
        killed = killed_in(epochs_of(experiment)) if experiment is not None else {}
        names = [name for name in experiment.percents if name not in killed] if experiment is not None else []
        choices = [("", "what the flag's definition says"), *((name, name) for name in names)]
        self.fields["winner"].choices = choices


class GuardrailForm(BaseDialogForm):
    """A metric that no variant may worsen."""

    metric = forms.CharField(max_length=100, widget=UnfoldAdminTextInputWidget())
    kind = forms.ChoiceField(choices=Guardrail.Kind.choices, widget=UnfoldAdminSelectWidget())
    worse = forms.ChoiceField(choices=Guardrail.Worse.choices, widget=UnfoldAdminSelectWidget())
    against = forms.ChoiceField(choices=Guardrail.Against.choices, widget=UnfoldAdminSelectWidget())
    threshold = forms.FloatField(
        initial=0, widget=UnfoldAdminDecimalFieldWidget(), help_text="the limit, or how much worse is tolerated"
    )
    sensitivity = forms.FloatField(
        widget=UnfoldAdminDecimalFieldWidget(), help_text="a harm of this size beyond it is found soonest"
    )
    reason = forms.CharField(max_length=MAX_REASON, required=False, widget=UnfoldAdminTextInputWidget())


class OnGuardrail(OnExperiment):
    """Which of its guardrails, and why."""

    field_order: Any = ("guardrail", "reason")
    guardrail = forms.ChoiceField(widget=UnfoldAdminSelectWidget())

    def prepare(self) -> None:
        rows = self.experiment.guardrails.order_by("metric") if self.experiment is not None else []
        self.fields["guardrail"].choices = [(str(row.pk), row.metric) for row in rows]


class GuardrailEditForm(OnGuardrail):
    """What is to be watched otherwise; what is left empty stays."""

    field_order = ("guardrail", "worse", "against", "threshold", "sensitivity", "alpha", "reason")
    worse = forms.ChoiceField(
        choices=[("", "as it is"), *Guardrail.Worse.choices], required=False, widget=UnfoldAdminSelectWidget()
    )
    against = forms.ChoiceField(
        choices=[("", "as it is"), *Guardrail.Against.choices], required=False, widget=UnfoldAdminSelectWidget()
    )
    threshold = forms.FloatField(required=False, widget=UnfoldAdminDecimalFieldWidget())
    sensitivity = forms.FloatField(required=False, widget=UnfoldAdminDecimalFieldWidget())
    alpha = forms.FloatField(required=False, widget=UnfoldAdminDecimalFieldWidget())
