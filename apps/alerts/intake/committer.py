"""One thread per process that commits whatever waits, all of it at once.

While one commit is on its way to the disk the next requests queue up, so the batch grows with the load by itself and
an idle portal commits a single alert without waiting for company.
"""

from __future__ import annotations

import logging
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Iterable

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError

from apps.alerts.intake.core import Known
from apps.alerts.intake.meter import Meter
from apps.alerts.intake.storage import Row, Storage
from apps.foundation.errors import DomainError

logger = logging.getLogger(__name__)

MAX_WAITING = 4_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
MAX_BATCH = 500
MAX_BATCH_BYTES = 8 * 1024 * 1024
KEYS_FRESH_SECONDS = 1.0
KEYS_STALE_SECONDS = 2.0
UNKNOWN_KEY_SECONDS = 0.1
COUNT_SECONDS = 1.0


class Unavailable(DomainError):
    """Not committed, or not known to be: the sender must send again."""

    code = "unavailable"
    http_status = 503


class Ticket:
    """One request that waits: for its rows to be committed, or (without a row) for fresh keys."""

    __slots__ = ("_future", "_lock", "_loop", "given_up", "receipt_id", "row")

    def __init__(self, row: Row | None, loop: AbstractEventLoop | None) -> None:
        self.row = row
        self.receipt_id: int | None = None
        self.given_up = False
        self._loop = loop
        self._future: Future[None] | None = loop.create_future() if loop is not None else None
        self._lock: threading.Lock | None = None
        if loop is None:
            self._lock = threading.Lock()
            self._lock.acquire()  # released by the committer: a one-shot event, cheaper than Event

    async def settled_async(self, seconds: float) -> None:
        """Wait in the event loop; returns when settled or after `seconds`."""
        if self._loop is None or self._future is None:
            raise RuntimeError("This ticket belongs to a thread.")
        timer = self._loop.call_later(seconds, _wake, (self,))
        try:
            await self._future
        finally:
            timer.cancel()
            self.given_up = True

    def settled(self, seconds: float) -> None:
        """Wait in a thread; returns when settled or after `seconds`."""
        if self._lock is None:
            raise RuntimeError("This ticket belongs to an event loop.")
        self._lock.acquire(timeout=seconds)
        self.given_up = True

    @staticmethod
    def settle(tickets: Iterable[Ticket]) -> None:
        """Wake everybody who waits, with one call into each event loop."""
        by_loop: dict[AbstractEventLoop, list[Ticket]] = {}
        for ticket in tickets:
            if ticket._loop is not None:
                by_loop.setdefault(ticket._loop, []).append(ticket)
            elif ticket._lock is not None:
                ticket._lock.release()
        for loop, waiting in by_loop.items():
            try:
                loop.call_soon_threadsafe(_wake, waiting)
            except RuntimeError:  # the loop was closed while its requests waited: nobody listens any more
                logger.info("%s requests went away while they waited.", len(waiting))

    def wake(self) -> None:
        """Runs in the ticket's own event loop."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


def _wake(tickets: Iterable[Ticket]) -> None:
    for ticket in tickets:
        ticket.wake()


class Committer:
    """The queue, the thread behind it, and the keys that this thread keeps fresh."""

    def __init__(self, storage: Storage, committed: Callable[[], None]) -> None:
        self._storage = storage
        self._committed = committed
        self._waiting: deque[Ticket] = deque()
        self._waiting_bytes = 0
        self._condition = threading.Condition(threading.Lock())
        self._keys: dict[str, Known] = {}
        self._keys_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._meter = Meter(self._wake)
        self._counted_at = float("-inf")

    # --- called by requests ---------------------------------------------------------------------------------------

    def find(self, digest: str, asked_at: float = float("inf")) -> tuple[Known | None, bool]:
        """The integration of a key, and whether that may be said without asking the database again.

        A known key is trusted for two seconds, so a revocation holds after two seconds everywhere. An unknown one is
        asked for again at most ten times a second, whoever tries how many. What was read since `asked_at` holds in any
        case.
        """
        age = time.monotonic() - self._keys_at
        known = self._keys.get(digest)
        return known, self._keys_at >= asked_at or age < (UNKNOWN_KEY_SECONDS if known is None else KEYS_STALE_SECONDS)

    def admit(self, known: Known, at: float) -> int:
        """Count a request; 0 when it may come, else after how many whole seconds the integration may try again."""
        return self._meter.admit(known.id, known.limit, at)

    def _wake(self) -> None:
        """The count must be written though no other request may come."""
        with self._condition:
            self._condition.notify()

    def put(self, row: Row | None, loop: AbstractEventLoop | None) -> Ticket:
        """Queue a row (or, with None, a wish for fresh keys). Unavailable when too much waits already."""
        ticket = Ticket(row, loop)
        with self._condition:
            if row is not None:
                if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
                    raise Unavailable("Too many requests wait for the database.")
                self._waiting_bytes += len(row.body)
            self._waiting.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="intake-committer", daemon=True)
                self._thread.start()
            elif len(self._waiting) == 1:
                self._condition.notify()
        return ticket

    def stop(self) -> None:
        """Finish what waits, close the connection and end the thread."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._stopping and not self._counts_due():
                    self._condition.wait(COUNT_SECONDS if self._meter.is_dirty else None)
                if self._stopping and not self._waiting:
                    break
                batch = self._take()
            try:
                if batch:
                    self._handle(batch)
            except Exception:  # whatever happens, the one thread that commits must live on
                logger.exception("Intake could not handle a batch.")
                self._storage.drop()
            finally:
                Ticket.settle(batch)
            if self._counts_due():
                self._write_counts()
        self._write_counts()
        self._storage.drop()

    def _counts_due(self) -> bool:
        return self._meter.is_dirty and time.monotonic() - self._counted_at >= COUNT_SECONDS

    def _write_counts(self) -> None:
        """Nobody waits for it. What can't be written is kept for the next time."""
        self._counted_at = time.monotonic()
        counts = self._meter.drain()
        if not counts:
            return
        try:
            self._meter.learn(self._storage.count(counts))
        except DatabaseError as error:
            self._storage.drop()
            self._meter.put_back(counts)
            logger.warning("Intake can't write how much it took: %s", error)

    def _take(self) -> list[Ticket]:
        batch: list[Ticket] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            ticket = self._waiting.popleft()
            batch.append(ticket)
            if ticket.row is not None:
                size += len(ticket.row.body)
        self._waiting_bytes -= size
        return batch

    def _handle(self, batch: list[Ticket]) -> None:
        if time.monotonic() - self._keys_at > KEYS_FRESH_SECONDS or any(ticket.row is None for ticket in batch):
            self._refresh_keys()
        live = [ticket for ticket in batch if ticket.row is not None and not ticket.given_up]
        if not live:
            return
        if not self._insert(live, last=False):
            self._insert(live, last=True)
        if any(ticket.receipt_id is not None for ticket in live):
            self._committed()

    def _refresh_keys(self) -> None:
        asked_at = time.monotonic()
        for attempt in (1, 2):
            try:
                self._keys = self._storage.load_keys()
            except DatabaseError as error:
                self._storage.drop()
                if attempt == 2:  # noqa: PLR2004  # the second of two
                    logger.warning("Intake can't read its keys: %s", error)
            else:
                self._keys_at = asked_at
                return

    def _insert(self, tickets: list[Ticket], *, last: bool) -> bool:
        """Commit the rows; False when the connection was at fault and one more try makes sense."""
        rows = [ticket.row for ticket in tickets if ticket.row is not None]
        try:
            ids = self._storage.insert(rows)
        except (OperationalError, InterfaceError) as error:
            self._storage.drop()
            if last:
                logger.warning("Intake can't commit %s receipts: %s", len(rows), error)
            return False
        except DatabaseError as error:
            self._storage.drop()
            logger.warning("Intake can't commit %s receipts: %s", len(rows), error)
            if len(tickets) > 1:
                for ticket in tickets:
                    self._insert([ticket], last=True)
            return True
        for ticket, receipt_id in zip(tickets, ids, strict=True):
            ticket.receipt_id = receipt_id
        return True
