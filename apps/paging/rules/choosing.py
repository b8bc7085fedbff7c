"""Which addresses a page goes to, and when: a pure function of wishes, addresses and the level's channels.

A level's channels limit the rules; they are never defeated into silence: where no rule is left that reaches an
address, the default holds, which is every usable address on the level's channels at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.messaging.models import Message
from apps.paging.models import NotificationPreference
from apps.paging.rules.document import INBOX, LOW, Rule, Wishes
from apps.paging.rules.quiet import end_of_quiet

# One entry for each incident, or a dedup key of its own: their receivers bundle by themselves, or make no sound.
UNBUNDLED = frozenset({Message.Channel.INBOX.value, Message.Channel.WEBHOOK.value, Message.Channel.PAGERDUTY.value})


@dataclass(frozen=True, slots=True)
class Address:
    """A way to reach somebody. No contact point is the inbox."""

    channel: str
    contact_point: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An address, and how long after the page it is called."""

    address: Address
    after: timedelta = timedelta(0)


def choose(wishes: Wishes, urgency: str, addresses: Sequence[Address], channels: Collection[str] = ()) -> list[Choice]:
    """The addresses of a page in their order, each once, the soonest rule first. The inbox is not among them.

    No channels means that the level allows all.
    """
    outside = [each for each in addresses if each.channel != INBOX and (not channels or each.channel in channels)]
    rules = wishes.rules(urgency)
    if not rules:
        return [Choice(each) for each in outside]
    found: dict[Address, Choice] = {}
    for rule in sorted(rules, key=lambda rule: rule.after_minutes):
        for each in outside:
            if matches(rule, each) and each not in found:
                found[each] = Choice(each, timedelta(minutes=rule.after_minutes))
    if found or (urgency == LOW and any(rule.channel == INBOX for rule in rules)):
        return list(found.values())
    return [Choice(each) for each in outside]


def matches(rule: Rule, address: Address) -> bool:
    """Whether a rule calls this address."""
    if rule.channel:
        return rule.channel == address.channel
    return rule.contact_point == address.contact_point


def released_at(wishes: Wishes, urgency: str, zone: str, at: datetime) -> datetime | None:
    """When something of this urgency may be sent: `at`, or when quiet hours end. None is the inbox only.

    High urgency is never held back.
    """
    if urgency != LOW:
        return at
    free = end_of_quiet(wishes.quiet, zone, at)
    if free is None or (free > at and wishes.when_quiet == NotificationPreference.WhenQuiet.INBOX):
        return None
    return free
