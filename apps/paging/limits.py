"""How many messages a person gets on one channel in an hour. What is over it is told together, when there is room.

The first page of an incident that is as bad as anything open is never held back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings

from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.paging.models import Page
from apps.paging.rules.urgency import Standing, standing_of
from apps.paging.texts import BUNDLE_GUARD, PAGE_GUARD, RUN_GUARD, Call, Haste

_HOUR = timedelta(hours=1)
_LOOK_BACK = timedelta(days=1)
_MOST_READ = 2000
_NOT_SENT = (Message.State.VOID, Message.State.FAILED)
About = tuple[int, int | None, int]


@dataclass(slots=True)
class Limits:
    """What was sent to some people in the last hour on limited channels, and their pages of the last day."""

    at: datetime | None = None
    sent: dict[tuple[int, str], list[datetime]] = field(default_factory=dict)
    pages: dict[About, int] = field(default_factory=dict)
    worst: dict[int, int] = field(default_factory=dict)

    @classmethod
    def read(cls, calls: Sequence[Call], ways: Mapping[int, Sequence[NewMessage]], at: datetime) -> Limits:
        """One query where an address of a limited channel is among them; two more where a limit is reached."""
        limits = settings.PAGE_LIMITS_PER_HOUR
        asked = [pk for pk, rows in ways.items() if any(way.channel in limits for way in rows)]
        if not asked:
            return cls()
        sent: dict[tuple[int, str], list[datetime]] = defaultdict(list)
        rows = (
            Message.objects.filter(
                recipient_id__in=asked,
                channel__in=list(limits),
                guard_kind__in=[RUN_GUARD, PAGE_GUARD, BUNDLE_GUARD],
                planned_at__gt=at - _HOUR,
                planned_at__lte=at,
            )
            .exclude(state__in=_NOT_SENT)
            .order_by("-planned_at")
            .values_list("recipient_id", "channel", "planned_at")
        )
        for user_id, channel, planned_at in rows[:_MOST_READ]:
            if planned_at is not None:
                sent[user_id, channel].append(planned_at)
        found = cls(at, dict(sent))
        # A batch may reach a limit by itself.
        room = min(
            (
                limits[way.channel] - len(sent.get((pk, way.channel), ()))
                for pk, rows_ in ways.items()
                for way in rows_
                if way.channel in limits
            ),
            default=1,
        )
        if room < len(calls):
            found._read_pages(asked, at)
        return found

    def _read_pages(self, people: Collection[int], at: datetime) -> None:
        recent = Page.objects.filter(user_id__in=people, created_at__gt=at - _LOOK_BACK).select_related("escalation")
        for page in recent.order_by("pk"):
            self.pages.setdefault((page.user_id, page.escalation_id, page.run), page.pk)
            run = page.escalation
            if page.state == Page.State.OPEN and run is not None and run.run == page.run:
                rank = standing_of(run.policy_version_id, run.severity).rank
                self.worst[page.user_id] = min(rank, self.worst.get(page.user_id, rank))

    def room_at(self, call: Call, standing: Standing, channel: str, due_at: datetime) -> datetime | None:
        """When there is room on a channel for a page that is over its limit; None where it may go as it is due.

        Counts the page. What a person made, and the first page of an incident as bad as anything open, always may.
        """
        limit = settings.PAGE_LIMITS_PER_HOUR.get(channel)
        page = call.page
        by_hand = page.escalation_id is None or call.haste is Haste.BY_HAND
        if limit is None or self.at is None or due_at > self.at + _HOUR:
            return None
        sent = self.sent.setdefault((page.user_id, channel), [])
        if len(sent) < limit or by_hand or self._is_first_of_the_worst(page, standing):
            if due_at == self.at:
                sent.insert(0, self.at)
            return None
        room = sorted(sent, reverse=True)[limit - 1] + _HOUR
        return room if room > due_at else None

    def _is_first_of_the_worst(self, page: Page, standing: Standing) -> bool:
        # Of its present run: one that got worse, or opened again, has not been told yet.
        about = (page.user_id, page.escalation_id, page.run)
        first = self.pages.get(about, page.pk) == page.pk
        return first and standing.rank <= self.worst.get(page.user_id, standing.rank)
