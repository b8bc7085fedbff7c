"""WSGI entry point: intake in front, Django behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
_django = get_wsgi_application()

from apps.alerts.intake import wsgi_intake  # noqa: E402  # needs the apps that get_wsgi_application() loads


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Route alerts past Django's middleware; everything else through it."""
    if environ.get("PATH_INFO", "").startswith("/in/"):
        return wsgi_intake(environ, start_response)
    return _django(environ, start_response)
