"""The portal as an app of a phone: its manifest, and its service worker at the root, where it may serve all pages."""

from __future__ import annotations

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from incidentportal.navigation import PRODUCT


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """Name, icons and colours for those who add the portal to their home screen."""
    icons = [
        {"src": static(f"portal/icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        for size in (192, 512)
        for purpose in ("any", "maskable")
    ]
    content = {
        "id": "/admin/",
        "name": PRODUCT,
        "short_name": "Incidents",
        "start_url": reverse("admin:index"),
        "scope": "/",
        "display": "standalone",
        "background_color": "#0b1220",
        "theme_color": "#0b1220",
        "icons": icons,
        "shortcuts": [{"name": "Inbox", "url": reverse("admin:messaging_message_inbox")}],
    }
    response = JsonResponse(content, content_type="application/manifest+json")
    response["Cache-Control"] = "public, max-age=3600"
    return response


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """The script, from the root: a worker serves only what is below its own address."""
    path = finders.find("portal/service-worker.js") or str(settings.STATIC_ROOT / "portal" / "service-worker.js")
    try:
        with open(str(path), encoding="utf-8") as script:  # noqa: PTH123  # finders give a text
            text = script.read()
    except FileNotFoundError as error:
        raise Http404 from error
    response = HttpResponse(text, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response
