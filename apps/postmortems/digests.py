"""The managers' daily message: what is overdue among those they answer for, and which reviews await them.

It goes out once a day, at the company's time in the manager's own time zone, as long as there is something in it. The
first one is scheduled when something becomes overdue or a review is submitted; each schedules the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.people.models import User
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.queries import overdue_for_manager, reviews_awaiting, visible_items
from apps.postmortems.scheduling import DIGEST_KIND, DIGEST_RUN, schedule_digests
from apps.postmortems.texts import Word, instant, tell

_MOST_LINES = 50


def lock(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the accounts that nobody else holds."""
    rows = User.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=[int(key) for key in keys])
    return {str(user.pk): Locked(user, DIGEST_RUN) for user in rows.order_by("pk")}


def exists(keys: Sequence[str]) -> set[str]:
    """Which of the accounts are there, locked or not."""
    rows = User.objects.filter(pk__in=[int(key) for key in keys]).values_list("pk", flat=True)
    return {str(pk) for pk in rows}


def fire(due: Sequence[DueTimer]) -> None:
    """Write the digests; some queries for each reader. Who has nothing to read gets none, and no next one."""
    words, again = [], []
    for step in due:
        user: User = step.subject
        word = digest(user, step.timer.seq) if user.is_active else None
        if word is not None:
            words.append(word)
            again.append(user.pk)
    tell(words)
    schedule_digests(again, after=now())


def digest(user: User, day: int) -> Word | None:
    """The digest of one person for one day (its ordinal); None where there is nothing to say."""
    items = list(overdue_for_manager(user).select_related("owner", "team", "review__incident")[: _MOST_LINES + 1])
    reviews = list(reviews_awaiting(user).select_related("owner", "incident")[: _MOST_LINES + 1])
    if not items and not reviews:
        return None
    seen = set(visible_items(user).filter(pk__in=[item.pk for item in items]).values_list("pk", flat=True))
    lines: list[str] = []
    if items:
        lines += ["Overdue action items:", *_limited([_item_line(item, item.pk in seen) for item in items]), ""]
    if reviews:
        lines += ["Reviews that await you:", *_limited([_review_line(review) for review in reviews])]
    title = " · ".join(
        part
        for part in (_count(len(items), "overdue action item"), _count(len(reviews), "review awaiting you"))
        if part
    )
    text = "\n".join(lines).strip()
    return Word(user=user, once=f"digest:{day}", subject=Subject("", ""), title=title, body=text, hidden=title)


def _count(number: int, what: str) -> str:
    if number == 0:
        return ""
    shown = f"more than {_MOST_LINES}" if number > _MOST_LINES else str(number)
    plural = what.replace("item", "items").replace("review ", "reviews ") if number > 1 else what
    return f"{shown} {plural}"


def _limited(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "- and more"]


def _item_line(item: ActionItem, visible: bool) -> str:
    who = item.owner.name if item.owner else item.team.name if item.team else "nobody"
    what = f"{item.title} ({item.review.incident.number})" if visible else "an item of an incident that you may not see"
    return f"- {item.priority} {what}: {who}, due {instant(item.due_at)}"


def _review_line(review: Review) -> str:
    who = review.owner.name if review.owner else "nobody"
    return f"- {review.incident.number} {review.title}: {who}, submitted {instant(review.submitted_at)}"


KIND = TimerKind(name=DIGEST_KIND, lock=lock, exists=exists, fire=fire)
