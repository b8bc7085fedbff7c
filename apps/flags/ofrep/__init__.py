"""The OpenFeature Remote Evaluation Protocol under /ofrep/v1/, in front of Django. See docs/flags.md."""

from apps.flags.ofrep.edges import asgi_ofrep, stop_watcher, wsgi_ofrep

__all__ = ["asgi_ofrep", "stop_watcher", "wsgi_ofrep"]
