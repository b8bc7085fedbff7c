"""The calendar: who is on call when, in bars on a wide screen and in a list by day on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import available_timezones

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.catalog.models import Team
from apps.foundation.clock import now
from apps.oncall.admin.calendar_drawing import Drawing
from apps.oncall.admin.calendar_view import MOST_ROTATIONS, Asked, asked, rotations_asked
from apps.oncall.queries import visible_rotations
from apps.oncall.queries.calendar import CalendarPlan, calendar_plan
from apps.people.models import User

MOST_WORDS = 60


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str
    is_current: bool = False


@require_safe
def calendar_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Draw what the address asks for; a constant number of queries. For whoever may see rotations."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm("oncall.view_rotation"):
        raise PermissionDenied
    question = asked(request)
    rows = list(rotations_asked(question, user))
    shown = rows[:MOST_ROTATIONS]
    start = question.midnight(question.first)
    end = question.midnight(question.first + question.weeks * timedelta(days=7))
    only = user.pk if question.mine else None
    plan = calendar_plan(shown, start, end, only=only, with_layers=question.span == "week" and not question.mine)
    context = {
        **site.each_context(request),
        "title": "Calendar",
        "question": question,
        "heading": question.title(),
        "weeks": Drawing(question, plan).weeks(),
        "gaps": _gaps(question, plan),
        "clashes": _clashes(question, plan),
        "offers": _offers(question, plan),
        "left_out": len(rows) > MOST_ROTATIONS,
        "is_empty": not shown,
        "views": _views(question),
        "steps": _steps(question),
        "teams": Team.objects.filter(rotations__isnull=False).distinct().order_by("name"),
        "rotations": visible_rotations(user).order_by("team__name", "name"),
        "zones": sorted(available_timezones()),
        "fairness_url": _fairness_url(question),
        "feeds_url": reverse("admin:oncall_calendarfeed_changelist"),
    }
    return TemplateResponse(request, "oncall/calendar.html", context)


def _views(question: Asked) -> list[Link]:
    return [
        Link("Week", question.url(view=""), question.span == "week"),
        Link("Month", question.url(view="month"), question.span == "month"),
        Link("As a list", question.url(**{"as": "" if question.listed else "list"}), question.listed),
    ]


def _steps(question: Asked) -> dict[str, str]:
    today = now().astimezone(question.zone).date()
    return {
        "previous": question.url(date=question.moved(-1).isoformat()),
        "today": question.url(date=today.isoformat()),
        "next": question.url(date=question.moved(1).isoformat()),
    }


def _fairness_url(question: Asked) -> str:
    scope = (
        f"?rotation={question.rotation.pk}"
        if question.rotation
        else f"?team={question.team.pk}"
        if question.team
        else ""
    )
    return f"{reverse('admin:oncall_rotation_fairness')}{scope}"


def _gaps(question: Asked, plan: CalendarPlan) -> list[str]:
    """Sentences about duty that nobody has from now on; what is over can't be mended."""
    found = sorted(
        (begins, ends, f"{one.rotation.name} ({one.rotation.team.name})")
        for one in plan.rotations
        for begins, ends in one.gaps
        if ends > now()
    )
    return _cut([f"Nobody is on call in {name} from {_span(question, begins, ends)}." for begins, ends, name in found])


def _clashes(question: Asked, plan: CalendarPlan) -> list[str]:
    """Sentences about people who are on twice at once, from now on."""
    sentences = []
    for clash in plan.clashes:
        if clash.ends_at <= now():
            continue
        rotations = [plan.others[pk] for pk in clash.rotation_ids if pk in plan.others]
        teams = {row.team_id for row in rotations}
        named = " and ".join(_with_roles(row.name, plan.roles.get(row.pk, [])) for row in rotations)
        what = "for two teams at once" if len(teams) > 1 else "twice at once"
        user = plan.users.get(clash.user_id)
        when = _span(question, clash.starts_at, clash.ends_at)
        sentences.append(f"{user.name if user else 'Somebody'} is on call {what}, in {named}, from {when}.")
    return _cut(sentences)


def _with_roles(name: str, roles: list[str]) -> str:
    return f"{name} ({', '.join(roles)})" if roles else name


def _cut(sentences: list[str]) -> list[str]:
    more = len(sentences) - MOST_WORDS
    return [*sentences[:MOST_WORDS], f"And {more} more."] if more > 0 else sentences


def _span(question: Asked, begins: datetime, ends: datetime) -> str:
    return " until ".join(f"{at.astimezone(question.zone):%a %d %b %H:%M}" for at in (begins, ends))


def _offers(question: Asked, plan: CalendarPlan) -> list[dict[str, str]]:
    return [
        {
            "url": reverse("admin:oncall_swap_change", args=[offer.pk]),
            "name": offer.user.name,
            "to": offer.asked.name if offer.asked else "anybody",
            "rotation": offer.rotation.name,
            "when": _span(question, offer.starts_at, offer.ends_at),
        }
        for offer in plan.offers
    ]
