"""The shape of a person's rules: what may be written, and what is read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any

from apps.foundation.errors import Invalid
from apps.messaging.models import Message
from apps.paging.models import NotificationPreference, PageBundle
from apps.people.models import ContactPoint

HIGH, LOW = PageBundle.Urgency.HIGH.value, PageBundle.Urgency.LOW.value
URGENCIES = (HIGH, LOW)
INBOX = Message.Channel.INBOX.value
CHANNELS = (INBOX, *ContactPoint.Kind.values)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_DELAY_MINUTES = 120
MOST_RULES, MOST_QUIET = 20, 14
LEAST_BUNDLE_SECONDS, MOST_BUNDLE_SECONDS = 10, 300


@dataclass(frozen=True, slots=True)
class Rule:
    """After so many minutes, call one contact point, or every usable address of a channel."""

    after_minutes: int
    contact_point: int | None = None
    channel: str = ""

    def as_json(self) -> dict[str, Any]:
        target = {"channel": self.channel} if self.channel else {"contact_point": self.contact_point}
        return {"after_minutes": self.after_minutes, **target}


@dataclass(frozen=True, slots=True)
class QuietSpan:
    """From `starts` on these weekdays until `ends`, which is on the next day unless it is later than `starts`."""

    days: tuple[str, ...]
    starts: time
    ends: time

    def as_json(self) -> dict[str, Any]:
        return {"days": list(self.days), "from": f"{self.starts:%H:%M}", "to": f"{self.ends:%H:%M}"}


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything that a person wishes. The empty one is that of somebody who said nothing."""

    high: tuple[Rule, ...] = ()
    low: tuple[Rule, ...] = ()
    quiet: tuple[QuietSpan, ...] = ()
    when_quiet: str = NotificationPreference.WhenQuiet.WAIT.value
    bundle_seconds: int | None = None

    def rules(self, urgency: str) -> tuple[Rule, ...]:
        return self.low if urgency == LOW else self.high


NOTHING_SAID = Wishes()


def wishes_of(row: NotificationPreference | None) -> Wishes:
    """What is stored, as it is evaluated."""
    if row is None:
        return NOTHING_SAID
    return Wishes(
        high=tuple(_read_rule(item) for item in row.high),
        low=tuple(_read_rule(item) for item in row.low),
        quiet=tuple(_read_span(item) for item in row.quiet),
        when_quiet=row.when_quiet,
        bundle_seconds=row.bundle_seconds,
    )


def _read_rule(item: Mapping[str, Any]) -> Rule:
    return Rule(item["after_minutes"], item.get("contact_point"), item.get("channel") or "")


def _read_span(item: Mapping[str, Any]) -> QuietSpan:
    return QuietSpan(tuple(item["days"]), time.fromisoformat(item["from"]), time.fromisoformat(item["to"]))


def checked_rules(given: Sequence[Any], urgency: str, points: Iterable[int], known: Iterable[int] = ()) -> list[Rule]:
    """The rules of an urgency, by their time, as they may be stored. `points` are the person's contact points.

    `known` are contact points that the stored rules name already: one that is gone since may stay, the linter tells
    of it. Raises Invalid with the number of the rule and what to do.
    """
    if len(given) > MOST_RULES:
        raise _wrong(urgency, f"At most {MOST_RULES} rules for each urgency.")
    allowed = {*points, *known}
    found = [_checked_rule(item, number, urgency, allowed) for number, item in enumerate(given, start=1)]
    return sorted(found, key=lambda rule: rule.after_minutes)


def _checked_rule(item: Any, number: int, urgency: str, points: set[int]) -> Rule:
    if not isinstance(item, Mapping):
        raise _wrong(urgency, f"Rule {number} is no object with after_minutes and contact_point or channel.")
    unknown = sorted(set(item) - {"after_minutes", "contact_point", "channel"})
    if unknown:
        raise _wrong(urgency, f"Rule {number}: unknown {', '.join(unknown)}.")
    after, point, channel = item.get("after_minutes", 0), item.get("contact_point"), item.get("channel") or ""
    if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after <= LONGEST_DELAY_MINUTES:
        raise _wrong(urgency, f"Rule {number}: after_minutes is a whole number from 0 to {LONGEST_DELAY_MINUTES}.")
    if (point is None) == (not channel):
        raise _wrong(urgency, f"Rule {number} names either a contact_point or a channel.")
    if channel and channel not in CHANNELS:
        raise _wrong(urgency, f"Rule {number}: unknown channel {channel!r}; known are {', '.join(CHANNELS)}.")
    if channel == INBOX and urgency == HIGH:
        raise _wrong(
            urgency, f"Rule {number}: high urgency must reach you outside of the portal; the inbox always has it."
        )
    if point is not None and (not isinstance(point, int) or point not in points):
        raise _wrong(urgency, f"Rule {number}: there is no such contact point of this person.")
    return Rule(after, point, channel)


def checked_quiet(given: Sequence[Any]) -> list[QuietSpan]:
    """Quiet hours as they may be stored. Raises Invalid with the number of the entry and what to do."""
    if len(given) > MOST_QUIET:
        raise _wrong("quiet", f"At most {MOST_QUIET} entries of quiet hours.")
    return [_checked_span(item, number) for number, item in enumerate(given, start=1)]


def _checked_span(item: Any, number: int) -> QuietSpan:
    if not isinstance(item, Mapping) or set(item) != {"days", "from", "to"}:
        raise _wrong("quiet", f"Quiet hours {number}: give days, from and to.")
    days = item["days"]
    if not isinstance(days, (list, tuple)) or not days or any(day not in WEEKDAYS for day in days):
        raise _wrong("quiet", f"Quiet hours {number}: days are one or more of {', '.join(WEEKDAYS)}.")
    return QuietSpan(
        tuple(day for day in WEEKDAYS if day in days),
        _time_of_day(item["from"], number),
        _time_of_day(item["to"], number),
    )


def _time_of_day(value: Any, number: int) -> time:
    try:
        found = time.fromisoformat(value)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is not None or found.second or found.microsecond:
        raise _wrong("quiet", f'Quiet hours {number}: {value!r} is no time of day such as "22:00".')
    return found


def checked_bundle(seconds: Any) -> int | None:
    """How long pages are gathered; None for the portal's own setting. Raises Invalid."""
    if seconds is None:
        return None
    whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not whole or not LEAST_BUNDLE_SECONDS <= seconds <= MOST_BUNDLE_SECONDS:
        text = f"Give whole seconds from {LEAST_BUNDLE_SECONDS} to {MOST_BUNDLE_SECONDS}, or nothing for the default."
        raise _wrong("bundle_seconds", text)
    return int(seconds)


def _wrong(field: str, text: str) -> Invalid:
    return Invalid(text, fields={field: [text]})
