"""What happens to reviews and action items. The subject of each is the incident, `Subject("incident", "<id>")`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from apps.engine.events import DomainEvent
from apps.postmortems.models import ActionItem


@dataclass(frozen=True)
class _OfReview(DomainEvent):
    """What every event of a review tells: which one, and how it is called."""

    review_id: int
    title: str


@dataclass(frozen=True)
class Opened(_OfReview):
    """`due_at` as an ISO 8601 instant; `required_because` is empty for a voluntary one."""

    kind: ClassVar[str] = "postmortems.opened"
    owner_id: int | None
    owner: str
    due_at: str
    required_because: str


@dataclass(frozen=True)
class Submitted(_OfReview):
    kind: ClassVar[str] = "postmortems.submitted"
    reviewer_id: int | None
    reviewer: str


@dataclass(frozen=True)
class SentBack(_OfReview):
    kind: ClassVar[str] = "postmortems.sent_back"
    reason: str


@dataclass(frozen=True)
class Reviewed(_OfReview):
    kind: ClassVar[str] = "postmortems.reviewed"


@dataclass(frozen=True)
class Closed(_OfReview):
    """`open_items` counts what is still to do; it is followed on."""

    kind: ClassVar[str] = "postmortems.closed"
    open_items: int


@dataclass(frozen=True)
class Reopened(_OfReview):
    """It is a draft again, and its computed parts are no longer frozen."""

    kind: ClassVar[str] = "postmortems.reopened"
    reason: str


@dataclass(frozen=True)
class Overdue(_OfReview):
    """The review was not submitted by its due date; `user_ids` were told, `escalated` says whether as managers."""

    kind: ClassVar[str] = "postmortems.overdue"
    due_at: str
    escalated: bool
    user_ids: list[int]


@dataclass(frozen=True)
class _OfItem(DomainEvent):
    """What every event of an action item tells."""

    review_id: int
    item_id: int
    title: str
    owner_id: int | None
    owner: str
    priority: str
    due_at: str


@dataclass(frozen=True)
class ItemAdded(_OfItem):
    kind: ClassVar[str] = "postmortems.item_added"


@dataclass(frozen=True)
class ItemFinished(_OfItem):
    """`state` is done or dropped; `outcome` says what was done, or why it was dropped."""

    kind: ClassVar[str] = "postmortems.item_finished"
    state: str
    outcome: str


@dataclass(frozen=True)
class ItemOverdue(_OfItem):
    """Its due date passed while it was open; `user_ids` were told."""

    kind: ClassVar[str] = "postmortems.item_overdue"
    user_ids: list[int]


@dataclass(frozen=True)
class ItemEscalated(_OfItem):
    """It stayed overdue, so these people, who answer for its owner, were told; nobody when there is nobody."""

    kind: ClassVar[str] = "postmortems.item_escalated"
    user_ids: list[int]
    names: list[str]


def item_facts(item: ActionItem) -> dict[str, Any]:
    """What all events of action items tell; load the item with its owner and team. A team's item names the team."""
    return {
        "review_id": item.review_id,
        "item_id": item.pk,
        "title": item.title,
        "owner_id": item.owner_id,
        "owner": item.owner.name if item.owner else item.team.name if item.team else "",
        "priority": item.priority,
        "due_at": item.due_at.isoformat(),
    }
