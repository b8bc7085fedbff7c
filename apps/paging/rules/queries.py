"""Reads: whose rules somebody may see, what is wrong with them, and which pages they would make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from apps.messaging.models import Connection
from apps.paging.models import NotificationPreference
from apps.paging.policy import Escalation, escalation
from apps.paging.rules.choosing import Address, Choice, choose
from apps.paging.rules.document import NOTHING_SAID, URGENCIES, wishes_of
from apps.paging.rules.linting import Facts, Finding, Point, lint
from apps.people.models import ContactPoint, User
from apps.people.queries import may_see_addresses
from apps.policies.models import PolicyPack

_SECONDS = 60
Reader = User | AnonymousUser | None


def visible_people(user: User | AnonymousUser) -> QuerySet[User]:
    """Whose rules `user` may see: their own, or everybody's with `paging.view_notificationpreference`."""
    people = User.objects.filter(kind=User.Kind.PERSON).select_related("notification_preference")
    everybody = user.is_active and user.has_perm("paging.view_notificationpreference")
    return people if everybody else people.filter(pk=user.pk or 0)


def findings_of(user_ids: Collection[int], *, reader: Reader = None) -> dict[int, list[Finding]]:
    """What is wrong with the rules of these people; four queries for any number of them.

    Addresses are named as far as `reader` may see them; without one, for the portal itself, all are.
    """
    return {pk: lint(facts) for pk, facts in facts_of(user_ids, reader=reader).items()}


def facts_of(user_ids: Collection[int], *, reader: Reader = None) -> dict[int, Facts]:
    """All that the linter needs of these people."""
    wishes = {row.user_id: wishes_of(row) for row in NotificationPreference.objects.filter(user_id__in=list(user_ids))}
    points: dict[int, list[Point]] = defaultdict(list)
    for row in ContactPoint.objects.filter(user_id__in=list(user_ids)).order_by("position", "id"):
        shown = reader is None or may_see_addresses(reader, row.user_id)
        name = row.label or row.address if shown else row.get_kind_display()
        points[row.user_id].append(Point(row.pk, row.kind, row.state, row.broken_at is not None, name))
    active = Connection.objects.filter(state=Connection.State.ACTIVE).values_list("kind", flat=True)
    connected, longest = frozenset(active), longest_path_minutes()
    return {pk: Facts(wishes.get(pk, NOTHING_SAID), tuple(points.get(pk, ())), connected, longest) for pk in user_ids}


def longest_path_minutes() -> int | None:
    """How long after its start the longest path of an active pack still pages; None without a pack. One query."""
    active = PolicyPack.objects.filter(active_version__isnull=False).values_list("active_version_id", flat=True)
    longest = [_length(escalation(pk)) for pk in active]
    return max(longest) // _SECONDS if longest else None


def _length(path: Escalation) -> int:
    after = [level.after_seconds for level in path.path if level.after_seconds is not None]
    return max(after, default=0) + (path.repeat.times + 1) * path.repeat.every_seconds


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of what happens when somebody is paged: after so many minutes, this address.

    The address is empty for a reader who may not see it.
    """

    after_minutes: int
    channel: str
    contact_point: int | None
    address: str
    state: str
    is_broken: bool


def plan_for(user: User, *, reader: User | AnonymousUser) -> dict[str, list[Planned]]:
    """By urgency, which addresses a page without limits of a level goes to and when; the inbox comes besides."""
    wishes = wishes_of(getattr(user, "notification_preference", None))
    rows = ContactPoint.objects.filter(user=user).exclude(state=ContactPoint.State.DISABLED)
    points = {row.pk: row for row in rows.order_by("position", "id")}
    addresses = [Address(row.kind, row.pk) for row in points.values()]
    shown = may_see_addresses(reader, user.pk)
    return {urgency: _planned(choose(wishes, urgency, addresses), points, shown=shown) for urgency in URGENCIES}


def _planned(choices: Sequence[Choice], points: dict[int, ContactPoint], *, shown: bool) -> list[Planned]:
    found: list[Planned] = []
    for choice in choices:
        pk = choice.address.contact_point or 0
        row = points[pk]
        minutes = int(choice.after.total_seconds()) // _SECONDS
        name = row.label or row.address if shown else ""
        found.append(Planned(minutes, row.kind, pk, name, row.state, row.broken_at is not None))
    return found


def warnings_about(user_ids: Collection[int]) -> dict[int, list[str]]:
    """Sentences for the pages of rotations: errors of the rules of these people that no contact point explains.

    Whoever has no verified contact point is told of there already.
    """
    told = {"only_inbox", "no_working_address"}
    return {
        pk: [each.text for each in found if each.tone == "error" and each.code not in told]
        for pk, found in findings_of(user_ids).items()
    }
