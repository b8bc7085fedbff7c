"""Shifts as an iCalendar document (RFC 5545) that a program may read again and again without doubling anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from icalendar import Calendar, Event

from apps.oncall.models import CalendarFeed
from apps.oncall.queries.feeds import FeedShift
from apps.people.models import User

REFRESH = timedelta(minutes=30)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def calendar_text(feed: CalendarFeed, found: Sequence[FeedShift]) -> bytes:
    """The whole document. The same shifts give the same bytes, whoever asks and when. One query for names."""
    wanted = {item.shift.user_id for item in found} | {item.shift.replaces for item in found if item.shift.replaces}
    names = {user.pk: user.name for user in User.objects.filter(pk__in=wanted)}
    own = feed.rotation_id is None and feed.team_id is None
    title = f"On call: {feed.owner.name}" if own else f"On call: {feed.rotation or feed.team}"
    calendar = Calendar()
    calendar.add("prodid", "-//Incident Portal//On call//EN")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("name", title)
    calendar.add("x-wr-calname", title)
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT30M")
    for item in found:
        calendar.add_component(_event(item, names, own=own))
    text: bytes = calendar.to_ical()
    return text


def _event(item: FeedShift, names: dict[int, str], *, own: bool) -> Event:
    shift, rotation = item.shift, item.rotation
    changed = item.changed_at.astimezone(UTC).replace(microsecond=0)
    path = f"{reverse('admin:oncall_rotation_calendar')}?rotation={rotation.pk}&date={shift.starts_at:%Y-%m-%d}"
    event = Event()
    event.add("uid", _uid(item))
    event.add("dtstamp", changed)
    event.add("last-modified", changed)
    # It only grows, and fits 31 bits until 2088.
    event.add("sequence", max(int((changed - _EPOCH).total_seconds()), 0))
    event.add("dtstart", shift.starts_at.astimezone(UTC))
    event.add("dtend", shift.ends_at.astimezone(UTC))
    who = names.get(shift.user_id, "somebody")
    event.add("summary", f"On call: {rotation.name}" if own else f"{who}: {rotation.name}")
    event.add("description", _why(item, who, names))
    event.add("url", f"{settings.PUBLIC_URL}{path}")
    event.add("categories", ["on call"])
    event.add("status", "CONFIRMED")
    event.add("transp", "TRANSPARENT")  # being on call is no meeting
    return event


def _uid(item: FeedShift) -> str:
    """The same for a shift while it has its person, its cause and its beginning."""
    shift = item.shift
    cause = (
        f"c{shift.cover_id}"
        if shift.cover_id
        else f"b{shift.coverage_id}"
        if shift.coverage_id
        else f"l{shift.layer_id}"
    )
    anchor = item.anchor.astimezone(UTC)
    host = urlsplit(settings.PUBLIC_URL).hostname or "portal"
    return f"oncall-{item.rotation.pk}-{shift.user_id}-{cause}-{anchor:%Y%m%dT%H%M%SZ}@{host}"


def _why(item: FeedShift, who: str, names: dict[int, str]) -> str:
    shift = item.shift
    lines = [f"{who} is on call in {item.rotation.name} ({item.rotation.team.name})."]
    if shift.cover_id is not None:
        instead = names.get(shift.replaces or 0)
        lines.append(f"A cover for {instead}." if instead else "A cover.")
    elif shift.coverage_id is not None:
        lines.append("Besides whoever has the duty.")
    elif shift.layer:
        lines.append(f"Layer: {shift.layer}.")
    if shift.reason:
        lines.append(shift.reason)
    return "\n".join(lines)
