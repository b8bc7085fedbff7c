"""One thread per process that keeps flags and tokens fresh, so that answering needs no database.

Twice a second it looks whether anything changed, and whether the tokens in use are still good. While the database
can't be asked, the last flags and the tokens known so far keep being served: nobody can change them then either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import Error as DatabaseError

from apps.flags.ofrep import storage
from apps.flags.ofrep.storage import Known, Mark
from apps.flags.snapshot import Snapshot
from apps.foundation.clock import now

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
FRESH_SECONDS = 1.0
# A look that takes longer than this counts as failed already: a silent network tells nobody that it is gone.
HANGING_SECONDS = 1.0
# However sure the revision is, everything is read anew this often: a restored backup may have the same number.
RELOAD_SECONDS = 30.0
FORGET_SECONDS = 3600.0
NOTE_SECONDS = 60.0
STOP_SECONDS = 1.0
# Between two attempts at a database that can't be asked.
PAUSE_SECONDS = 0.05
MAX_TOKENS = 5_000
MAX_WANTED = 2_000


class Entry:
    """What one look said of a token; `known` None means that there is no such usable token."""

    __slots__ = ("checked_at", "known", "noted_at", "used_at")

    def __init__(self, known: Known | None, checked_at: float) -> None:
        self.known = known
        self.checked_at = self.used_at = checked_at
        self.noted_at = float("-inf")


class Watcher:
    """The snapshot and the tokens of this process. Readers take no lock; only the thread writes."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self._mark: Mark | None = None
        self._loaded_at = self._looked_at = float("-inf")
        self._tokens: dict[str, Entry] = {}
        self._wanted: set[str] = set()
        self._waiting: list[Callable[[], None]] = []
        self._listeners: set[Callable[[], None]] = set()
        self._hurried = False
        # What was asked for, by environment and flag, and not written yet; nothing is before the first minute is over.
        self._uses: dict[tuple[str, str], set[str]] = {}
        self._counted_at = time.monotonic()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._failed = False
        self._asking_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="flag-watcher", daemon=True)
        self._thread.start()

    # --- called by whoever answers ---

    def find(self, digest: str) -> tuple[Known | None, bool]:
        """The token with this digest, and whether that is certain; if not, `ask` and look again."""
        entry, at = self._tokens.get(digest), time.monotonic()
        if entry is None:
            return None, False
        entry.used_at = at
        if at - entry.checked_at > FRESH_SECONDS and (entry.known is None or not self._failing(at)):
            return None, False
        found = entry.known
        if found is not None and found.expires_at is not None and found.expires_at <= now():
            return None, True
        return found, True

    def ask(self, digest: str | None, wake: Callable[[], None], *, flags: bool = False) -> bool:
        """Have a look soon, also for this token; `wake` is called after it. False when too many wait already.

        With `flags` it also looks for changed flags before that is due.
        """
        with self._lock:
            if len(self._waiting) >= MAX_WANTED:
                return False
            self._hurried |= flags
            if digest is not None:
                self._wanted.add(digest)
            self._waiting.append(wake)
        self._wake.set()
        return True

    def listen(self, hear: Callable[[], None]) -> None:
        """Have `hear` called, on the thread, whenever flags have changed or a token is no longer good."""
        with self._lock:
            self._listeners.add(hear)

    def forget(self, hear: Callable[[], None]) -> None:
        """Call it no more; again changes nothing."""
        with self._lock:
            self._listeners.discard(hear)

    @property
    def listener_count(self) -> int:
        return len(self._listeners)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for hear in listeners:
            hear()

    def stop(self) -> None:
        """End the thread and give its connection back; again changes nothing."""
        self._stopping = True
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)

    def _failing(self, at: float) -> bool:
        since = self._asking_since
        return self._failed or (since is not None and at - since > HANGING_SECONDS)

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._wake.wait(max(0.0, self._looked_at + LOOK_SECONDS - time.monotonic()))
                self._wake.clear()
                if not self._stopping:
                    self._look()
                if self._failed:
                    time.sleep(PAUSE_SECONDS)
        finally:
            storage.drop()

    def _look(self) -> None:
        with self._lock:
            wanted, self._wanted = self._wanted, set()
            waiting, self._waiting = self._waiting, []
        try:
            self._asking_since = time.monotonic()
            self._refresh(wanted, self._asking_since)
            if self._failed:
                logger.info("Flags can be read again.")
            self._failed = False
        except DatabaseError as error:
            self._give_up(f"Flags can't be read; the last ones are served: {error}")
        except Exception:  # without this thread every answer would grow old, unnoticed
            logger.exception("Looking for changed flags failed; it goes on.")
            self._give_up("Flags can't be read; the last ones are served.")
        finally:
            self._asking_since = None
            for wake in waiting:
                wake()

    def _give_up(self, sentence: str) -> None:
        if not self._failed:
            logger.warning(sentence)
        self._failed = True
        self._looked_at = time.monotonic()
        storage.drop()

    def _refresh(self, wanted: set[str], at: float) -> None:
        """One round: everything when it is due, else only the tokens that somebody waits for."""
        with self._lock:
            hurried, self._hurried = self._hurried, False
        is_due = at - self._looked_at >= LOOK_SECONDS or self.snapshot is None
        changed = self._load_flags(at) if is_due or hurried else False
        if is_due:
            wanted = wanted | {digest for digest, entry in self._tokens.items() if entry.known is not None}
        changed |= self._load_tokens(wanted, at)
        if is_due:
            self._forget(at)
            self._note_use(at)
            self._note_flags(at)
            self._looked_at = at
        if changed:
            self._tell()

    def _load_flags(self, at: float) -> bool:
        """Whether there is another snapshot than before."""
        mark = storage.read_mark()
        if mark == self._mark and at - self._loaded_at < RELOAD_SECONDS:
            return False
        found = storage.read_snapshot(mark)
        self._count_uses()
        self.snapshot = found
        self._mark, self._loaded_at = mark, at
        return True

    def _load_tokens(self, digests: set[str], at: float) -> bool:
        """Whether one of them is no longer good."""
        found, lost = storage.read_tokens(digests), False
        for digest in digests:
            entry = self._tokens.get(digest)
            if entry is None:
                self._tokens[digest] = Entry(found.get(digest), at)
            else:
                lost |= entry.known is not None and digest not in found
                entry.known = found.get(digest)
                entry.checked_at = at
        return lost

    def _forget(self, at: float) -> None:
        """Drop what is of no use any more, and what was used longest ago where there are too many."""
        kept = {}
        for digest, entry in self._tokens.items():
            age = at - (entry.checked_at if entry.known is None else entry.used_at)
            if age <= (FRESH_SECONDS if entry.known is None else FORGET_SECONDS):
                kept[digest] = entry
        if len(kept) > MAX_TOKENS:
            newest = sorted(kept, key=lambda digest: kept[digest].used_at, reverse=True)
            kept = {digest: kept[digest] for digest in newest[:MAX_TOKENS]}
        self._tokens = kept

    def _count_uses(self) -> None:
        for flag, variants in (self.snapshot.take_uses() if self.snapshot is not None else {}).items():
            self._uses.setdefault(flag, set()).update(variants)

    def _note_flags(self, at: float) -> None:
        """Write once a minute which flags were asked for: answering itself only sets a mark."""
        if at - self._counted_at < NOTE_SECONDS:
            return
        self._count_uses()
        uses, self._uses, self._counted_at = self._uses, {}, at
        if uses:
            storage.note_flags(uses)

    def _note_use(self, at: float) -> None:
        used = [
            entry
            for entry in self._tokens.values()
            if entry.known is not None and at - entry.noted_at >= NOTE_SECONDS and entry.used_at > entry.noted_at
        ]
        if used:
            storage.note_use([entry.known.id for entry in used if entry.known is not None])
        for entry in used:
            entry.noted_at = at
