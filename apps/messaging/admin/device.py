"""This device: get pages as notifications of the browser, also with the portal closed."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from apps.messaging.push_keys import push_public_key
from apps.people.models import ContactPoint


@require_safe
def device_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Explain, and hand the browser the portal's public key; its script does the rest by the API."""
    points = ContactPoint.objects.filter(user_id=request.user.pk or 0, kind=ContactPoint.Kind.PUSH)
    context = {
        **site.each_context(request),
        "title": "Pages on this device",
        "public_key": push_public_key(),
        "points": points.exclude(state=ContactPoint.State.DISABLED),
    }
    return TemplateResponse(request, "messaging/device.html", context)
