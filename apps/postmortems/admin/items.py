"""Action items as pages show them: in the table of a review, and one alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.catalog.queries import led_team_ids
from apps.foundation.markdown import to_html
from apps.incidents.admin.showing import Moment, Tone, moment
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.postmortems.admin.showing import ITEM_TONES, Due, due_of
from apps.postmortems.models import ActionItem
from apps.postmortems.permissions import REVIEW, may_write


@dataclass(frozen=True, slots=True)
class ItemButton:
    verb: str
    label: str
    url: str
    asks: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    id: int
    url: str
    title: str
    owner: str
    is_mine: bool
    team: str
    priority: str
    due: Due
    state: str
    tone: Tone
    is_open: bool
    outcome: str
    description: SafeString | None
    link: str
    finished: Moment | None
    escalated: Moment | None
    buttons: tuple[ItemButton, ...]


_LABELS = {"edit": "Edit", "start": "Start", "finish": "Done", "drop": "Drop", "reopen": "Reopen"}
_AT_ONCE = {"start"}


def item_rows(
    items: Iterable[ActionItem], user: User | AnonymousUser, zone: ZoneInfo, at: datetime
) -> tuple[ItemRow, ...]:
    """Rows of items whose reviews, owners and teams are loaded, with the buttons that `user` may press.

    The rules are those of `permissions.may_plan_item` and `may_follow_item`, asked once for all rows.
    """
    if not isinstance(user, User):
        return ()
    leads, reviews = led_team_ids(user.pk), user_allowed(user, REVIEW)

    def verbs(item: ActionItem) -> list[str]:
        plans = reviews or may_write(user, item.review) or item.team_id in leads
        follows = plans or item.owner_id == user.pk
        if not item.is_open:
            return ["reopen"] if plans else []
        start = ["start"] if item.state == ActionItem.State.OPEN else []
        return ([*start, "finish"] if follows else []) + (["edit", "drop"] if plans else [])

    return tuple(_row(item, user, verbs(item), zone, at) for item in items)


def _row(item: ActionItem, user: User, verbs: Iterable[str], zone: ZoneInfo, at: datetime) -> ItemRow:
    return ItemRow(
        id=item.pk,
        url=reverse("admin:postmortems_actionitem_change", args=[item.pk]),
        title=item.title,
        owner=item.owner.name if item.owner else "",
        is_mine=item.owner_id == user.pk,
        team=item.team.name if item.team else "",
        priority=item.priority,
        due=due_of(item.due_at, zone, at, done=not item.is_open),
        state=item.get_state_display(),
        tone=ITEM_TONES[item.state],
        is_open=item.is_open,
        outcome=item.outcome,
        description=to_html(item.description) if item.description else None,
        link=item.link,
        finished=moment(item.finished_at, zone, at) if item.finished_at else None,
        escalated=moment(item.escalated_at, zone, at) if item.escalated_at else None,
        buttons=tuple(
            ItemButton(
                verb,
                _LABELS[verb],
                reverse("admin:postmortems_actionitem_act", args=[item.pk, verb]),
                asks=verb not in _AT_ONCE,
            )
            for verb in verbs
        ),
    )
