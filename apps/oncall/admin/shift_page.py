"""One shift of the calendar, or a gap in it: who, when, why, and the forms that change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from apps.foundation.clock import now
from apps.foundation.errors import DomainError
from apps.oncall import operations
from apps.oncall.admin.calendar_view import Asked, asked
from apps.oncall.admin.cover_forms import CoverForm, SwapForm
from apps.oncall.messages import moment
from apps.oncall.models import Rotation
from apps.oncall.permissions import is_editor
from apps.oncall.queries import shifts_of, visible_rotations
from apps.oncall.schedule import Shift, gaps
from apps.people.admin.base import request_actor
from apps.people.models import User

_LOOK = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Found:
    """The shift at an instant, or (without a person) the gap."""

    starts_at: datetime
    ends_at: datetime
    user_id: int | None
    why: str


@require_http_methods(["GET", "HEAD", "POST"])
def shift_view(request: HttpRequest, object_id: str, site: AdminSite) -> HttpResponse:
    """Show the shift at `at`; a POST covers it or offers it, and leads back to the calendar."""
    user = request.user
    if not isinstance(user, User) or not user.has_perm("oncall.view_rotation"):
        raise PermissionDenied
    rotation = visible_rotations(user).filter(pk=object_id if object_id.isdecimal() else 0).first()
    at = _instant(request.GET.get("at", ""))
    if rotation is None or at is None:
        raise Http404
    question = asked(request)
    found = _shift_at(rotation, at, request.GET.get("user", ""))
    may_cover, may_offer = _may(request, user, rotation, found)
    cover = _form(CoverForm, request, rotation, "cover", _first_values(found, user))
    offer = _form(SwapForm, request, rotation, "offer", _offered(found, user)) if may_offer else None
    if request.method == "POST":
        answer = _act(request, rotation, question, cover if may_cover else None, offer)
        if answer is not None:
            return answer
    people = User.objects.in_bulk([found.user_id] if found.user_id else [])
    context = {
        **site.each_context(request),
        "title": f"Shift in {rotation.name}" if found.user_id else f"Nobody is on call in {rotation.name}",
        "rotation": rotation,
        "found": found,
        "person": people.get(found.user_id or 0),
        "when": f"{moment(found.starts_at, question.zone)} until {moment(found.ends_at, question.zone)}",
        "hours": round((found.ends_at - found.starts_at).total_seconds() / 3600, 1),
        "is_over": found.ends_at <= now(),
        "zone": question.zone.key,
        "cover": cover if may_cover else None,
        "offer": offer,
        "back": _back(question, rotation, found),
    }
    return TemplateResponse(request, "oncall/shift.html", context)


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        operations.check_instant(found, "at")
    except (ValueError, DomainError):
        return None
    return found.astimezone(UTC)


def _shift_at(rotation: Rotation, at: datetime, user_id: str) -> Found:
    """The whole shift, as far as two months around. 404 where this person is not on then."""
    start, end = at - _LOOK, at + _LOOK
    shifts = shifts_of(rotation.pk, start, end)
    if not user_id:
        for begins, ends in gaps(shifts, start, end):
            if begins <= at < ends:
                return Found(max(begins, at), ends, None, "")
        raise Http404
    for shift in shifts:
        if shift.starts_at <= at < shift.ends_at and str(shift.user_id) == user_id:
            return Found(shift.starts_at, shift.ends_at, shift.user_id, _why(shift))
    raise Http404


def _why(shift: Shift) -> str:
    reason = f": {shift.reason}" if shift.reason else ""
    if shift.cover_id is not None:
        return f"A cover{reason}"
    return (
        f"Besides whoever has the duty{reason}" if shift.coverage_id is not None else f"Turn in the layer {shift.layer}"
    )


def _may(request: HttpRequest, user: User, rotation: Rotation, found: Found) -> tuple[bool, bool]:
    """Whether to show the forms; the operations ask again."""
    if found.ends_at <= now():
        return False, False
    editor = is_editor(request_actor(request), rotation)
    own = found.user_id == user.pk and user.has_perm("oncall.add_swap")
    return editor or user.has_perm("oncall.add_override"), found.user_id is not None and (editor or own)


def _first_values(found: Found, user: User) -> dict[str, Any]:
    begins = max(found.starts_at, now())
    return {
        "user": user.pk if user.pk != found.user_id else None,
        "replaces": found.user_id,
        "starts_at": f"{begins:%Y-%m-%dT%H:%M}",
        "ends_at": f"{found.ends_at:%Y-%m-%dT%H:%M}",
    }


def _offered(found: Found, user: User) -> dict[str, Any]:
    return {**_first_values(found, user), "user": found.user_id if found.user_id != user.pk else None}


def _form(
    kind: type[CoverForm] | type[SwapForm],
    request: HttpRequest,
    rotation: Rotation,
    name: str,
    initial: Mapping[str, Any],
) -> forms.Form:
    posted = request.POST if request.method == "POST" and name in request.POST else None
    form: forms.Form = kind(request, str(rotation.pk), posted, prefix=name)
    form.fields.pop("_form_submitted", None)
    for field, value in initial.items():
        if field in form.fields:
            form.fields[field].initial = value
    return form


def _act(
    request: HttpRequest, rotation: Rotation, question: Asked, cover: forms.Form | None, offer: forms.Form | None
) -> HttpResponse | None:
    """Cover or offer; None shows the page again with what was wrong."""
    form, verb = (cover, _cover) if "cover" in request.POST else (offer, _offer)
    if form is None:
        raise PermissionDenied
    if not form.is_valid():
        return None
    try:
        done = verb(request, rotation, form.cleaned_data)
    except DomainError as error:
        lines: Sequence[str] = [line for lines in error.fields.values() for line in lines]
        for line in dict.fromkeys([error.message, *lines]):
            form.add_error(None, line)
        return None
    messages.success(request, done)
    return HttpResponseRedirect(
        question.url(rotation=str(rotation.pk), date=f"{form.cleaned_data['starts_at']:%Y-%m-%d}")
    )


def _cover(request: HttpRequest, rotation: Rotation, given: Mapping[str, Any]) -> str:
    operations.add_override(
        rotation.pk,
        given["user"].pk,
        given["starts_at"],
        given["ends_at"],
        replaces_id=given["replaces"].pk if given["replaces"] else None,
        reason=given["reason"],
        actor=request_actor(request),
    )
    return f"{given['user'].name} covers."


def _offer(request: HttpRequest, rotation: Rotation, given: Mapping[str, Any]) -> str:
    operations.request_swap(
        rotation.pk,
        given["starts_at"],
        given["ends_at"],
        user_id=given["user"].pk if given["user"] else None,
        asked_id=given["asked"].pk if given["asked"] else None,
        reason=given["reason"],
        actor=request_actor(request),
    )
    return "The time is offered. Whoever is asked gets a message."


def _back(question: Asked, rotation: Rotation, found: Found) -> str:
    day = found.starts_at.astimezone(ZoneInfo(question.zone.key)).date()
    return question.url(rotation=str(rotation.pk), date=day.isoformat())
