"""The dialogs of approvals: each asks for a reason."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.approvals.operations.changing import MOST_REASON


def _reason(**kwargs: Any) -> forms.CharField:
    return forms.CharField(max_length=MOST_REASON, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **kwargs)


class ReasonForm(BaseDialogForm):
    """Why, which must be said."""

    reason = _reason(label="Why")


class NoteForm(BaseDialogForm):
    """Why, if there is anything to say."""

    reason = _reason(required=False, label="What do you want to say? (may stay empty)")
