"""The acknowledgement page behind the signed link: no login, one button, made for a phone at night."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError
from apps.foundation.subjects import Subject, subject_title, subject_url
from apps.paging.bundles import bundle_pages, calls_of
from apps.paging.links import arrival_call_id_of, bundle_id_of, link_lifetime, page_id_of
from apps.paging.models import Acknowledgement, EscalationRun, Page, PageBundle, PageTestCall
from apps.paging.operations import acknowledge_bundle, acknowledge_by_link, confirm_page_test, refuse_link
from apps.paging.testing import confirmed_seconds

_TEMPLATE = "paging/ack.html"
_BUNDLE_TEMPLATE = "paging/ack_bundle.html"
_LONGEST_ID = 19
_TEST_TEMPLATE = "paging/test_arrived.html"


@dataclass(frozen=True, slots=True)
class Notice:
    """Why there is no button: a heading, a sentence, and whether all is well."""

    heading: str
    text: str
    well: bool = False
    status: int = 200


_INVALID = Notice(
    "This link is not right",
    "It may have been cut off on its way. Open the page's message again, or log in to the portal.",
    status=404,
)


@csrf_exempt  # nobody is logged in here: the token itself is the secret that another site can't know
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ack(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows what the page is about and one button; only the button's POST acknowledges, once."""
    page_id = page_id_of(token)
    rows = Page.objects.select_related("user", "escalation")
    page = rows.filter(pk=page_id).first() if page_id is not None else None
    if page is None:
        return _answer(request, {"notice": _INVALID}, _INVALID.status)
    if request.method == "POST":
        return _acknowledge(request, page)
    notice = _notice(page)
    return _answer(request, {**_about(page), "notice": notice}, notice.status if notice else 200)


@csrf_exempt  # the same
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def ack_bundle(request: HttpRequest, token: str) -> HttpResponse:
    """The incidents that came in one message: GET lists them, POST acknowledges all that are open, or one (`page`)."""
    bundle_id = bundle_id_of(token)
    bundle = PageBundle.objects.select_related("user").filter(pk=bundle_id).first() if bundle_id is not None else None
    if bundle is None:
        return _answer(request, {"notice": _INVALID}, _INVALID.status, _BUNDLE_TEMPLATE)
    if request.method == "POST":
        chosen = request.POST.get("page", "")
        actor = Actor(kind="link", name=bundle.user.name, user_id=bundle.user_id, via="link")
        try:
            acknowledge_bundle(bundle.pk, page_ids=chosen_pages(chosen), via="link", actor=actor)
        except DomainError as error:
            notice = _expired_bundle() if error.code == "link_expired" else Notice("This did not work", error.message)
            status = 410 if error.code == "link_expired" else error.http_status
            return _answer(request, {"notice": notice, "bundle": bundle}, status, _BUNDLE_TEMPLATE)
        response = HttpResponseRedirect(request.path)
        response.status_code = 303
        return response
    if now() >= bundle.due_at + link_lifetime():
        return _answer(request, {"notice": _expired_bundle(), "bundle": bundle}, 410, _BUNDLE_TEMPLATE)
    calls = calls_of(bundle_pages(bundle))
    listed = [
        (call, f"{settings.PUBLIC_URL}{subject_url(Subject(call.page.subject_kind, call.page.subject_key))}")
        for call in calls
    ]
    waiting = [call for call in calls if call.page.state == Page.State.OPEN]
    context = {"bundle": bundle, "listed": listed, "waiting": waiting}
    return _answer(request, context, 200, _BUNDLE_TEMPLATE)


def chosen_pages(text: str) -> list[int] | None:
    """The one page of a form's button; None for all of them."""
    if not text:
        return None
    return [int(text)] if text.isascii() and text.isdigit() and len(text) < _LONGEST_ID else []


def _expired_bundle() -> Notice:
    return Notice("This link is too old", "Log in to the portal to see how things stand.", status=410)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the same
def test_arrived(request: HttpRequest, token: str) -> HttpResponse:
    """The link in a test page: GET shows one button, whose POST says that it arrived. A repeat changes nothing."""
    call_id = arrival_call_id_of(token)
    call = PageTestCall.objects.select_related("test__user").filter(pk=call_id).first() if call_id is not None else None
    if call is None:
        return _answer(request, {"notice": _INVALID}, _INVALID.status, _TEST_TEMPLATE)
    if request.method == "POST":
        confirm_page_test(call.pk)
        response = HttpResponseRedirect(request.path)
        response.status_code = 303
        return response
    return _answer(request, {"call": call, "seconds": confirmed_seconds(call)}, 200, _TEST_TEMPLATE)


def _acknowledge(request: HttpRequest, page: Page) -> HttpResponse:
    actor = Actor(kind="link", name=page.user.name, user_id=page.user_id, via="link")
    try:
        acknowledge_by_link(page.pk, actor=actor)
    except Conflict:
        page.refresh_from_db()
        notice = _notice(page) or _INVALID
        return _answer(request, {**_about(page), "notice": notice}, notice.status)
    except DomainError as error:
        notice = Notice("This did not work", error.message, status=error.http_status)
        return _answer(request, {**_about(page), "notice": notice}, notice.status)
    response = HttpResponseRedirect(request.path)
    response.status_code = 303
    return response


def _answer(request: HttpRequest, context: dict[str, object], status: int, template: str = _TEMPLATE) -> HttpResponse:
    response = render(request, template, context, status=status)
    # The address holds the secret: it must not travel on to other sites or into search engines.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def _about(page: Page) -> dict[str, object]:
    subject = Subject(page.subject_kind, page.subject_key)
    run = page.escalation or _page_run(subject)
    return {
        "page": page,
        "title": run.title if run else subject_title(subject),
        "severity": run.severity if run else "",
        "detected_at": run.detected_at if run else None,
        "others": _others(subject),
        "url": f"{settings.PUBLIC_URL}{subject_url(subject)}",
    }


def _others(subject: Subject) -> str:
    """Whom an acknowledgement leaves to be called."""
    rows = EscalationRun.objects.filter(subject_kind=subject.kind, subject_key=subject.key)
    goes_on = rows.filter(track=EscalationRun.Track.MANAGEMENT, state=EscalationRun.State.RUNNING).exists()
    return "Management still hears of it until it is over." if goes_on else "Nobody else is called."


def _page_run(subject: Subject) -> EscalationRun | None:
    rows = EscalationRun.objects.filter(subject_kind=subject.kind, subject_key=subject.key)
    return rows.filter(track=EscalationRun.Track.PAGE).first()


def _notice(page: Page) -> Notice | None:
    """What stands instead of the button; None while the button works."""
    try:
        refuse_link(page)
    except Conflict as refused:
        return _NOTICES[refused.code](page)
    return None


def _yours(page: Page) -> Notice:
    at = f"{page.acknowledged_at:%H:%M:%S}" if page.acknowledged_at else "before"
    others = _others(Subject(page.subject_kind, page.subject_key))
    return Notice("Acknowledged", f"You have it, {page.user.name} (since {at} UTC). {others}", well=True)


def _closed(page: Page) -> Notice:
    """Somebody else was faster, or the matter ended."""
    rows = Acknowledgement.objects.select_related("user")
    other = rows.filter(escalation=page.escalation_id, run=page.run).first() if page.escalation_id else None
    if other is not None:
        text = f"{other.user.name} acknowledged at {other.at:%H:%M:%S} UTC. You need not do anything."
        return Notice("Somebody has it", text, well=True)
    if page.escalation is not None and page.escalation.state == EscalationRun.State.STOPPED:
        return Notice("This is over", "It was resolved, or paging was stopped. You need not do anything.", well=True)
    return Notice("This page was replaced", "Paging began anew since: look for a newer message, or log in.")


def _expired(page: Page) -> Notice:
    return Notice("This link is too old", "Log in to the portal to see how things stand.", status=410)


def _used(page: Page) -> Notice:
    return _yours(page) if page.state == Page.State.ACKNOWLEDGED else Notice("Used already", "This link works once.")


_NOTICES = {
    "link_expired": _expired,
    "link_used": _used,
    "already_acknowledged": _yours,
    "page_closed": _closed,
}
