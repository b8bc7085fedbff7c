"""The OpenFeature Remote Evaluation Protocol under /ofrep/v1/, in front of Django. See docs/flags.md."""

from apps.flags.ofrep.edges import asgi_ofrep, stop_watcher, wsgi_ofrep
from apps.flags.ofrep.streams import asgi_flag_stream

__all__ = ["asgi_flag_stream", "asgi_ofrep", "stop_watcher", "wsgi_ofrep"]
