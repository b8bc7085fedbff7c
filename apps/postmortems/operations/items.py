"""Action items: what was promised, by whom, until when, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.operations import operation
from apps.incidents.queries import subject_of
from apps.people.queries import user_of
from apps.postmortems.events import ItemAdded, ItemFinished, item_facts
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.operations import checking, locking
from apps.postmortems.permissions import require_follow_item, require_plan_item, require_write
from apps.postmortems.policy import rules
from apps.postmortems.scheduling import schedule_item
from apps.postmortems.texts import tell_of_item

_CHASED_BY = ("owner", "team", "due_at")
"""What decides when whom the portal reminds: changing it starts the reminders anew."""


def priorities(review: Review) -> list[str]:
    """The priorities that its pack knows, the most urgent first."""
    found = rules(review.policy_version_id)
    return list(found.priorities) if found else []


@operation
def add_item(
    review_id: int,
    title: str,
    *,
    owner_id: int | None,
    priority: str,
    due_at: datetime,
    description: str = "",
    team_id: int | None = None,
    link: str = "",
    actor: Actor,
) -> ActionItem:
    """Promise something in a review, until it is closed. Each call adds one. The owner is told, and later reminded.

    For holders of `write_review` and the review's owner. The item's owner must see the incident; an item has an owner,
    a team, or both. Raises Conflict (`review_closed`); Invalid for a priority that the pack lacks and for a due date
    that has passed.
    """
    review = locking.review(review_id)
    require_write(actor, review)
    if review.state == Review.State.CLOSED:
        raise Conflict("This review is closed: reopen it to promise more.", code="review_closed")
    item = ActionItem(review=review, created_by=user_of(actor), created_at=now())
    given = {"title": title, "description": description, "owner_id": owner_id, "team_id": team_id}
    _fill(item, {**given, "priority": priority, "due_at": due_at, "link": link})
    item.save()
    _chase(item)
    publish(ItemAdded(**item_facts(item)), subject=subject_of(review.incident_id), actor=actor)
    if item.owner_id != actor.user_id:
        tell_of_item(item, "assigned", actor=actor)
    return item


@operation
def edit_item(item_id: int, *, expected_version: int | None = None, actor: Actor, **changes: Any) -> ActionItem:
    """Change `title`, `description`, `owner_id`, `team_id`, `priority`, `due_at` or `link` of an open item; what is
    not named stays, and the same values again change nothing. Also after its review was closed.

    For holders of `write_review` and `review_review`, the review's owner, and leads of the item's team. With another
    owner, team or due date the reminders start anew, and a new owner is told. Raises Conflict (`item_finished`) and
    Invalid.
    """
    item = locking.item(item_id)
    require_plan_item(actor, item)
    checking.version(item, expected_version)
    _still_open(item, "edit it")
    before = {name: getattr(item, name) for name in _fields()}
    due_before = item.due_at
    if changes.get("due_at") == due_before:
        changes.pop("due_at")
    _fill(item, changes)
    changed = [name for name in _fields() if getattr(item, name) != before[name]]
    if not changed:
        return item
    if set(changed) & set(_CHASED_BY):
        item.run += 1
        item.overdue_told_at = item.escalated_at = None
        _chase(item)
    locking.save(item, *changed, "run", "overdue_told_at", "escalated_at", actor=actor)
    if "owner" in changed and item.owner_id != actor.user_id:
        tell_of_item(item, "assigned", actor=actor)
    return item


@operation
def start_item(item_id: int, *, expected_version: int | None = None, actor: Actor) -> ActionItem:
    """Say that somebody works on it. A repeat changes nothing. Its owner may, and whoever may edit it."""
    item = locking.item(item_id)
    require_follow_item(actor, item)
    checking.version(item, expected_version)
    _still_open(item, "start it")
    if item.state == ActionItem.State.OPEN:
        item.state = ActionItem.State.IN_PROGRESS
        locking.save(item, "state", actor=actor)
    return item


@operation
def finish_item(item_id: int, *, outcome: str, expected_version: int | None = None, actor: Actor) -> ActionItem:
    """Say that it is done, and what was done; nobody is reminded of it any more. A done one stays as it is.

    Its owner may, and whoever may edit it. Raises Conflict for a dropped one.
    """
    item = locking.item(item_id)
    require_follow_item(actor, item)
    checking.version(item, expected_version)
    return _end(item, ActionItem.State.DONE, outcome, "outcome", actor)


@operation
def drop_item(item_id: int, *, reason: str, expected_version: int | None = None, actor: Actor) -> ActionItem:
    """Say that it will not be done, and why. A dropped one stays as it is. For whoever may edit it."""
    item = locking.item(item_id)
    require_plan_item(actor, item)
    checking.version(item, expected_version)
    return _end(item, ActionItem.State.DROPPED, reason, "reason", actor)


@operation
def reopen_item(
    item_id: int, *, reason: str = "", due_at: datetime | None = None, expected_version: int | None = None, actor: Actor
) -> ActionItem:
    """Take a finished or dropped item up again; reminders start anew. Give a new `due_at` where the old one has passed.

    For whoever may edit it. An open one stays as it is.
    """
    item = locking.item(item_id)
    require_plan_item(actor, item)
    checking.version(item, expected_version)
    if item.is_open:
        return item
    checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
    item.due_at = checking.future(due_at if due_at is not None else item.due_at)
    item.state, item.finished_at, item.outcome = ActionItem.State.OPEN, None, ""
    item.overdue_told_at = item.escalated_at = None
    item.run += 1
    changed = ("state", "due_at", "finished_at", "outcome", "overdue_told_at", "escalated_at", "run")
    locking.save(item, *changed, actor=actor)
    _chase(item)
    return item


def _end(item: ActionItem, state: ActionItem.State, words: str, name: str, actor: Actor) -> ActionItem:
    if item.state == state:
        return item
    _still_open(item, "change what came of it")
    item.outcome = checked_text(words, name, most=checking.MAX_TEXT)
    item.state, item.finished_at = state, now()
    item.run += 1
    locking.save(item, "state", "finished_at", "outcome", "run", actor=actor)
    event = ItemFinished(**item_facts(item), state=item.state, outcome=item.outcome[:300])
    publish(event, subject=subject_of(item.review.incident_id), actor=actor)
    return item


def _fields() -> tuple[str, ...]:
    return ("title", "description", "owner", "team", "priority", "due_at", "link")


def _fill(item: ActionItem, given: dict[str, Any]) -> None:
    """Checked values into the row; unknown names are a programming error."""
    for name, value in given.items():
        match name:
            case "title":
                item.title = checked_text(value, name, most=checking.MAX_TITLE)
            case "description":
                item.description = checked_text(value, name, most=checking.MAX_TEXT, required=False)
            case "owner_id":
                item.owner = checking.person(value, item.review.incident, name)
            case "team_id":
                item.team = checking.team(value)
            case "priority":
                item.priority = checking.choice(value, name, priorities(item.review))
            case "due_at":
                item.due_at = checking.future(value)
            case "link":
                item.link = checking.link(value)
            case _:
                raise TypeError(f"An action item has no {name!r}.")
    if item.owner_id is None and item.team_id is None:
        raise Invalid("An action item needs an owner or a team.", fields={"owner_id": ["Give an owner or a team."]})


def _still_open(item: ActionItem, doing: str) -> None:
    if not item.is_open:
        raise Conflict(
            f"This action item is {item.get_state_display().lower()}: reopen it to {doing}.", code="item_finished"
        )


def _chase(item: ActionItem) -> None:
    found = rules(item.review.policy_version_id)
    if found is not None:
        schedule_item(item, found)
