"""Server-sent events for open pages: `application` is the ASGI app behind `/events/`. See docs/live-updates.md."""

from apps.incidents.streams.asgi import application

__all__ = ["application"]
