"""The hot path of alerts: from the socket to a committed row, without middleware, REST framework or history.

`asgi_intake` and `wsgi_intake` stand in front of Django for every path under `/in/` and for PagerDuty's
`/v2/enqueue`. Both are thin: what is judged is in `core`, what is written is in `committer`, with one commit for all
requests that wait at that moment.
"""

from apps.alerts.intake.edges import asgi_intake, is_intake, wsgi_intake

__all__ = ["asgi_intake", "is_intake", "wsgi_intake"]
