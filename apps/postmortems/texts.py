"""What the portal tells people of reviews and action items: to the inbox and by email, with the link, each thing once.

Who may not see the incident any more (it became private) gets a neutral message: that something is due, and nothing of
what it is about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from django.conf import settings

from apps.foundation.actor import Actor
from apps.foundation.subjects import Subject
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.people.models import User
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.permissions import may_review
from apps.postmortems.queries import (
    ITEM_SUBJECT,
    REVIEW_SUBJECT,
    Answering,
    item_url,
    review_url,
    visible_items,
    visible_reviews,
)

ITEM_GUARD, REVIEW_GUARD = "postmortems.item", "postmortems.review"

_VOID_WHEN_MOVED = frozenset({"reminder", "overdue", "escalated", "submitted"})
"""What is not worth sending any more once its subject has another run; the rest stays true."""


@dataclass(frozen=True, slots=True)
class Word:
    """One thing to tell one person. `once` makes a repeat harmless; `hidden` is said to who may not see `subject`."""

    user: User
    once: str
    subject: Subject
    title: str
    body: str
    hidden: str
    guard: Guard | None = None


def tell(words: Sequence[Word]) -> None:
    """Enqueue these messages in the caller's transaction; a repeat adds nothing.

    The number of queries grows with the people who are told, not with what they are told.
    """
    ways: dict[int, list[NewMessage]] = defaultdict(list)
    people = sorted({word.user.pk for word in words})
    if not people:
        return
    for way in messages_for_person(people, channels=[Message.Channel.EMAIL]):
        if way.recipient_id is not None:
            ways[way.recipient_id].append(way)
    seen = _seen(words)
    enqueue_many(
        [_message(word, way, word.subject in seen[word.user.pk]) for word in words for way in ways[word.user.pk]]
    )


def _seen(words: Sequence[Word]) -> dict[int, set[Subject]]:
    """What each person may see of what they are told."""
    by_user: dict[User, set[Subject]] = defaultdict(set)
    for word in words:
        by_user[word.user].add(word.subject)
    seen: dict[int, set[Subject]] = {}
    for user, subjects in by_user.items():
        items = [int(subject.key) for subject in subjects if subject.kind == ITEM_SUBJECT]
        reviews = [int(subject.key) for subject in subjects if subject.kind == REVIEW_SUBJECT]
        found = {Subject("", "")}
        if items:
            mine = visible_items(user).filter(pk__in=items)
            found |= {Subject(ITEM_SUBJECT, str(pk)) for pk in mine.values_list("pk", flat=True)}
        if reviews:
            theirs = visible_reviews(user).filter(pk__in=reviews)
            found |= {Subject(REVIEW_SUBJECT, str(pk)) for pk in theirs.values_list("pk", flat=True)}
        seen[user.pk] = found
    return seen


def _message(word: Word, way: NewMessage, visible: bool) -> NewMessage:
    address = sha256(way.address.encode()).hexdigest()[:16]
    filled = replace(
        way, dedupe_key=f"postmortems:{word.once}:{word.user.pk}:{way.channel}:{address}", guard=word.guard
    )
    if not visible:
        return replace(filled, title=word.hidden, body="It belongs to an incident that you may not see.")
    url = _link(word.subject)
    return replace(
        filled,
        subject=word.subject,
        title=word.title[:300],
        body=word.body,
        payload={"url": f"{settings.PUBLIC_URL}{url}"} if url else {},
    )


def _link(subject: Subject) -> str:
    links: dict[str, Callable[[str], str]] = {ITEM_SUBJECT: item_url, REVIEW_SUBJECT: review_url}
    return links[subject.kind](subject.key) if subject.kind in links else ""


def instant(at: datetime | None) -> str:
    """An instant in a message."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "no date"


# --- reviews ------------------------------------------------------------------------------------------------------


_REVIEW_TITLES = {
    "opened": "A review to write: {review}",
    "owner": "You write the review: {review}",
    "reminder": "Due soon: {review}",
    "overdue": "Overdue: {review}",
    "escalated": "Still not written: {review}",
    "submitted": "A review awaits you: {review}",
    "sent_back": "Sent back: {review}",
    "reviewed": "Reviewed: {review}",
    "reopened": "Reopened: {review}",
}
_REVIEW_HIDDEN = {
    "submitted": "A review awaits somebody who may see its incident",
    "overdue": "A review is overdue",
    "escalated": "A review is overdue",
}


def review_word(review: Review, user: User, what: str, *, reason: str = "", by: str = "") -> Word:
    """What is said of a review, one sentence for each kind of message."""
    name = f"Review of {review.incident.number} {review.title}"
    owner = review.owner.name if review.owner else "Nobody yet"
    lines = {
        "opened": f"You own the review of {review.incident.number}. It is due {instant(review.due_at)}.",
        "owner": f"{by} made you the owner. It is due {instant(review.due_at)}.",
        "reminder": f"It is due {instant(review.due_at)}.",
        "overdue": f"It was due {instant(review.due_at)}. {owner} writes it.",
        "escalated": f"It was due {instant(review.due_at)} and is still a draft. {owner} writes it.",
        "submitted": f"{by} submitted it. {owner} wrote it." if by else f"{owner} wrote it.",
        "sent_back": f"{by} sent it back: {reason}",
        "reviewed": f"{by} reviewed it. Its text is locked now; its action items are followed on.",
        "reopened": f"{by} reopened it: {reason}",
    }
    because = f"\n{review.required_because}" if what == "opened" and review.required_because else ""
    return Word(
        user=user,
        once=f"review:{review.pk}:{review.run}:{what}",
        subject=Subject(REVIEW_SUBJECT, str(review.pk)),
        title=_REVIEW_TITLES[what].format(review=name),
        body=lines[what] + because,
        hidden=_REVIEW_HIDDEN.get(what, "Something about a review"),
        guard=Guard(REVIEW_GUARD, str(review.pk), review.run) if what in _VOID_WHEN_MOVED else None,
    )


def tell_of_review(review: Review, user: User | None, what: str, *, reason: str = "", actor: Actor) -> None:
    """Tell one person one thing about a review; nobody where there is nobody, or it was they who did it."""
    if user is None or user.pk == actor.user_id:
        return
    tell([review_word(review, user, what, reason=reason, by=actor.name)])


def reviewers_of(review: Review) -> list[User]:
    """Who is told that a review awaits them: its reviewer, else those who answer for its owner and may review it."""
    if review.reviewer is not None:
        return [review.reviewer]
    owner = User.objects.select_related("manager").filter(pk=review.owner_id or 0).first()
    team_id = review.incident.team_id
    people = Answering([(owner, team_id, team_id)]).people(owner, team_id, team_id)
    return [user for user in people if may_review(user, review) and visible_reviews(user).filter(pk=review.pk).exists()]


# --- action items -------------------------------------------------------------------------------------------------


_ITEM_TITLES = {
    "assigned": "An action item for you: {item}",
    "reminder": "Due soon: {item}",
    "overdue": "Overdue: {item}",
    "escalated": "Overdue and not done: {item}",
}
_ITEM_HIDDEN = {
    "assigned": "An action item for you",
    "reminder": "An action item is due soon",
    "overdue": "An action item is overdue",
    "escalated": "An action item is overdue and not done",
}


def item_word(item: ActionItem, user: User, what: str, *, by: str = "") -> Word:
    """What is said of an action item."""
    review = item.review
    whose = f"{item.owner.name} promised it" if item.owner else f"{item.team} promised it" if item.team else "Promised"
    from_review = f"{whose} in the review of {review.incident.number} {review.title}."
    lines = {
        "assigned": f"{by} wrote it down in the review of {review.incident.number} {review.title}.",
        "reminder": from_review,
        "overdue": from_review,
        "escalated": f"{from_review} You answer for it.",
    }
    tense = "is" if what in {"assigned", "reminder"} else "was"
    return Word(
        user=user,
        once=f"item:{item.pk}:{item.run}:{what}",
        subject=Subject(ITEM_SUBJECT, str(item.pk)),
        title=_ITEM_TITLES[what].format(item=item.title),
        body=f"{lines[what]}\nIt {tense} due {instant(item.due_at)}, priority {item.priority}.",
        hidden=_ITEM_HIDDEN[what],
        guard=Guard(ITEM_GUARD, str(item.pk), item.run) if what in _VOID_WHEN_MOVED else None,
    )


def tell_of_item(item: ActionItem, what: str, *, actor: Actor) -> None:
    """Tell an item's owner, where there is one and it was not they who did it."""
    if item.owner is not None and item.owner_id != actor.user_id:
        tell([item_word(item, item.owner, what, by=actor.name)])
