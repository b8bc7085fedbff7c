"""Ringing for workers. A ring says only "look now"; losing it delays work by one sweep."""

from __future__ import annotations

import logging
import time

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# A ring is worthless once the next sweeps have come by.
RING_EXPIRES_SECONDS = 5
# After a failure nobody waits for the broker again for this long: publishing must cost milliseconds.
BROKEN_FOR_SECONDS = 1.0

_broken_until = 0.0


class _Ring:
    def __init__(self, task: str, queue: str) -> None:
        self.task = task
        self.queue = queue

    def __call__(self) -> None:
        publish_ring(self.task, self.queue)


def publish_ring(task: str, queue: str) -> bool:
    """Queue "look now" for a worker at once. False, without an error, when the broker can't be reached."""
    global _broken_until  # noqa: PLW0603  # one circuit breaker for the process is the point
    if time.monotonic() < _broken_until:
        return False
    try:
        current_app.send_task(task, queue=queue, expires=RING_EXPIRES_SECONDS, retry=False)
    except (BrokerError, RedisError, OSError) as error:
        _broken_until = time.monotonic() + BROKEN_FOR_SECONDS
        logger.warning("The broker can't be reached (%s); the ticker sweeps instead.", error)
        return False
    return True


def ring(task: str, queue: str) -> None:
    """After the current transaction commits, queue "look now" for `task`; once per transaction and task."""
    connection = transaction.get_connection()
    if any(isinstance(entry[1], _Ring) and entry[1].task == task for entry in connection.run_on_commit):
        return
    transaction.on_commit(_Ring(task, queue))
