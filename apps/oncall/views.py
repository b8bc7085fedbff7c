"""The feed behind a secret address: no login, read only."""

from __future__ import annotations

import re
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags, quote_etag
from django.views.decorators.http import require_safe

from apps.foundation.clock import now
from apps.oncall.feed_limit import LIMIT
from apps.oncall.ical import calendar_text
from apps.oncall.models import CalendarFeed
from apps.oncall.queries.feed_versions import feed_version
from apps.oncall.queries.feeds import feed_by_token, feed_rotations, feed_shifts
from apps.people.models import User

_TOKEN = re.compile(r"ofd_[A-Za-z0-9_-]{43}")
USE_IS_NOTED_EACH = timedelta(hours=1)
MAX_AGE_SECONDS = 300


@require_safe
def feed(request: HttpRequest, token: str) -> HttpResponse:
    """The shifts as iCalendar; 304 for who has them already; 404 for every token that opens nothing, all alike.

    Nobody is logged in here, so what costs is bounded: 304 works out no shift, and an address is read in full at most
    twenty times a minute, then 429 with `Retry-After`.
    """
    found = feed_by_token(token) if _TOKEN.fullmatch(token) else None
    if found is None or not _may_see(found.owner):
        return _sealed(HttpResponse("There is no such calendar.\n", status=404, content_type="text/plain"))
    at = now()
    rotations = feed_rotations(found)
    etag = quote_etag(feed_version(found, rotations, at))
    _note_use(found)
    if {etag, "*"} & set(_without_weakness(request.headers.get("If-None-Match", ""))):
        response: HttpResponse = HttpResponseNotModified()
    elif seconds := LIMIT.admit(found.digest, at):
        return _sealed(_too_many(seconds))
    else:
        body = calendar_text(found, feed_shifts(found, rotations, at))
        response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
        response["Content-Disposition"] = 'inline; filename="oncall.ics"'
    response["ETag"] = etag
    response["Cache-Control"] = f"private, max-age={MAX_AGE_SECONDS}"
    patch_vary_headers(response, ["Accept-Encoding"])
    return _sealed(response)


def _sealed(response: HttpResponse) -> HttpResponse:
    """The address is the secret: it must not travel on to other sites or into search engines."""
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    if response.status_code >= 400:  # noqa: PLR2004  # an error
        response["Cache-Control"] = "no-store"
    return response


def _too_many(seconds: int) -> HttpResponse:
    text = f"This calendar is read too often: try again in {seconds} s, or send If-None-Match.\n"
    return HttpResponse(text, status=429, content_type="text/plain", headers={"Retry-After": str(seconds)})


def _may_see(owner: User | AnonymousUser) -> bool:
    return owner.is_active and owner.has_perm("oncall.view_rotation")


def _without_weakness(header: str) -> list[str]:
    """Compared weakly, as GET does: a proxy that compresses makes weak ones of ours."""
    return [tag.removeprefix("W/") for tag in parse_etags(header)]


def _note_use(feed: CalendarFeed) -> None:
    """At most once an hour; update() is right here, since this column is not part of the history."""
    at = now()
    if feed.last_read_at is None or at - feed.last_read_at >= USE_IS_NOTED_EACH:
        stale = Q(last_read_at__isnull=True) | Q(last_read_at__lte=at - USE_IS_NOTED_EACH)
        CalendarFeed.objects.filter(stale, pk=feed.pk).update(last_read_at=at)
