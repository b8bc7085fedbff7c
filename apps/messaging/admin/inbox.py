"""My inbox: what the portal told me, newest first."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps.foundation.errors import DomainError
from apps.foundation.subjects import Subject, subject_titles, subject_url
from apps.messaging import operations
from apps.messaging.models import Message
from apps.messaging.queries import inbox, unread_count
from apps.people.admin.base import request_actor

PAGE_SIZE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def inbox_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """List the person's own messages; a POST marks one, or all up to the newest shown, as read, and returns here."""
    if request.method == "POST":
        return _mark(request)
    rows = inbox(request.user).only("title", "body", "payload", "subject_kind", "subject_key", "created_at", "read_at")
    only_unread = request.GET.get("show") == "unread"
    if only_unread:
        rows = rows.filter(read_at__isnull=True)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("p", "1"))
    shown = list(page.object_list)
    context = {
        **site.each_context(request),
        "title": "Inbox",
        "page": page,
        "letters": _letters(shown),
        "unread": unread_count(request.user),
        "only_unread": only_unread,
        "newest": max((message.pk for message in shown), default=0),
    }
    return TemplateResponse(request, "messaging/inbox.html", context)


def _letters(messages: list[Message]) -> list[dict[str, Any]]:
    """Messages with what they are about, with one query for each kind of subject."""
    subjects = {message.pk: Subject(message.subject_kind, message.subject_key) for message in messages}
    titles = subject_titles({subject for subject in subjects.values() if subject.kind})
    return [
        {
            "message": message,
            "about": titles.get(subjects[message.pk], ""),
            "url": subject_url(subjects[message.pk]) if message.subject_kind else "",
        }
        for message in messages
    ]


def _mark(request: HttpRequest) -> HttpResponse:
    one, up_to = request.POST.get("message", ""), request.POST.get("up_to", "")
    actor = request_actor(request)
    back = HttpResponseRedirect(reverse("admin:messaging_message_inbox"))
    try:
        if one.isascii() and one.isdigit() and len(one) < 19:  # noqa: PLR2004  # fits a bigint
            operations.mark_read([int(one)], actor=actor)
        elif up_to.isascii() and up_to.isdigit() and len(up_to) < 19:  # noqa: PLR2004  # the same
            operations.mark_all_read(up_to=int(up_to), actor=actor)
    except DomainError:
        # It is somebody else's, or gone: the list that follows shows what there is.
        return back
    return back
