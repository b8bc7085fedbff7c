"""ASGI entry point: intake, flags and event streams in front, Django behind them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
_django = get_asgi_application()

from apps.alerts.intake import asgi_intake, is_intake  # noqa: E402  # needs the apps that get_asgi_application() loads
from apps.flags.ofrep import asgi_flag_stream, asgi_ofrep, stop_watcher  # noqa: E402  # the same
from apps.incidents.streams import application as event_streams  # noqa: E402  # the same

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            stop_watcher()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route alerts, flags and streams past Django's middleware; everything else through it."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif is_intake(scope["path"]):
        await asgi_intake(scope, receive, send)
    elif scope["path"].startswith("/ofrep/"):
        await asgi_ofrep(scope, receive, send)
    elif scope["path"].startswith("/events/flags/"):
        await asgi_flag_stream(scope, receive, send)
    elif scope["path"].startswith("/events/"):
        await event_streams(scope, receive, send)
    else:
        await _django(scope, receive, send)  # type: ignore[arg-type]  # Django's stub wants its own scope types
