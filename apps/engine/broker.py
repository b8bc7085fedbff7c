"""The broker of the embedded mode: kombu's filesystem transport, with messages that appear whole or not at all.

kombu opens a message's file under its final name and then writes it, so that a worker may read an empty
one and die of it, and the same holds for its files of bindings. It also takes messages by way of the
system's temporary folder.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem

SCHEME = "files"
_LONGEST_WAIT_SECONDS = 0.5


class Channel(filesystem.Channel):
    """Messages are files named `<milliseconds>_<id>.<queue>.msg`; a rename publishes one, and another takes it.

    A queue and its exchange have the same name, as Celery makes them, so that no bindings need keeping.
    """

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        return [filesystem.exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """There is nothing to keep."""

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)  # type: ignore[no-untyped-call]  # kombu has no types

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # its bases disagree
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        fresh = Path(self.data_folder_out, f".{name}.new")
        try:
            fresh.write_text(json.dumps(payload), encoding="utf-8")
            fresh.replace(fresh.with_name(name))
        except OSError as error:
            raise ChannelError(f"{fresh} can't be written: {error.strerror}") from error

    def _get(self, queue: str, timeout: Any = None) -> dict[str, Any]:
        ending = f"{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):  # noqa: PTH208  # bare names, ten times a second
            if name.startswith(".") or name.partition(".")[2] != ending:
                continue
            taken = Path(self.data_folder_in, f".{name}.{os.getpid()}.taken")
            try:
                Path(self.data_folder_in, name).rename(taken)
            except FileNotFoundError:
                continue  # another worker was faster
            found: dict[str, Any] = json.loads(taken.read_text(encoding="utf-8"))
            taken.unlink()
            return found
        raise Empty


class Transport(filesystem.Transport):
    """Selected by broker addresses that begin with `files://`."""

    Channel = Channel
    driver_name = SCHEME

    def drain_events(self, connection: Any, timeout: Any = None, **kwargs: Any) -> Any:
        """A worker that is told to stop sees it only between two calls: keep them short."""
        shorter = min(timeout or _LONGEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
        return super().drain_events(connection, timeout=shorter)  # type: ignore[no-untyped-call]  # kombu has no types
