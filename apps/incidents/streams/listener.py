"""Hearing of changes through Redis, where there is one. It reads no database and only says "look now"."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from redis.exceptions import RedisError

from apps.incidents.wakeup import CHANNEL

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 2.0


class Listener:
    """A thread that waits on the channel. While `connected` is False the hub looks by itself, often."""

    def __init__(self, woken: Callable[[], None]) -> None:
        self.connected = False
        self._woken = woken

    def start(self) -> None:
        """Listen in the background, for ever; without Redis nothing happens."""
        if settings.REDIS_URL:
            threading.Thread(target=self._run, name="event-wakeups", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                logger.info("Redis does not wake the event streams (%s); they look by themselves.", error)
            self.connected = False
            time.sleep(_PAUSE_SECONDS)

    def _listen(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, health_check_interval=10)
        with client.pubsub() as channel:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            channel.subscribe(CHANNEL)
            while True:
                message = channel.get_message(timeout=5.0)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self.connected = True
                # Also after (re)connecting: what happened in between was not heard.
                self._woken()
