"""Hearing that the server stops, early enough to end the streams that it would otherwise wait for.

Servers tell an ASGI app of their stop (lifespan) only after all its requests have ended, and an open stream never
does. So the first stream puts a listener in front of the handlers of SIGTERM and SIGINT. An event loop does its own
signal handling through a wake-up file descriptor, which this leaves alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


def before_stopping(tell: Callable[[], None]) -> bool:
    """Call `tell` when the process is asked to stop, then go on as before. False where nothing handles the signals.

    Works from the main thread only, where servers run their event loop; from another one it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return False
    chained = [_chain(number, tell) for number in (signal.SIGTERM, signal.SIGINT)]
    return all(chained)


def _chain(number: signal.Signals, tell: Callable[[], None]) -> bool:
    former = signal.getsignal(number)
    if not callable(former):
        return False

    def handle(received: int, frame: FrameType | None) -> None:
        tell()
        former(received, frame)

    signal.signal(number, handle)
    return True
