"""When what is promised is chased: the timers of reviews, of action items, and of the managers' digest.

A timer belongs to a run of its subject; raising the run voids the timers and the messages of the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta

from apps.engine.timers import NewTimer, schedule_many
from apps.foundation.clock import now
from apps.people.models import User
from apps.people.zones import zone_named
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.policy import ReviewRules, digest_time

ITEM_KIND, REVIEW_KIND, DIGEST_KIND = "postmortems.item", "postmortems.review", "postmortems.digest"
REMINDER, OVERDUE, ESCALATION = 1, 2, 3
"""Numbers of the timers within a run, in the order in which they fall due."""

DIGEST_RUN = 1


def schedule_item(item: ActionItem, rules: ReviewRules) -> None:
    """Chase an open item in its present run: a reminder where there is still time for one, then overdue, then the
    escalation. Those whose instant has passed fire at once. Repeats change nothing."""
    schedule_many(_timers(ITEM_KIND, str(item.pk), item.run, item.due_at, rules))


def schedule_review(review: Review, rules: ReviewRules) -> None:
    """The same for a draft. What has passed is not told again: a review that comes back late was told of already."""
    if review.due_at is None:
        return
    timers = _timers(REVIEW_KIND, str(review.pk), review.run, review.due_at, rules)
    schedule_many([timer for timer in timers if timer.due_at > now()])


def _timers(kind: str, key: str, run: int, due_at: datetime, rules: ReviewRules) -> list[NewTimer]:
    instants = {OVERDUE: due_at, ESCALATION: due_at + rules.escalate_after}
    if (reminder_at := due_at - rules.reminder_before) > now():
        instants[REMINDER] = reminder_at
    return [NewTimer(kind, key, run, seq, at) for seq, at in sorted(instants.items())]


def schedule_digests(user_ids: Iterable[int], *, after: datetime | None = None) -> None:
    """Let these people have their next digest: one for each day, at the company's time in their own time zone.

    Two queries for any number; who has it scheduled already has it once.
    """
    wanted = set(user_ids)
    if not wanted:
        return
    after, clock = after or now(), digest_time()
    rows = User.objects.filter(pk__in=wanted, is_active=True).values_list("pk", "time_zone")
    timers = []
    for user_id, zone in rows:
        at = next_digest_at(after, clock, zone)
        timers.append(NewTimer(DIGEST_KIND, str(user_id), DIGEST_RUN, at.date().toordinal(), at))
    schedule_many(timers)


def next_digest_at(after: datetime, clock: time, zone: str) -> datetime:
    """The first instant after `after` at which a clock on the wall in `zone` shows this time; UTC for an unknown zone.

    It is given in that zone, so that its date is the reader's date.
    """
    here = zone_named(zone)
    day = after.astimezone(here).date()
    at = datetime.combine(day, clock, tzinfo=here)
    return at if at > after else datetime.combine(day + timedelta(days=1), clock, tzinfo=here)
