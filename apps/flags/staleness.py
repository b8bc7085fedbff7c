"""Which flags the code could be rid of: past their day, always of one answer, or asked for by nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from apps.flags.models import Flag, FlagUse
from apps.foundation.clock import now

EXPIRED, CONSTANT, UNASKED = "expired", "constant", "unasked"
# A kill switch and an operational setting answer one thing for years, and are needed all the same.
_PASSING = (Flag.Kind.RELEASE, Flag.Kind.EXPERIMENT)


def _long_ago(at: datetime) -> datetime:
    return at - timedelta(days=settings.FLAG_STALE_DAYS)


def is_stale(at: datetime | None = None) -> Q:
    """The condition on flags of being stale for any reason."""
    moment = at or now()
    before = _long_ago(moment)
    expired = Q(expires_on__lt=moment.date())
    constant = Q(state=Flag.State.ON, kind__in=_PASSING, use__since__lte=before) & ~Q(use__variant="")
    unasked = Q(use__asked_at__lt=before) | Q(use__isnull=True, state_changed_at__lt=before)
    return expired | constant | unasked


def why_stale(flag: Flag, at: datetime | None = None) -> dict[str, str]:
    """Why a flag is stale: a sentence by `expired`, `constant` and `unasked`. Its `use` is loaded with it."""
    moment = at or now()
    before = _long_ago(moment)
    use: FlagUse | None = getattr(flag, "use", None)
    found = {}
    if flag.expires_on is not None and flag.expires_on < moment.date():
        found[EXPIRED] = f"It should have been gone from the code on {flag.expires_on:%Y-%m-%d}."
    is_passing = flag.state == Flag.State.ON and flag.kind in _PASSING
    if is_passing and use is not None and use.variant and use.since <= before:
        found[CONSTANT] = f"Everybody has got {use.variant} since {use.since:%Y-%m-%d}."
    if use is not None and use.asked_at < before:
        found[UNASKED] = f"No program has asked for it since {use.asked_at:%Y-%m-%d}."
    elif use is None and flag.state_changed_at < before:
        found[UNASKED] = "No program has ever asked for it."
    return found
