"""The way of a button: ask, act, then show what changed; in a dialog with scripts, on a page of its own without."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.messages import get_messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from apps.foundation.errors import DomainError, NotFound
from apps.people.admin.base import request_actor
from apps.people.zones import zone_of
from apps.postmortems.admin.forms import Asked, Sent, Verb, filled, said
from apps.postmortems.admin.next_step import Lack
from apps.postmortems.models import Review


def by_htmx(request: HttpRequest) -> bool:
    """Whether a script of the page asks, for a part of it."""
    return request.headers.get("HX-Request") == "true"


def fresh(response: HttpResponse) -> HttpResponse:
    """These pages are never kept: they tell of now, and of what this person may see."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request"])
    return response


def sent_by(request: HttpRequest, review: Review, key: int) -> Sent:
    """What was posted about the row `key` of a review."""
    return Sent(review.incident_id, request.POST, request_actor(request), zone_of(request.user), key)


def sent_about(request: HttpRequest, incident_id: int) -> Sent:
    """What was posted about an incident that has no review yet."""
    return Sent(incident_id, request.POST, request_actor(request), zone_of(request.user))


def ask(
    request: HttpRequest, site: AdminSite, verb: Verb, row: Any, *, back: str, lacks: tuple[Lack, ...] = ()
) -> HttpResponse:
    """The form of a button, before anything happens."""
    return _asked(request, site, verb, row, back=back, lacks=lacks, error=None)


def act(request: HttpRequest, site: AdminSite, verb: Verb, row: Any, sent: Sent, *, back: str) -> HttpResponse | None:
    """Call the ONE operation of a button. None when it went well; else its form again, with what was typed and why."""
    try:
        verb.run(sent)
    except NotFound as error:
        if not error.fields:
            raise Http404 from error
        return _asked(request, site, verb, row, back=back, lacks=(), error=error)
    except DomainError as error:
        return _asked(request, site, verb, row, back=back, lacks=(), error=error)
    messages.success(request, verb.done)
    return None


def _asked(
    request: HttpRequest,
    site: AdminSite,
    verb: Verb,
    row: Any,
    *,
    back: str,
    lacks: tuple[Lack, ...],
    error: DomainError | None,
) -> HttpResponse:
    fields = verb.fields(row, request.user)
    if request.method == "POST":
        fields = filled(fields, request.POST, error)
    asked = Asked(
        action=request.path,
        title=verb.title,
        text=verb.text,
        button=verb.button,
        tone=verb.tone,
        fields=fields,
        back=back,
        lacks=lacks,
        error=said(error, fields) if error else "",
        is_from_review=(request.POST or request.GET).get("from") == "review",
    )
    if by_htmx(request):
        return fresh(render(request, "postmortems/_form.html", {"asked": asked}))
    context = {**site.each_context(request), "title": verb.title, "asked": asked}
    status = error.http_status if error else 200
    return fresh(render(request, "postmortems/form_page.html", context, status=status))


def changed(request: HttpRequest, view: Any, *, with_items: bool = True) -> HttpResponse:
    """The regions of the review page that a button may have changed, for its script to put in place."""
    context = {"view": view, "with_items": with_items, "toasts": list(get_messages(request))}
    answer = render(request, "postmortems/review/_changed.html", context)
    answer["HX-Trigger"] = json.dumps({"portal:acted": {"done": True}})
    return fresh(answer)


def leave(request: HttpRequest, url: str) -> HttpResponse:
    """Go to a page, also out of a dialog."""
    if by_htmx(request):
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)
