"""Telling the open event streams of every web process that incidents changed. A hint: losing it costs no data."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from functools import lru_cache

import redis
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

CHANNEL = "portal:incidents"
# After a failure nobody waits for Redis again for this long; the streams look into the database themselves.
BROKEN_FOR_SECONDS = 5.0

_broken_until = 0.0


@lru_cache(maxsize=1)
def client() -> redis.Redis:
    """The connection pool of this process, with timeouts that a person would not notice."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.2, socket_timeout=0.2)


class _Wake:
    """Collects the incidents of one transaction; called once after its commit."""

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = set(ids)

    def __call__(self) -> None:
        announce(self.ids)


def wake(incident_ids: Iterable[int]) -> None:
    """After the current transaction commits, wake the streams of these incidents; one message per transaction."""
    if not settings.REDIS_URL:
        return
    connection = transaction.get_connection()
    for entry in connection.run_on_commit:
        if isinstance(entry[1], _Wake) and set(entry[0]) == set(connection.savepoint_ids):
            entry[1].ids.update(incident_ids)
            return
    transaction.on_commit(_Wake(incident_ids))


def announce(incident_ids: Iterable[int]) -> bool:
    """Publish at once. False, without an error, when Redis can't be reached."""
    global _broken_until  # noqa: PLW0603  # one circuit breaker for the process is the point
    if time.monotonic() < _broken_until:
        return False
    try:
        client().publish(CHANNEL, ",".join(str(pk) for pk in sorted(incident_ids)))
    except (RedisError, OSError) as error:
        _broken_until = time.monotonic() + BROKEN_FOR_SECONDS
        logger.warning("Redis can't be reached (%s); open pages update from the database instead.", error)
        return False
    return True
