"""The mailbox of the demo, for administrators only: whoever reads it can follow everybody's links."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from apps.demo.queries import mail_by_key, mail_folder, newest_mails


def _context(request: HttpRequest, **more: Any) -> dict[str, Any]:
    """What the admin's frame needs. There is no mailbox outside the demo, and none for others than administrators."""
    if not settings.DEMO:
        raise Http404("There is no mailbox outside the demo.")
    if not request.user.is_superuser:
        raise PermissionDenied("The demo's mailbox shows everybody's mail: only administrators may read it.")
    return admin.site.each_context(request) | more


@require_safe
@never_cache
@login_required
def mailbox(request: HttpRequest) -> HttpResponse:
    """All mails that the demo sent, newest first."""
    context = _context(request, title="Demo mailbox", has_folder=mail_folder() is not None)
    return render(request, "demo/mailbox.html", context | {"mails": newest_mails()})


@require_safe
@never_cache
@login_required
def mail(request: HttpRequest, key: str) -> HttpResponse:
    """One mail, with its links to click."""
    context = _context(request)
    found = mail_by_key(key)
    if found is None:
        raise Http404("There is no such mail.")
    return render(request, "demo/mail.html", context | {"title": found.subject, "mail": found})
