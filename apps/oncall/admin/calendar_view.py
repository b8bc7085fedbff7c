"""What the address of the calendar asks for: which rotations, which days, in whose zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse

from apps.catalog.models import Team
from apps.foundation.clock import now
from apps.oncall.models import Rotation
from apps.oncall.operations.checking import FIRST_YEAR, LAST_YEAR
from apps.oncall.queries import visible_rotations
from apps.oncall.queries.feeds import rotations_of
from apps.oncall.schedule import wall_clock
from apps.people.models import User

MOST_ROTATIONS = 40
LARGEST_ID_DIGITS = 18
_WEEK, _DAY = timedelta(days=7), timedelta(days=1)
_DECEMBER = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the calendar; `complaints` say what of it made no sense."""

    span: Literal["week", "month"]
    day: date
    zone: ZoneInfo
    team: Team | None
    rotation: Rotation | None
    mine: bool
    listed: bool
    complaints: tuple[str, ...]

    def url(self, **changed: str) -> str:
        """The address of this question with some parts changed; an empty one is left out."""
        parts = {
            "show": "mine" if self.mine else "",
            "team": str(self.team.pk) if self.team else "",
            "rotation": str(self.rotation.pk) if self.rotation else "",
            "as": "list" if self.listed else "",
            "view": "" if self.span == "week" else self.span,
            "date": self.day.isoformat(),
            "zone": self.zone.key,
        }
        query = urlencode({name: value for name, value in {**parts, **changed}.items() if value})
        return f"{reverse('admin:oncall_rotation_calendar')}{'?' if query else ''}{query}"

    @property
    def first(self) -> date:
        """The Monday on which what is shown begins."""
        day = self.day if self.span == "week" else self.day.replace(day=1)
        return day - timedelta(days=day.weekday())

    @property
    def weeks(self) -> int:
        """How many weeks are shown."""
        if self.span == "week":
            return 1
        return ((_next_month(self.day) - _DAY) - self.first) // _WEEK + 1

    def midnight(self, day: date) -> datetime:
        """When a day begins on clocks in the zone."""
        return wall_clock(day, time(), self.zone.key)

    def moved(self, step: int) -> date:
        """The day to which "previous" (-1) and "next" (1) lead."""
        if self.span == "week":
            return self.day + step * _WEEK
        first = self.day.replace(day=1)
        return _next_month(first) if step > 0 else (first - _DAY).replace(day=1)

    def title(self) -> str:
        """The days in words."""
        if self.span == "month":
            return f"{self.day:%B %Y}"
        last = self.first + _WEEK - _DAY
        if self.first.year != last.year:
            return f"{self.first.day} {self.first:%B %Y} – {last.day} {last:%B %Y}"
        begins = f"{self.first.day}" if self.first.month == last.month else f"{self.first.day} {self.first:%B}"
        return f"{begins} – {last.day} {last:%B %Y}"


def _next_month(day: date) -> date:
    return date(day.year + day.month // _DECEMBER, day.month % _DECEMBER + 1, 1)


def asked(request: HttpRequest) -> Asked:
    """The question of a request. What makes no sense is answered as if it were left out, and said."""
    complaints: list[str] = []
    zone = _zone(request, complaints)
    rotation = _rotation(request, complaints)
    team = None if rotation else _team(request, complaints)
    return Asked(
        span="month" if request.GET.get("view") == "month" else "week",
        day=_day(request, zone, complaints),
        zone=zone,
        team=team,
        rotation=rotation,
        mine=request.GET.get("show") == "mine",
        listed=request.GET.get("as") == "list",
        complaints=tuple(complaints),
    )


def rotations_asked(question: Asked, user: User) -> QuerySet[Rotation]:
    """The rotations to show, as far as `user` may see them; one more than fit tells that there are more."""
    rows = visible_rotations(user)
    if question.rotation is not None:
        rows = rows.filter(pk=question.rotation.pk)
    elif question.team is not None:
        rows = rows.filter(team=question.team)
    if question.mine:
        rows = rotations_of(rows, [user.pk])
    return rows.order_by("team__name", "name", "pk")[: MOST_ROTATIONS + 1]


def _zone(request: HttpRequest, complaints: list[str]) -> ZoneInfo:
    own = getattr(request.user, "time_zone", "") or "UTC"
    for name in (request.GET.get("zone") or own, "UTC"):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            complaints.append(f"There is no time zone {name[:60]!r}; one is Europe/Berlin. Times are in UTC.")
    raise RuntimeError("UTC is a time zone.")


def _day(request: HttpRequest, zone: ZoneInfo, complaints: list[str]) -> date:
    given = request.GET.get("date")
    today = now().astimezone(zone).date()
    if not given:
        return today
    try:
        found = date.fromisoformat(given)
    except ValueError:
        complaints.append(f"{given[:40]!r} is no day; write it like {today.isoformat()}. This is today.")
        return today
    if not FIRST_YEAR < found.year < LAST_YEAR:
        complaints.append(f"The calendar goes from {FIRST_YEAR + 1} to {LAST_YEAR - 1}. This is today.")
        return today
    return found


def _rotation(request: HttpRequest, complaints: list[str]) -> Rotation | None:
    given = request.GET.get("rotation")
    if not given:
        return None
    found = visible_rotations(request.user).filter(pk=_id(given)).first()
    if found is None:
        complaints.append("There is no such rotation; these are all.")
    return found


def _team(request: HttpRequest, complaints: list[str]) -> Team | None:
    given = request.GET.get("team")
    if not given:
        return None
    found = Team.objects.filter(pk=_id(given), rotations__in=visible_rotations(request.user)).distinct().first()
    if found is None:
        complaints.append("There is no such team with a rotation; these are all.")
    return found


def _id(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LARGEST_ID_DIGITS else 0
