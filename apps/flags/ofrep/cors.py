"""Whether pages of another origin may read an answer (Fetch standard, CORS protocol).

Credentials in the sense of CORS, cookies above all, are never allowed: programs send their token in a header.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings

Headers = tuple[tuple[str, str], ...]
_SENT = "Authorization, X-API-Key, X-Environment, Content-Type, If-None-Match"
_READ = "ETag, Retry-After, WWW-Authenticate, Allow"
_REMEMBERED_SECONDS = 7200


def allowing(origin: str, *, allowed: Collection[str] | None = None) -> Headers:
    """The headers that let a page of `origin` read an answer; none where FLAG_ORIGINS doesn't name it."""
    known = settings.FLAG_ORIGINS if allowed is None else allowed
    if "*" in known:
        return (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", _READ))
    if origin not in known:
        return (("Vary", "Origin"),)
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", _READ),
        ("Vary", "Origin"),
    )


def preflight(origin: str, *, allowed: Collection[str] | None = None) -> Headers:
    """The same for the question that a browser asks first."""
    found = allowing(origin, allowed=allowed)
    if found[0][0] == "Vary":
        return found
    return (
        *found,
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", _SENT),
        ("Access-Control-Max-Age", str(_REMEMBERED_SECONDS)),
    )
