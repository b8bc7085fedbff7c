"""The form of somebody's rules: rows to fill in, and what was filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import QueryDict

from apps.foundation.errors import Invalid
from apps.paging.rules.document import CHANNELS, INBOX, MOST_QUIET, MOST_RULES, URGENCIES, WEEKDAYS, Wishes
from apps.people.models import ContactPoint

_SPARE = 2
_NAMES = dict(ContactPoint.Kind.choices) | {INBOX: "inbox only"}


def _point_name(row: ContactPoint) -> str:
    """Its kind and address; its kind and number for a reader from whom the address is kept."""
    name = row.label or row.address
    return f"{row.get_kind_display()}: {name}" if name else f"{row.get_kind_display()} {row.pk}"


def targets_of(points: Sequence[ContactPoint], wishes: Wishes) -> list[tuple[str, str]]:
    """What a rule may name: contact points and channels, and those that a rule names although they are gone."""
    found = [(f"point:{row.pk}", _point_name(row)) for row in points]
    found += [(f"channel:{channel}", f"every {_NAMES[channel]}") for channel in CHANNELS if channel != INBOX]
    found.append((f"channel:{INBOX}", "the inbox only (low urgency)"))
    there = {value for value, _ in found}
    gone = {f"point:{rule.contact_point}" for rule in (*wishes.high, *wishes.low) if rule.contact_point is not None}
    return [*found, *((value, "a contact point that was removed") for value in sorted(gone - there))]


def form_rows(urgency: str, wishes: Wishes, sent: QueryDict | None) -> list[dict[str, Any]]:
    """The rows of one urgency: as they were sent where that was refused, else as stored, and two to fill in."""
    if sent is not None:
        pairs = list(zip(sent.getlist(f"{urgency}_after"), sent.getlist(f"{urgency}_target"), strict=False))
    else:
        pairs = [
            (str(rule.after_minutes), f"channel:{rule.channel}" if rule.channel else f"point:{rule.contact_point}")
            for rule in wishes.rules(urgency)
        ]
        pairs += [("", "")] * _SPARE
    return [{"number": number, "after": after, "target": target} for number, (after, target) in enumerate(pairs, 1)]


def quiet_rows(wishes: Wishes, sent: QueryDict | None) -> list[dict[str, Any]]:
    """The rows of quiet hours, in the same way."""
    if sent is not None:
        numbers = sent.getlist("quiet")
        rows = [
            (sent.getlist(f"quiet_days_{n}"), sent.get(f"quiet_from_{n}", ""), sent.get(f"quiet_to_{n}", ""))
            for n in numbers
        ]
    else:
        rows = [(list(span.days), f"{span.starts:%H:%M}", f"{span.ends:%H:%M}") for span in wishes.quiet]
        rows.append(([], "", ""))
    return [
        {"number": number, "days": [(day, day in days) for day in WEEKDAYS], "from": begins, "to": ends}
        for number, (days, begins, ends) in enumerate(rows, 1)
    ]


def given_by(post: QueryDict) -> dict[str, Any]:
    """What was filled in, for `change_rules`; empty rows are left out. Raises Invalid for what is no number."""
    found: dict[str, Any] = {urgency: list(_rules(post, urgency)) for urgency in URGENCIES}
    found["quiet"] = [span for number in post.getlist("quiet")[: MOST_QUIET + 1] if (span := _span(post, number))]
    when = post.get("when_quiet", "")
    if when:
        found["when_quiet"] = when
    seconds = post.get("bundle_seconds", "").strip()
    found["bundle_seconds"] = _number(seconds, "bundle_seconds") if seconds else None
    return found


def _rules(post: QueryDict, urgency: str) -> Iterable[dict[str, Any]]:
    pairs = zip(post.getlist(f"{urgency}_after"), post.getlist(f"{urgency}_target"), strict=False)
    for after, target in list(pairs)[: MOST_RULES + 1 + _SPARE]:
        kind, _, name = target.partition(":")
        if not name:
            continue
        aim: Mapping[str, Any] = {"channel": name} if kind == "channel" else {"contact_point": _number(name, urgency)}
        yield {"after_minutes": _number(after.strip() or "0", urgency), **aim}


def _span(post: QueryDict, number: str) -> dict[str, Any] | None:
    days, begins, ends = (
        post.getlist(f"quiet_days_{number}"),
        post.get(f"quiet_from_{number}", ""),
        post.get(f"quiet_to_{number}", ""),
    )
    return {"days": days, "from": begins, "to": ends} if days or begins or ends else None


def _number(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004  # fits a bigint
        raise Invalid(f"{text!r} is no whole number.", fields={field: [f"{text!r} is no whole number."]})
    return int(text)
