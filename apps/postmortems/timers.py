"""What falls due: reminders of action items and reviews, the word that they are overdue, and the one to the manager.

Each has its own number in a run, so it is told once. What was finished, submitted or moved has a new run: its old
timers are stale, and its messages void. The portal tells who promised (where that is nobody, the team's leads, else
who writes the review), and later who answers for them: see `queries.Answering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from simple_history.utils import bulk_update_with_history

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.engine.registry import DueTimer, Locked, TimerKind
from apps.foundation.actor import Actor, acting
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents.operations.signing import history_signature
from apps.incidents.queries import subject_of
from apps.people.models import User
from apps.postmortems.events import ItemEscalated, ItemOverdue, Overdue, item_facts
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.queries import Answering
from apps.postmortems.scheduling import ESCALATION, ITEM_KIND, OVERDUE, REMINDER, REVIEW_KIND, schedule_digests
from apps.postmortems.texts import Word, item_word, review_word, tell

CHASER = "reminders"


@dataclass(slots=True)
class _Told:
    """All that a batch adds up to: gathered first, written once."""

    words: list[Word] = field(default_factory=list)
    events: list[tuple[DomainEvent, Subject, Actor]] = field(default_factory=list)
    digests: set[int] = field(default_factory=set)
    actor: Actor = field(default_factory=lambda: Actor.system(CHASER))

    def publish(self, event: DomainEvent, incident_id: int) -> None:
        self.events.append((event, subject_of(incident_id), self.actor))

    def write(self) -> None:
        publish_many(self.events)
        tell(self.words)
        schedule_digests(self.digests)


# --- action items -------------------------------------------------------------------------------------------------


def lock_items(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the action items that nobody else holds; the present run of each."""
    rows = ActionItem.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=_numbers(keys))
    with_all = rows.select_related("owner__manager", "team", "review__incident", "review__owner").order_by("pk")
    return {str(row.pk): Locked(row, row.run) for row in with_all}


def items_exist(keys: Sequence[str]) -> set[str]:
    """Which of the action items are there, locked or not."""
    return {str(pk) for pk in ActionItem.objects.filter(pk__in=_numbers(keys)).values_list("pk", flat=True)}


def fire_items(due: Sequence[DueTimer]) -> None:
    """Remind, tell that it is overdue, or tell who answers for it. What is finished, or was told, is passed over."""
    told, at = _Told(), now()
    steps = [(step.subject, step.timer.seq) for step in sorted(due, key=lambda step: (step.timer.key, step.timer.seq))]
    items = {item.pk: item for item, _ in steps if item.is_open}
    answering = Answering((item.owner, item.team_id, item.review.incident.team_id) for item in items.values())
    changed: dict[int, ActionItem] = {}
    for item, seq in steps:
        if not item.is_open:
            continue
        above = answering.people(item.owner, item.team_id, item.review.incident.team_id)
        promised = _promised(item, above)
        if seq == REMINDER and at < item.due_at:
            told.words += [item_word(item, user, "reminder") for user in promised]
        elif seq == OVERDUE and item.overdue_told_at is None:
            item.overdue_told_at = at
            changed[item.pk] = item
            told.words += [item_word(item, user, "overdue") for user in promised]
            told.publish(
                ItemOverdue(**item_facts(item), user_ids=[user.pk for user in promised]), item.review.incident_id
            )
            told.digests |= {user.pk for user in above}
        elif seq == ESCALATION and item.escalated_at is None:
            item.escalated_at = at
            changed[item.pk] = item
            told.words += [item_word(item, user, "escalated") for user in above]
            ids, names = [user.pk for user in above], [user.name for user in above]
            told.publish(ItemEscalated(**item_facts(item), user_ids=ids, names=names), item.review.incident_id)
            told.digests |= {user.pk for user in above}
    _save(list(changed.values()), told.actor)
    told.write()


def _promised(item: ActionItem, above: list[User]) -> list[User]:
    """Who is to do it: its owner; where nobody is, who answers for its team, else who writes the review."""
    if item.owner is not None:
        return [item.owner] if item.owner.is_active else above
    return above or [user for user in [item.review.owner] if user is not None and user.is_active]


def _save(items: list[ActionItem], actor: Actor) -> None:
    if not items:
        return
    for item in items:
        item.version += 1
    with acting(actor, "overdue"):
        fields = ["overdue_told_at", "escalated_at", "version"]
        bulk_update_with_history(items, ActionItem, fields, batch_size=200, **history_signature())


# --- reviews ------------------------------------------------------------------------------------------------------


def lock_reviews(keys: Sequence[str]) -> dict[str, Locked]:
    """Lock the reviews that nobody else holds; the present run of each."""
    rows = Review.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=_numbers(keys))
    with_all = rows.select_related("incident", "owner__manager").order_by("pk")
    return {str(row.pk): Locked(row, row.run) for row in with_all}


def reviews_exist(keys: Sequence[str]) -> set[str]:
    """Which of the reviews are there, locked or not."""
    return {str(pk) for pk in Review.objects.filter(pk__in=_numbers(keys)).values_list("pk", flat=True)}


def fire_reviews(due: Sequence[DueTimer]) -> None:
    """The same for drafts: their due date is met by submitting them."""
    told, at = _Told(), now()
    steps = [(step.subject, step.timer.seq) for step in sorted(due, key=lambda step: (step.timer.key, step.timer.seq))]
    drafts = [(review, seq) for review, seq in steps if review.state == Review.State.DRAFT and review.due_at]
    answering = Answering((review.owner, review.incident.team_id, review.incident.team_id) for review, _ in drafts)
    for review, seq in drafts:
        above = answering.people(review.owner, review.incident.team_id, review.incident.team_id)
        writers = [review.owner] if review.owner is not None and review.owner.is_active else above
        if seq == REMINDER:
            if at < review.due_at:
                told.words += [review_word(review, user, "reminder") for user in writers]
            continue
        people = above if seq == ESCALATION else writers
        told.words += [review_word(review, user, "escalated" if seq == ESCALATION else "overdue") for user in people]
        event = Overdue(
            review_id=review.pk,
            title=review.title,
            due_at=review.due_at.isoformat(),
            escalated=seq == ESCALATION,
            user_ids=[user.pk for user in people],
        )
        told.publish(event, review.incident_id)
    told.write()


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys]


KINDS = (
    TimerKind(name=ITEM_KIND, lock=lock_items, exists=items_exist, fire=fire_items),
    TimerKind(name=REVIEW_KIND, lock=lock_reviews, exists=reviews_exist, fire=fire_reviews),
)
