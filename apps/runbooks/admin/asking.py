"""One question before each deed: a dialog where scripts run, a page of its own where they don't, one POST."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from apps.foundation.errors import DomainError, Forbidden, NotFound
from apps.runbooks.admin.showing import DiffRow

MOST_REASON = 300


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers, with what follows from it."""

    value: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked before a deed. `action` is where the answer goes, `back` where Cancel leads.

    `choices` must be answered (field `choice`); `reason_needed` makes the reason (field `reason`) obligatory,
    `reason_label` empty leaves it out.
    """

    title: str
    action: str
    back: str
    submit: str
    icon: str = ""
    tone: str = "primary"
    lead: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    items_title: str = ""
    items: tuple[str, ...] = ()
    changes: tuple[DiffRow, ...] = ()
    choices: tuple[Choice, ...] = ()
    reason_label: str = "Why"
    reason_needed: bool = True
    reason_hint: str = ""
    reason: str = ""
    chosen: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What the person answered."""

    reason: str
    choice: str


def given_of(request: HttpRequest) -> Given:
    """The answer as it was posted; NUL characters, which no column takes, are left out."""

    def text(name: str) -> str:
        return str(request.POST.get(name, "")).replace("\x00", "").strip()

    return Given(text("reason"), text("choice"))


def ask_or_do(
    request: HttpRequest,
    ask: Ask,
    do: Callable[[Given], Any],
    *,
    done: Callable[[Any], str],
    to: Callable[[Any], str],
    stays: bool = False,
) -> HttpResponse:
    """GET asks, POST calls ONE operation by `do`; a refusal is told with the question still open.

    Afterwards the page is the one that `to` names; with `stays` a page that asked by htmx stays and shows what changed.
    """
    if request.method != "POST":
        return _show(request, ask)
    given = given_of(request)
    fault = _fault(ask, given)
    if fault:
        return _show(request, replace(ask, error=fault, reason=given.reason, chosen=given.choice), status=400)
    try:
        result = do(given)
    except NotFound as error:
        raise Http404 from error
    except Forbidden as error:
        raise PermissionDenied(error.message) from error
    except DomainError as error:
        told = " ".join([error.message, *(line for lines in error.fields.values() for line in lines)])
        refused = replace(ask, error=told, reason=given.reason, chosen=given.choice)
        return _show(request, refused, status=error.http_status)
    messages.success(request, done(result))
    if not by_htmx(request):
        return HttpResponseRedirect(to(result))
    if stays:
        return HttpResponse(status=204, headers={"HX-Trigger": json.dumps({"portal:acted": {"done": True}})})
    return HttpResponse(headers={"HX-Redirect": to(result)})


def _fault(ask: Ask, given: Given) -> str:
    """What the operation can't know: the answers that this question offered."""
    if ask.choices and given.choice not in {choice.value for choice in ask.choices}:
        return "Choose one of the answers."
    if ask.reason_label and ask.reason_needed and not given.reason:
        return "Say why in a few words: it stands in the record."
    if len(given.reason) > MOST_REASON:
        return f"Say it in at most {MOST_REASON} characters."
    return ""


def _show(request: HttpRequest, ask: Ask, *, status: int = 200) -> HttpResponse:
    """The question alone for a dialog, else a page. htmx shows only what was answered with 200."""
    if by_htmx(request):
        return fresh(render(request, "runbooks/_ask.html", {"ask": ask, "most_reason": MOST_REASON}))
    context = {**admin.site.each_context(request), "title": ask.title, "ask": ask, "most_reason": MOST_REASON}
    return fresh(render(request, "runbooks/ask.html", context, status=status))


def is_key(text: str) -> bool:
    """Whether a text can be the key of a row: a whole number that a column holds."""
    return text.isascii() and text.isdecimal() and len(text) <= 18  # noqa: PLR2004  # a big integer has at least as many


def by_htmx(request: HttpRequest) -> bool:
    """Whether a part of a page asks, not a browser for a whole one."""
    return request.headers.get("HX-Request") == "true"


def fresh(response: HttpResponse) -> HttpResponse:
    """These pages are never kept: they tell of now, and of what this person may see."""
    response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["HX-Request"])
    return response
