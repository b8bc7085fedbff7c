"""Rings for the grouping workers from a thread of its own, so that no answer waits for the broker."""

from __future__ import annotations

import threading
import time

from apps.engine.bell import publish_ring

GROUP_TASK = "alerts.group"
GROUP_QUEUE = "timers"
QUICK_SECONDS = 0.02
STEADY_SECONDS = 0.2
CALM_SECONDS = 1.0


class Bell:
    """At most one ring each 20 ms; under steady load one each 200 ms, because a worker that was rung keeps looking
    until nothing is left. A commit is never left without a ring after it."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self) -> None:
        """Wish for a ring; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="intake-bell", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        pause = QUICK_SECONDS
        rang_at = float("-inf")
        while True:
            self._wanted.wait()
            quiet = time.monotonic() - rang_at
            pause = QUICK_SECONDS if quiet > CALM_SECONDS else min(pause * 1.5, STEADY_SECONDS)
            if quiet < pause:
                time.sleep(pause - quiet)
            self._wanted.clear()
            rang_at = time.monotonic()
            publish_ring(GROUP_TASK, GROUP_QUEUE)
