"""To which addresses a page goes, when, and in how many messages. The caller enqueues what comes out.

Rows of one person (the bundle window) are locked here, in ascending order, after the runs that the caller holds. So two
workers that page the same person at once open one window. Whoever locks more runs after this does so within
`told_together`, which puts this off to the end of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.conf import settings

from apps.foundation.clock import now
from apps.foundation.rows import write_back
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import messages_for_person
from apps.paging.limits import Limits
from apps.paging.models import BundledPage, NotificationPreference, PageBundle, PageWindow
from apps.paging.rules.choosing import UNBUNDLED, Address, choose, released_at
from apps.paging.rules.document import HIGH, NOTHING_SAID, Wishes, wishes_of
from apps.paging.rules.urgency import Standing, standing_of
from apps.paging.rules.windows import Window, admit
from apps.paging.texts import BUNDLE_GUARD, Call, Haste, bundle_message, page_message
from apps.people.zones import zone_of

_BY_HAND = Standing(HIGH, 0)
_Reason = PageBundle.Reason
Key = tuple[int, str, str, datetime]


def page_messages(calls: Sequence[Call], names: Mapping[int, str]) -> list[NewMessage]:
    """The messages of new pages, in the caller's transaction: to the inbox, and to addresses as their people wish.

    Without rules that is every usable address at once; a level may limit the channels; the inbox always gets it. A
    person's first page goes at once; what comes within the bundle window is told in one message at its end, except to
    channels that keep a thing for each incident. A constant number of queries.
    """
    return _Telling(calls, names).messages() if calls else []


@dataclass(slots=True)
class _Telling:
    calls: Sequence[Call]
    names: Mapping[int, str]
    at: datetime = field(default_factory=now)
    ways: dict[int, list[NewMessage]] = field(default_factory=dict)
    wishes: dict[int, tuple[Wishes, str]] = field(default_factory=dict)
    windows: dict[int, PageWindow] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)
    limits: Limits = field(default_factory=Limits)
    singles: list[NewMessage] = field(default_factory=list)
    bundled: dict[Key, list[tuple[Call, NewMessage]]] = field(default_factory=dict)

    def messages(self) -> list[NewMessage]:
        people = {call.page.user_id for call in self.calls}
        self._read(people)
        ranked = [(self._standing(call), call) for call in self.calls]
        # The worst of a batch is what goes at once.
        for standing, call in sorted(ranked, key=lambda item: item[0].rank):
            self._tell(call, standing)
        self._keep_windows()
        return [*self.singles, *self._bundle_messages()]

    # --- what is known ---

    def _read(self, people: Collection[int]) -> None:
        for way in messages_for_person(list(people), channels=None):
            if way.recipient_id is not None:
                self.ways.setdefault(way.recipient_id, []).append(way)
        rows = NotificationPreference.objects.filter(user_id__in=people).select_related("user")
        self.wishes = {row.user_id: (wishes_of(row), zone_of(row.user).key) for row in rows}
        crowded = {
            call.page.user_id
            for call in self.calls
            if call.page.escalation_id is not None
            and any(way.channel not in UNBUNDLED for way in self.ways.get(call.page.user_id, ()))
        }
        self.windows = lock_windows(crowded)
        if self.windows:
            # Whoever had the locks before may have taken a while, and opened the window that counts.
            self.at = now()
            self._close_unheard()
        self.limits = Limits.read(self.calls, self.ways, self.at) if self.windows else Limits()

    def _close_unheard(self) -> None:
        """A window whose message at its end had nothing left to tell opens no other. No query where none has ended."""
        ended = {row.user_id: row.until for row in self.windows.values() if row.gathered_rank is not None and row.until}
        ended = {user_id: until for user_id, until in ended.items() if until <= self.at}
        if not ended:
            return
        unheard = unheard_ends(ended)
        for user_id in unheard:
            _keep(self.windows[user_id], Window())

    def _standing(self, call: Call) -> Standing:
        run = call.page.escalation
        # What people decided on is as urgent as anything, also where the severity is of low urgency.
        if run is None or call.haste is not Haste.NONE:
            return _BY_HAND
        return standing_of(run.policy_version_id, call.severity)

    # --- one page ---

    def _tell(self, call: Call, standing: Standing) -> None:
        ways = self.ways.get(call.page.user_id, [])
        self.singles += [page_message(call, way, self.names) for way in ways if way.channel == Message.Channel.INBOX]
        wishes, zone = self.wishes.get(call.page.user_id, (NOTHING_SAID, "UTC"))
        released = released_at(wishes, standing.urgency, zone, self.at)
        if released is None:
            return
        by_address = {Address(way.channel, way.contact_point_id): way for way in ways}
        choices = choose(wishes, standing.urgency, list(by_address), call.channels)
        crowding = any(choice.address.channel not in UNBUNDLED for choice in choices)
        told = self._gathered_until(call, standing, wishes, released) if crowding else None
        for choice in choices:
            way = by_address[choice.address]
            gather = told if way.channel not in UNBUNDLED else None
            begin = gather[1] if gather else self.at
            due = released_at(wishes, standing.urgency, zone, begin + choice.after)
            if due is None:
                continue
            # Also what goes at once: its window is counted from this very instant.
            later = replace(way, due_at=due)
            room = self.limits.room_at(call, standing, way.channel, due)
            if room is not None:
                self._bundle(call, standing, _Reason.LIMIT, room, replace(way, due_at=room))
            elif due > begin + choice.after and way.channel not in UNBUNDLED:
                # Its rule's time lies in quiet hours: at their end with all else that waits for it.
                self._bundle(call, standing, _Reason.QUIET, due, later)
            elif gather is not None:
                self._bundle(call, standing, gather[0], gather[1], later)
            else:
                self.singles.append(page_message(call, later, self.names))

    def _gathered_until(
        self, call: Call, standing: Standing, wishes: Wishes, released: datetime
    ) -> tuple[PageBundle.Reason, datetime] | None:
        """Why this page is told with others and when; None where it goes at once. What a person made always does.

        What marked conditions call may come in a storm too, so it is gathered among its like.
        """
        row = self.windows.get(call.page.user_id)
        if row is None or call.page.escalation_id is None or call.haste is Haste.BY_HAND:
            return None
        if released > self.at:
            return _Reason.QUIET, released
        length = timedelta(seconds=wishes.bundle_seconds or settings.PAGE_BUNDLE_SECONDS)
        if not length:
            return None  # the portal is set to tell each page by itself
        subject = f"{call.page.subject_kind}:{call.page.subject_key}"
        verdict = admit(window_of(row), standing.rank, subject, self.at, length)
        _keep(row, verdict.window)
        self.moved.add(row.user_id)
        return (_Reason.STORM, verdict.gather_until) if verdict.gather_until is not None else None

    def _bundle(
        self, call: Call, standing: Standing, reason: PageBundle.Reason, due_at: datetime, way: NewMessage
    ) -> None:
        key = (call.page.user_id, standing.urgency, reason.value, due_at)
        self.bundled.setdefault(key, []).append((call, way))

    # --- what is written ---

    def _keep_windows(self) -> None:
        rows = [self.windows[user_id] for user_id in sorted(self.moved)]
        write_back(rows, ["until", "rank", "gathered_rank", "told"])

    def _bundle_messages(self) -> list[NewMessage]:
        if not self.bundled:
            return []
        bundles = bundles_at(self.bundled, self.at)
        drafts = self._drafts(bundles)
        keys = {key: {draft.dedupe_key for draft in found} for key, found in drafts.items()}
        gone = gone_before(set().union(*keys.values()))
        if gone:
            self._tell_now(key for key, found in keys.items() if found & gone)
            bundles = bundles_at(self.bundled, self.at)
            drafts = self._drafts(bundles)
        items = {
            (bundles[key].pk, call.page.pk): BundledPage(bundle=bundles[key], page=call.page)
            for key, told in self.bundled.items()
            for call, _ in told
        }
        BundledPage.objects.bulk_create(items.values(), ignore_conflicts=True, batch_size=300)
        return list({draft.dedupe_key: draft for found in drafts.values() for draft in found}.values())

    def _drafts(self, bundles: Mapping[Key, PageBundle]) -> dict[Key, list[NewMessage]]:
        """One for each address and time: in a storm hundreds of pages share it."""
        found = {}
        for key, told in self.bundled.items():
            ways = {(way.channel, way.address, way.contact_point_id, way.due_at): way for _, way in told}
            found[key] = [bundle_message(bundles[key], _due(way, bundles[key])) for way in ways.values()]
        return found

    def _tell_now(self, keys: Iterable[Key]) -> None:
        """Move what would have joined bundles whose message is gone into bundles of their own, which are due now."""
        at = now()
        for key in list(keys):
            user_id, urgency, reason, due_at = key
            for call, way in self.bundled.pop(key):
                waits = way.due_at is not None and way.due_at > due_at  # for the time of its rule
                later = way if waits else replace(way, due_at=at)
                self.bundled.setdefault((user_id, urgency, reason, at), []).append((call, later))


def _due(way: NewMessage, bundle: PageBundle) -> NewMessage:
    return way if way.due_at is not None else replace(way, due_at=bundle.due_at)


def gone_before(keys: Collection[str]) -> set[str]:
    """Which of these messages a page can't join any more, as somebody sends or has sent them. Two queries.

    The others stay locked until the caller commits, so whoever sends passes over them and then words them with all
    that was committed. Without this a page that is committed after its window's end would be told by nobody.
    """
    rows = Message.objects.filter(dedupe_key__in=keys)
    waiting = rows.filter(state=Message.State.QUEUED, attempts=0)
    # A row that is locked is being taken. Nobody is waited for here, so no two can wait for each other.
    held = set(waiting.select_for_update(skip_locked=True).order_by("pk").values_list("dedupe_key", flat=True))
    return set(rows.values_list("dedupe_key", flat=True)) - held


def unheard_ends(ends: Mapping[int, datetime]) -> set[int]:
    """Of people and the ends of their windows: who was told nothing there, as all messages are void. Two queries.

    What waits to be sent, or failed, counts as told: its attempts make a sound, or will.
    """
    rows = PageBundle.objects.filter(user_id__in=ends, reason=_Reason.STORM, due_at__in=set(ends.values()))
    bundles = {str(row.pk): row.user_id for row in rows if ends[row.user_id] == row.due_at}
    # By the person, of whose messages there is an index.
    messages = Message.objects.filter(recipient_id__in=ends, guard_kind=BUNDLE_GUARD, guard_key__in=bundles)
    messages = messages.exclude(state=Message.State.VOID)
    told = {bundles[key] for key in messages.values_list("guard_key", flat=True)}
    return set(bundles.values()) - told


def lock_windows(user_ids: Collection[int]) -> dict[int, PageWindow]:
    """The windows of these people, locked in ascending order. One query, at first three."""
    if not user_ids:
        return {}
    rows = PageWindow.objects.select_for_update().filter(user_id__in=user_ids).order_by("user_id")
    found = {row.user_id: row for row in rows}
    missing = sorted(set(user_ids) - set(found))
    if missing:
        PageWindow.objects.bulk_create([PageWindow(user_id=pk) for pk in missing], ignore_conflicts=True)
        found = {row.user_id: row for row in rows.all()}
    return found


def window_of(row: PageWindow) -> Window:
    """A stored window as it is evaluated."""
    return Window(row.until, row.rank, row.gathered_rank, tuple(row.told))


def _keep(row: PageWindow, window: Window) -> None:
    row.until, row.rank, row.gathered_rank, row.told = window.until, window.rank, window.gathered, list(window.told)


def bundles_at(keys: Collection[Key], at: datetime) -> dict[Key, PageBundle]:
    """The bundle of each (person, urgency, reason, instant), made where it is missing. One query.

    The upsert changes nothing of one that is there, and gives its id.
    """
    rows = {
        (user_id, urgency, reason, due_at): PageBundle(
            user_id=user_id, urgency=urgency, reason=reason, due_at=due_at, created_at=at
        )
        for user_id, urgency, reason, due_at in sorted(keys)
    }
    unique = ["user", "urgency", "reason", "due_at"]
    PageBundle.objects.bulk_create(
        list(rows.values()), update_conflicts=True, unique_fields=unique, update_fields=["urgency"], batch_size=100
    )
    return rows
