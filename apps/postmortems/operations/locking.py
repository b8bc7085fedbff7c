"""Rows under lock: a review before its sections and items."""

from __future__ import annotations

from django.db.models import F

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.postmortems.models import ActionItem, Review, Section
from apps.postmortems.operations import checking

OPEN_STATES = (Review.State.DRAFT, Review.State.IN_REVIEW)
_WITH = ("incident", "owner", "reviewer", "submitted_by")


def review(review_id: int) -> Review:
    """A locked review with its incident; NotFound where there is none."""
    rows = Review.objects.select_for_update(of=("self",)).select_related(*_WITH)
    found = rows.filter(pk=review_id).first()
    if found is None:
        raise checking.gone("review")
    return found


def section(section_id: int) -> Section:
    """A locked section under its locked review."""
    review_id = Section.objects.filter(pk=section_id).values_list("review_id", flat=True).first()
    if review_id is None:
        raise checking.gone("section")
    above = review(review_id)
    found = Section.objects.select_for_update().get(pk=section_id)
    found.review = above
    return found


def item(item_id: int) -> ActionItem:
    """A locked action item under its locked review."""
    review_id = ActionItem.objects.filter(pk=item_id).values_list("review_id", flat=True).first()
    if review_id is None:
        raise checking.gone("action item")
    above = review(review_id)
    found = ActionItem.objects.select_for_update(of=("self",)).select_related("owner", "team").get(pk=item_id)
    found.review = above
    return found


def still_open(found: Review, doing: str) -> None:
    """Conflict once it is reviewed: `doing` needs a draft, or one in review."""
    if found.state not in OPEN_STATES:
        raise Conflict(
            f"This review is {found.get_state_display().lower()}: its text is locked. Reopen it to {doing}.",
            code="review_locked",
        )


def in_state(found: Review, *states: str) -> None:
    """Conflict unless it is in one of these states."""
    if found.state not in states:
        wanted = " or ".join(Review.State(state).label.lower() for state in states)
        raise Conflict(
            f"This review is {found.get_state_display().lower()}; this needs one that is {wanted}.",
            code="wrong_state",
            extra={"state": found.state},
        )


def required_are_filled(found: Review) -> None:
    """Conflict that names the required sections that are still empty."""
    empty = [row.title for row in found.sections.filter(required=True) if not row.text.strip()]
    if empty:
        raise Conflict(f"Still empty: {', '.join(empty)}.", code="sections_missing", extra={"sections": empty})


def touch(found: Review) -> None:
    """Raise the version of a locked review because something that belongs to it changed.

    The column is kept out of history on purpose, so nothing is missed by not going through `save`.
    """
    Review.objects.filter(pk=found.pk).update(version=F("version") + 1)
    found.version += 1


def save(row: Review | Section | ActionItem, *fields: str, actor: Actor) -> None:
    """Save these columns with history, and raise the version."""
    row.version += 1
    row.save(update_fields=[*fields, "version"])
