"""From shifts to bars and lines of text: where each begins in the week, who it is, and what is special about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

from django.urls import reverse

from apps.foundation.clock import now
from apps.oncall.admin.calendar_view import Asked
from apps.oncall.queries.calendar import CalendarPlan, RotationPlan
from apps.oncall.schedule import Shift

_DAY = timedelta(days=1)
_HUES = 24
_NARROW = 6.0  # percent of a week: under ten hours there is room for initials only
_SMALLEST_LINK = 3.4  # percent of a week: less is under the 24 pixels that a finger hits; the list has a link for all


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch on a line: `left` and `width` in percent of the week. `words` say all that it shows."""

    left: str
    width: str
    kind: str
    name: str
    short: str
    hue: int
    mark: str
    words: str
    url: str
    times: str = ""
    rotation: str = ""
    roles: str = ""

    @property
    def is_link(self) -> bool:
        """Whether it is large enough to be hit."""
        return bool(self.url) and float(self.width) >= _SMALLEST_LINK

    @property
    def is_wide(self) -> bool:
        """Whether there is room for more than initials."""
        return float(self.width) >= _NARROW


@dataclass(frozen=True, slots=True)
class Line:
    """One row of bars."""

    title: str
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Block:
    """A rotation in one week: the final line on top, who is on besides, then the layers."""

    title: str
    team: str
    roles: str
    url: str
    final: Line
    besides: list[Line]
    layers: list[Line]


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a week: its place among the columns, and what a phone lists under it."""

    title: str
    short: str
    iso: str
    is_today: bool
    is_outside: bool
    holiday: str
    left: str
    width: str
    entries: list[Bar]


@dataclass(frozen=True, slots=True)
class Week:
    title: str
    days: list[Day]
    blocks: list[Block]
    now_left: str


class Drawing:
    """Draws one plan for one question."""

    def __init__(self, question: Asked, plan: CalendarPlan) -> None:
        self._question = question
        self._plan = plan
        self._at = now()
        self._clashing: dict[tuple[int, int], list[tuple[datetime, datetime]]] = defaultdict(list)
        for clash in plan.clashes:
            for rotation_id in clash.rotation_ids:
                self._clashing[clash.user_id, rotation_id].append((clash.starts_at, clash.ends_at))

    def weeks(self) -> list[Week]:
        """The weeks in order."""
        first = self._question.first
        return [self._week(first + number * 7 * _DAY) for number in range(self._question.weeks)]

    def _week(self, monday: date) -> Week:
        start, end = self._question.midnight(monday), self._question.midnight(monday + 7 * _DAY)
        days = [self._day(monday + number * _DAY, start, end) for number in range(7)]
        blocks = [self._block(plan, start, end) for plan in self._plan.rotations]
        at = percent(self._at, start, end) if start <= self._at < end else ""
        return Week(f"Week of {monday.day} {monday:%B %Y}", days, blocks, at)

    def _day(self, day: date, start: datetime, end: datetime) -> Day:
        begins, ends = self._question.midnight(day), self._question.midnight(day + _DAY)
        entries = [
            bar for plan in self._plan.rotations for bar in self._bars(plan, plan.shifts, begins, ends, nobody="gaps")
        ]
        outside = self._question.span == "month" and day.month != self._question.day.month
        return Day(
            title=f"{day:%A} {day.day} {day:%B}",
            short=f"{day:%a} {day.day}",
            iso=day.isoformat(),
            is_today=day == self._at.astimezone(self._question.zone).date(),
            is_outside=outside,
            holiday=", ".join(self._plan.holidays.get(day, [])),
            left=percent(begins, start, end),
            width=width(begins, ends, start, end),
            entries=sorted(entries, key=lambda bar: (bar.times[:5] if bar.times else "", bar.rotation)),
        )

    def _block(self, plan: RotationPlan, start: datetime, end: datetime) -> Block:
        duties = [shift for shift in plan.shifts if shift.coverage_id is None]
        besides = [shift for shift in plan.shifts if shift.coverage_id is not None]
        rotation = plan.rotation
        return Block(
            title=rotation.name,
            team=rotation.team.name,
            roles=", ".join(plan.roles),
            url=reverse("admin:oncall_rotation_change", args=[rotation.pk]),
            final=Line("On call", self._bars(plan, duties, start, end, nobody="all")),
            besides=[
                Line("Besides", self._bars(plan, lane, start, end)) for lane in lanes(_touching(besides, start, end))
            ],
            layers=[
                Line(f"Layer {layer.name}", self._bars(plan, layer.shifts, start, end, plain=True))
                for layer in plan.layers
            ],
        )

    def _bars(
        self,
        plan: RotationPlan,
        found: Iterable[Shift],
        start: datetime,
        end: datetime,
        *,
        plain: bool = False,
        nobody: Literal["", "gaps", "all"] = "",
    ) -> list[Bar]:
        """Bars of shifts inside [start, end), and of its gaps, and of planned rest, as `nobody` says."""
        inside = _touching(found, start, end)
        bars = [(shift.starts_at, self._bar(plan, shift, start, end, plain=plain)) for shift in inside]
        if nobody:
            bars += self._nobody(plan, start, end, with_rest=nobody == "all")
        return [bar for _, bar in sorted(bars, key=lambda pair: pair[0])]

    def _bar(self, plan: RotationPlan, shift: Shift, start: datetime, end: datetime, *, plain: bool) -> Bar:
        user = self._plan.users.get(shift.user_id)
        name = user.name if user else "somebody"
        kind, mark = ("layer", "") if plain else self._kind(shift)
        begins, ends = max(shift.starts_at, start), min(shift.ends_at, end)
        twice = not plain and any(
            found[0] < ends and found[1] > begins for found in self._clashing.get((shift.user_id, plan.rotation.pk), [])
        )
        words = [f"{name}, {self._whole(shift)}", mark]
        words.append(f"also {self._where_else(shift.user_id, plan.rotation.pk, begins, ends)}" if twice else "")
        size = (ends - begins) / (end - start) * 100
        return Bar(
            left=percent(begins, start, end),
            width=width(begins, ends, start, end),
            kind=f"{kind} twice" if twice else kind,
            name=name,
            short=initials(name) if size < _NARROW else name,
            hue=hue(shift.user_id),
            mark=mark,
            words=", ".join(word for word in words if word),
            url="" if plain else self._url(plan, shift.user_id, begins),
            times=self._times(begins, ends, end),
            rotation=plan.rotation.name,
            roles=", ".join(plan.roles),
        )

    def _whole(self, shift: Shift) -> str:
        """From when until when, as far as it is known: a plan cuts shifts at its edges."""
        begins = "from before" if shift.starts_at <= self._plan.start else self._text(shift.starts_at)
        return f"{begins} and on" if shift.ends_at >= self._plan.end else f"{begins} until {self._text(shift.ends_at)}"

    def _kind(self, shift: Shift) -> tuple[str, str]:
        replaced = self._plan.users.get(shift.replaces or 0)
        instead = f" for {replaced.name}" if replaced else ""
        if shift.cover_id in self._plan.swapped:
            return "swap", f"swap{instead}"
        if shift.cover_id is not None:
            return "cover", f"cover{instead}"
        return ("besides", "besides") if shift.coverage_id is not None else ("duty", "")

    def _where_else(self, user_id: int, rotation_id: int, begins: datetime, ends: datetime) -> str:
        others = {
            self._plan.others[pk].name
            for clash in self._plan.clashes
            if clash.user_id == user_id and rotation_id in clash.rotation_ids
            and clash.starts_at < ends and clash.ends_at > begins
            for pk in clash.rotation_ids
            if pk != rotation_id and pk in self._plan.others
        }  # fmt: skip
        return f"on call in {' and '.join(sorted(others))}"

    def _nobody(
        self, plan: RotationPlan, start: datetime, end: datetime, *, with_rest: bool
    ) -> list[tuple[datetime, Bar]]:
        found = [(span, "gap", "Nobody") for span in plan.gaps]
        found += [(span, "rest", "Rests") for span in plan.rests] if with_rest else []
        bars = []
        for (begins, ends), kind, name in found:
            if begins >= end or ends <= start:
                continue
            begins, ends = max(begins, start), min(ends, end)  # noqa: PLW2901  # cut at the edges
            words = f"{name}, {self._text(begins)} until {self._text(ends)}"
            size = (ends - begins) / (end - start) * 100
            bars.append(
                (
                    begins,
                    Bar(
                        left=percent(begins, start, end), width=width(begins, ends, start, end), kind=kind, name=name,
                        short=name if size >= _NARROW else "!" if kind == "gap" else "", hue=0, mark="", words=words,
                        url=self._url(plan, None, begins) if kind == "gap" and ends > self._at else "",
                        times=self._times(begins, ends, end), rotation=plan.rotation.name, roles=", ".join(plan.roles),
                    ),
                )
            )  # fmt: skip
        return bars

    def _times(self, begins: datetime, ends: datetime, end_of_day: datetime) -> str:
        until = "24:00" if ends == end_of_day else f"{ends.astimezone(self._question.zone):%H:%M}"
        return f"{begins.astimezone(self._question.zone):%H:%M}–{until}"

    def _text(self, at: datetime) -> str:
        return f"{at.astimezone(self._question.zone):%a %d %b %H:%M}"

    def _url(self, plan: RotationPlan, user_id: int | None, at: datetime) -> str:
        query = {"at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": self._question.zone.key}
        if user_id is not None:
            query["user"] = str(user_id)
        return f"{reverse('admin:oncall_rotation_shift', args=[plan.rotation.pk])}?{urlencode(query)}"


def percent(at: datetime, start: datetime, end: datetime) -> str:
    """Where an instant lies, in percent; with a dot, whatever the language."""
    return f"{(at - start) / (end - start) * 100:.3f}"


def width(begins: datetime, ends: datetime, start: datetime, end: datetime) -> str:
    """How long a stretch is, in percent of the whole."""
    return f"{(ends - begins) / (end - start) * 100:.3f}"


def hue(user_id: int) -> int:
    """The colour of a person, as an angle; neighbours in number are far apart."""
    return (user_id * 7 % _HUES) * (360 // _HUES)


def initials(name: str) -> str:
    """At most two letters of a name."""
    words = name.split()
    return "".join(word[0] for word in (words if len(words) < 2 else [words[0], words[-1]])).upper()  # noqa: PLR2004


def _touching(found: Iterable[Shift], start: datetime, end: datetime) -> list[Shift]:
    return [shift for shift in found if shift.starts_at < end and shift.ends_at > start]


def lanes(found: Sequence[Shift]) -> list[list[Shift]]:
    """Shifts that overlap, in as few lines as they need."""
    rows: list[list[Shift]] = []
    for shift in found:
        row = next((row for row in rows if row[-1].ends_at <= shift.starts_at), None)
        if row is None:
            rows.append([shift])
        else:
            row.append(shift)
    return rows
