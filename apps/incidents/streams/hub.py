"""The one thread of a web process that does the streams' database work, and the streams that it feeds.

Async ORM inside a task that a request started was seen to die silently, so all queries run here, synchronously; the
event loop only gets bytes, by `call_soon_threadsafe`.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress

from django.db import close_old_connections, connections

from apps.foundation.stopping import before_stopping
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.queries import visible_to
from apps.incidents.streams import frames
from apps.incidents.streams.credentials import Credential, Refusal, user_for
from apps.incidents.streams.listener import Listener
from apps.incidents.streams.page import Stream
from apps.people.models import User

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.2
# However often we are woken, there is this pause between two looks.
BUSY_SECONDS = 0.05
# While Redis wakes us the database is looked at only this often, for the case that a wake-up was lost.
SAFETY_SECONDS = 2.0
RECHECK_SECONDS = 3.0
HINT_SECONDS = 1.0
STREAMS_PER_USER = 20
STREAMS_IN_PROCESS = 2000
REPLAYED_ENTRIES = 500
RECENT_ENTRIES = 200
# A change of who sees what concerns also those who no longer do.
KINDS_FOR_ALL = frozenset({"visibility", "access"})

_HIDDEN = Refusal(404, "not_found", "There is no such incident, or you may not see it.")
_TOO_MANY = Refusal(429, "too_many_streams", f"One account may hold {STREAMS_PER_USER} streams open: close some tabs.")
_FULL = Refusal(503, "too_many_streams", "This server has no stream left: try again later.")
_STOPPING = Refusal(503, "stopping", "This server is stopping: try again.")
_BROKEN = Refusal(503, "unavailable", "The database can't be asked now: try again.")


class Hub:
    """All streams of this process. Its thread starts with the first one and ends with the process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._streams: set[Stream] = set()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._listener = Listener(self._woken)
        self._wake_wanted = threading.Event()
        self._stopping = False
        self._recent: set[int] | None = None
        self._tailed_at = self._rechecked_at = 0.0

    # --- called from event loops ---

    async def open(self, stream: Stream) -> Refusal | None:
        """Check and admit a stream; None once its first frames are queued."""
        if self._stopping:
            return _STOPPING
        self._start()
        self._jobs.put(lambda: self._admit(stream))
        return await stream.admitted

    def close(self, stream: Stream) -> None:
        """Forget a stream whose page is gone; again changes nothing."""
        self._jobs.put(lambda: self._streams.discard(stream))

    def retire(self) -> None:
        """End all streams and admit no more: this process stops. Browsers come back to another one."""
        self._stopping = True
        self._jobs.put(lambda: None)
        for stream in list(self._streams):
            stream.offer(frames.end_frame("stopping", reconnect=True), last=True)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="event-streams", daemon=True)
                self._thread.start()
                self._listener.start()
                before_stopping(self.retire)

    def _woken(self) -> None:
        self._wake_wanted.set()
        self._jobs.put(lambda: None)

    # --- the thread ---

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._work()
            except Exception:  # without this thread every open page would stand still, unnoticed
                logger.exception("The event streams failed in one round; they go on.")
                connections.close_all()
                time.sleep(1)

    def _work(self) -> None:
        pause = BUSY_SECONDS if self._wake_wanted.is_set() else TICK_SECONDS
        with suppress(queue.Empty):
            self._jobs.get(timeout=pause)()
        self._round(time.monotonic())

    def _round(self, at: float) -> None:
        if not self._streams:
            self._recent = None
            return
        pause = SAFETY_SECONDS if self._listener.connected else TICK_SECONDS
        if at - self._rechecked_at >= RECHECK_SECONDS:
            self._rechecked_at = at
            close_old_connections()
            self._recheck()
        if self._wake_wanted.is_set():
            pause = BUSY_SECONDS
        if at - self._tailed_at >= pause:
            self._wake_wanted.clear()
            self._tailed_at = at
            self._tail()
        self._hint(at)

    def _admit(self, stream: Stream) -> None:
        refusal: Refusal | None = _BROKEN
        try:
            refusal = self._refusal(stream)
            if refusal is None:
                refusal = _BROKEN
                for data in self._first_frames(stream):
                    stream.offer(data)
                self._streams.add(stream)
                refusal = None
        finally:
            stream.answer(refusal)
            self._wake_wanted.set()

    def _refusal(self, stream: Stream) -> Refusal | None:
        found = user_for(stream.credential)
        if isinstance(found, Refusal):
            return found
        stream.user = found
        if len(self._streams) >= STREAMS_IN_PROCESS:
            return _FULL
        if sum(1 for other in self._streams if other.user == found) >= STREAMS_PER_USER:
            return _TOO_MANY
        if stream.incident_id is not None and not _visible(found, [stream.incident_id]):
            return _HIDDEN
        return None

    def _first_frames(self, stream: Stream) -> list[bytes]:
        if stream.incident_id is None:
            if self._recent is None:
                self._recent = {pk for pk, _, _ in _recent_entries()}
            return [frames.opening(None)]
        newest = Incident.objects.filter(pk=stream.incident_id).values_list("stream_seq", flat=True).first() or 0
        # Without a number, or with one from another world, the page starts from now on.
        stream.seen_seq = newest if stream.after is None else min(stream.after, newest)
        if stream.after is not None and stream.after > newest:
            return [frames.opening(newest), frames.refetch_frame(newest)]
        return [frames.opening(stream.seen_seq)]

    def _recheck(self) -> None:
        """Ask again, for every open stream, whether its credential still holds and its incident is still visible."""
        by_credential: dict[Credential | None, list[Stream]] = defaultdict(list)
        for stream in self._streams:
            by_credential[stream.credential].append(stream)
        for credential, held in by_credential.items():
            found = user_for(credential)
            if isinstance(found, Refusal):
                self._end(held, found.code)
                continue
            seen = _visible(found, [s.incident_id for s in held if s.incident_id is not None])
            for stream in held:
                stream.user = found
            self._end([s for s in held if s.incident_id is not None and s.incident_id not in seen], "not_found")

    def _end(self, held: Iterable[Stream], reason: str) -> None:
        for stream in list(held):
            self._streams.discard(stream)
            stream.offer(frames.end_frame(reason, reconnect=False), last=True)

    def _tail(self) -> None:
        by_incident: dict[int, list[Stream]] = defaultdict(list)
        home: list[Stream] = []
        for stream in self._streams:
            (home if stream.incident_id is None else by_incident[stream.incident_id]).append(stream)
        if by_incident:
            rows = Incident.objects.filter(pk__in=list(by_incident)).values_list("pk", "stream_seq", "version")
            for pk, newest, version in rows:
                behind = [stream for stream in by_incident[pk] if stream.seen_seq < newest]
                if behind:
                    self._feed(pk, behind, newest, version)
        if home:
            self._look_for_hints(home)

    def _feed(self, incident_id: int, behind: list[Stream], newest: int, version: int) -> None:
        """Send the lines that each stream lacks, to those who may see the incident at this very moment."""
        allowed = self._only_allowed(incident_id, behind)
        if not allowed:
            return
        start = max(min(stream.seen_seq for stream in allowed), newest - REPLAYED_ENTRIES)
        rows = TimelineEntry.objects.filter(incident_id=incident_id, seq__gt=start, seq__lte=newest).order_by("seq")
        lines = [(row.seq, frames.entry_frame(row)) for row in rows]
        for stream in allowed:
            if stream.seen_seq < newest - REPLAYED_ENTRIES:
                stream.offer(frames.refetch_frame(newest))
            else:
                for seq, data in lines:
                    if seq > stream.seen_seq:
                        stream.offer(data)
            stream.offer(frames.state_frame(version, newest))
            stream.seen_seq = newest

    def _only_allowed(self, incident_id: int, streams: list[Stream]) -> list[Stream]:
        by_user: dict[User, list[Stream]] = defaultdict(list)
        for stream in streams:
            if stream.user is not None:
                by_user[stream.user].append(stream)
        allowed: list[Stream] = []
        for user, held in by_user.items():
            if _visible(user, [incident_id]):
                allowed += held
            else:
                self._end(held, "not_found")
        return allowed

    def _look_for_hints(self, home: list[Stream]) -> None:
        """Note which home pages are out of date: those that may see one of the incidents with a new line."""
        rows = _recent_entries()
        before, self._recent = self._recent, {pk for pk, _, _ in rows}
        new = [row for row in rows if before is not None and row[0] not in before]
        if not new:
            return
        for_all = any(kind in KINDS_FOR_ALL for _, _, kind in new)
        changed = {incident_id for _, incident_id, _ in new}
        verdicts: dict[User, bool] = {}
        for stream in home:
            if stream.user is None:
                continue
            if stream.user not in verdicts:
                verdicts[stream.user] = for_all or bool(_visible(stream.user, changed))
            stream.hint_wanted = stream.hint_wanted or verdicts[stream.user]

    def _hint(self, at: float) -> None:
        for stream in self._streams:
            if stream.hint_wanted and at - stream.hinted_at >= HINT_SECONDS:
                stream.hint_wanted, stream.hinted_at = False, at
                stream.offer(frames.refetch_frame())


def _visible(user: User, incident_ids: Iterable[int]) -> set[int]:
    ids = list(incident_ids)
    return set(visible_to(user).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()


def _recent_entries() -> list[tuple[int, int, str]]:
    """The newest lines of all timelines. Rows may commit out of order, so a plain "greater than" would miss some."""
    rows = TimelineEntry.objects.order_by("-pk").values_list("pk", "incident_id", "kind")
    return list(rows[:RECENT_ENTRIES])


hub = Hub()
