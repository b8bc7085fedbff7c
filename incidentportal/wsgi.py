"""WSGI entry point: intake and flags in front, Django behind them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
_django = get_wsgi_application()

from apps.alerts.intake import is_intake, wsgi_intake  # noqa: E402  # needs the apps that get_wsgi_application() loads
from apps.flags.ofrep import wsgi_ofrep  # noqa: E402  # the same


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Route alerts and flags past Django's middleware; everything else through it."""
    if is_intake(environ.get("PATH_INFO", "")):
        return wsgi_intake(environ, start_response)
    if environ.get("PATH_INFO", "").startswith("/ofrep/"):
        return wsgi_ofrep(environ, start_response)
    return _django(environ, start_response)
