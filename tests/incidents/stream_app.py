"""The streams alone behind a real server, with Django set up as the portal's own entry point does it."""

from __future__ import annotations

import django

django.setup()

from apps.incidents.streams import application, asgi  # noqa: E402  # needs the apps that setup() loads

# A test should not wait as long as a proxy would.
asgi.HEARTBEAT_SECONDS = 1.0

__all__ = ["application"]
