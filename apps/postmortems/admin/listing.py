"""The columns of the lists of reviews and action items; each reads only what its queryset has loaded."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.foundation.clock import now
from apps.incidents.admin.showing import chip_of
from apps.incidents.models import Incident
from apps.postmortems.admin.showing import ITEM_TONES, REVIEW_TONES, due_of
from apps.postmortems.models import ActionItem, Review

UTC = ZoneInfo("UTC")


def _title(url: str, title: str, sub: str, incident: Incident) -> SafeString:
    is_private = incident.visibility == Incident.Visibility.PRIVATE
    shown = {"url": url, "title": title, "sub": sub, "is_private": is_private}
    return render_to_string("postmortems/_list_title.html", shown)


class ReviewColumns:
    """Mixed into the admin of reviews."""

    @admin.display(description="Severity", ordering="incident__severity_rank")
    def severity_column(self, review: Review) -> SafeString:
        return render_to_string("incidents/_severity.html", {"chip": chip_of(review.incident), "short": True})

    @admin.display(description="Review", ordering="title")
    def title_column(self, review: Review) -> SafeString:
        url = reverse("admin:postmortems_review_change", args=[review.pk])
        return _title(url, review.title, review.incident.number, review.incident)

    @admin.display(description="State", ordering="state")
    def state_column(self, review: Review) -> SafeString:
        shown = {"label": review.get_state_display(), "tone": REVIEW_TONES[review.state]}
        return render_to_string("postmortems/_item_state.html", shown)

    @admin.display(description="Due", ordering="due_at")
    def due_column(self, review: Review) -> SafeString | str:
        if review.due_at is None:
            return "–"
        done = review.state in {Review.State.REVIEWED, Review.State.CLOSED}
        due = due_of(review.due_at, UTC, now(), done=done)
        return render_to_string("postmortems/_due.html", {"due": due})

    @admin.display(description="Open items")
    def items_column(self, review: Any) -> str:
        if review.overdue_items:
            return f"{review.open_items}, {review.overdue_items} overdue"
        return str(review.open_items or "–")


class ItemColumns:
    """Mixed into the admin of action items."""

    @admin.display(description="Action item", ordering="title")
    def title_column(self, item: ActionItem) -> SafeString:
        url = reverse("admin:postmortems_actionitem_change", args=[item.pk])
        incident = item.review.incident
        return _title(url, item.title, f"{incident.number} {item.review.title}", incident)

    @admin.display(description="Owner", ordering="owner__username")
    def owner_column(self, item: ActionItem) -> str:
        if item.owner is not None:
            return item.owner.name
        return item.team.name if item.team else "–"

    @admin.display(description="Due", ordering="due_at")
    def due_column(self, item: ActionItem) -> SafeString:
        due = due_of(item.due_at, UTC, now(), done=not item.is_open)
        return render_to_string("postmortems/_due.html", {"due": due})

    @admin.display(description="State", ordering="state")
    def state_column(self, item: ActionItem) -> SafeString:
        shown = {"label": item.get_state_display(), "tone": ITEM_TONES[item.state]}
        return render_to_string("postmortems/_item_state.html", shown)
