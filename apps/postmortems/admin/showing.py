"""Small values that the pages of reviews show: due dates, and how far a thing is from done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from apps.incidents.admin.showing import Clock, Moment, Tone, clock_text, moment, span_text
from apps.postmortems.models import ActionItem, Review

SOON_SECONDS = 86400

REVIEW_TONES: dict[str, Tone] = {
    Review.State.DRAFT: "",
    Review.State.IN_REVIEW: "accent",
    Review.State.REVIEWED: "ok",
    Review.State.CLOSED: "",
}
ITEM_TONES: dict[str, Tone] = {
    ActionItem.State.OPEN: "",
    ActionItem.State.IN_PROGRESS: "accent",
    ActionItem.State.DONE: "ok",
    ActionItem.State.DROPPED: "",
}
OPEN_ITEMS = (ActionItem.State.OPEN, ActionItem.State.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Due:
    """When something has to be done, in words, and whether that is over."""

    at: Moment
    text: str
    tone: Tone
    is_overdue: bool


def due_of(due_at: datetime, zone: ZoneInfo, now: datetime, *, done: bool = False) -> Due:
    """The due date of a thing; of a `done` one it only says when it was."""
    left = (due_at - now).total_seconds()
    shown = moment(due_at, zone, now)
    if done:
        return Due(shown, shown.day, "", is_overdue=False)
    if left <= 0:
        return Due(shown, f"overdue by {left_text(left)}", "danger", is_overdue=True)
    return Due(shown, f"due in {left_text(left)}", "warn" if left < SOON_SECONDS else "", is_overdue=False)


def due_clock(due_at: datetime, now: datetime) -> Clock:
    """The same as a clock that runs on the page."""
    left = (due_at - now).total_seconds()
    name, tone = ("Until due", "") if left > 0 else ("Overdue by", "danger")
    return Clock(name, clock_text(left), "down", due_at.isoformat(), tone)  # type: ignore[arg-type]  # both are tones


def left_text(seconds: float) -> str:
    """A time as far as it matters for a due date: "2 d 3 h", "5 h 20 min", "40 min"; less than a minute is "1 min"."""
    minutes = max(int(abs(seconds)) // 60, 1)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"


def age_text(since: datetime, now: datetime) -> str:
    """How old a thing is, in its largest unit: "3 d"."""
    return " ".join(span_text((now - since).total_seconds()).split()[:2])
