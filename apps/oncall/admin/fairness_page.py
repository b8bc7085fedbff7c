"""How fairly on-call is shared: a table, and the same as a file for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.catalog.models import Team
from apps.foundation.clock import now
from apps.oncall.admin.calendar_view import MOST_ROTATIONS, Asked, asked, rotations_asked
from apps.oncall.queries import visible_rotations
from apps.oncall.queries.fairness import FairnessRow, fairness
from apps.oncall.schedule import wall_clock
from apps.people.models import User

LONGEST = timedelta(days=400)
_USUAL = timedelta(days=90)
_HEAD = (
    "person", "shifts", "hours", "night_hours", "weekend_hours", "holiday_hours", "pages", "expected_hours",
    "deviation_hours", "deviation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both included, on clocks in the reader's zone."""

    first: date
    last: date
    complaint: str

    def window(self, zone: str) -> tuple[datetime, datetime]:
        """The same as instants."""
        return wall_clock(self.first, time(), zone), wall_clock(self.last + timedelta(days=1), time(), zone)


@require_safe
def fairness_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """The report of a rotation, a team or all, for a period; `?format=csv` is the file. Constant queries."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm("oncall.view_rotation"):
        raise PermissionDenied
    question = asked(request)
    period = _period(request, now().astimezone(question.zone).date())
    rows = list(rotations_asked(question, user))
    found = fairness(rows[:MOST_ROTATIONS], *period.window(question.zone.key))
    if request.GET.get("format") == "csv":
        return _file(found, period)
    context = {
        **site.each_context(request),
        "title": "How fairly on-call is shared",
        "question": question,
        "period": period,
        "complaints": [*question.complaints, *([period.complaint] if period.complaint else [])],
        "rows": found,
        "left_out": len(rows) > MOST_ROTATIONS,
        "with_pages": any(row.pages is not None for row in found),
        "teams": Team.objects.filter(rotations__isnull=False).distinct().order_by("name"),
        "rotations": visible_rotations(user).order_by("team__name", "name"),
        "csv_url": _csv_url(question, period),
        "calendar_url": question.url(),
    }
    return TemplateResponse(request, "oncall/fairness.html", context)


def _csv_url(question: Asked, period: Period) -> str:
    parts = {
        "team": question.team.pk if question.team else "",
        "rotation": question.rotation.pk if question.rotation else "",
        "start": period.first.isoformat(),
        "end": period.last.isoformat(),
        "zone": question.zone.key,
        "format": "csv",
    }
    return f"{reverse('admin:oncall_rotation_fairness')}?{urlencode({name: it for name, it in parts.items() if it})}"


def _period(request: HttpRequest, today: date) -> Period:
    """The days asked for; the last ninety where they make no sense."""
    usual = Period(today - _USUAL + timedelta(days=1), today, "")
    given = request.GET.get("start"), request.GET.get("end")
    try:
        first = date.fromisoformat(given[0]) if given[0] else usual.first
        last = date.fromisoformat(given[1]) if given[1] else usual.last
    except ValueError:
        return Period(usual.first, usual.last, "Write days as YYYY-MM-DD. These are the last ninety.")
    if not first <= last < first + LONGEST or not 1980 < first.year <= last.year < 2200:  # noqa: PLR2004  # as everywhere
        sentence = "The last day must be after the first, by at most 400 days. These are the last ninety."
        return Period(usual.first, usual.last, sentence)
    return Period(first, last, "")


def _file(found: Sequence[FairnessRow], period: Period) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="on-call-{period.first}-{period.last}.csv"'
    response["Cache-Control"] = "private, no-store"
    writer = csv.writer(response)
    writer.writerow(_HEAD)
    for row in found:
        pages = "" if row.pages is None else row.pages
        numbers = (row.shifts, row.hours, row.night_hours, row.weekend_hours, row.holiday_hours, pages)
        writer.writerow([_harmless(row.user.name), *numbers, row.expected_hours, row.deviation_hours, row.deviation])
    return response


def _harmless(name: str) -> str:
    """A spreadsheet must not take a name for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
