"""One round of sending: this thread speaks with the database, the transports' threads with the providers."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue

from django.conf import settings

from apps.engine.pulses import beat
from apps.foundation.clock import now
from apps.foundation.egress.deadlines import Deadline
from apps.foundation.subjects import Subject, subject_url
from apps.messaging.drafts import idempotency_key
from apps.messaging.models import Attempt, Message
from apps.messaging.providers.base import Outgoing, Result, Session, shortened
from apps.messaging.providers.webhook import portal_signing_key
from apps.messaging.queries import due
from apps.messaging.registry import has_responder
from apps.messaging.sending.equipment import Equipment, equip
from apps.messaging.sending.lanes import Lane, Rests, lane_for, rests, threads
from apps.messaging.sending.leases import attempt_seconds, claim, give_back, lease_length, look
from apps.messaging.sending.outcomes import Finished, record
from apps.messaging.sending.wording import word
from apps.people.crypto import Unreadable, unseal

logger = logging.getLogger(__name__)

# A round takes in new messages for this long, and longer only while a slow provider keeps it from ending.
TAKE_IN_SECONDS = 5.0
MOST_TAKE_IN_SECONDS = 30.0
LOOK_EACH_SECONDS = 0.05
WRITE_AFTER_SECONDS = 0.05
WRITE_AFTER_MESSAGES = 25
PULSE = "sweep:messaging.send_due"
_NOTHING = Equipment()


@dataclass(frozen=True, slots=True)
class _Flight:
    """A message that a session is sending."""

    lane: Lane
    session: Session
    message: Message
    since: float
    connection_id: int | None = None


def send_due() -> int:
    """Send what is due, over all channels, in one bounded round; returns how many messages were handled.

    Safe to run side by side in any number of workers: each message is claimed by one. Never raises for a
    provider's faults. Does no network call inside a transaction.
    """
    return _Round().run()


class _Round:
    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._landed: SimpleQueue[tuple[_Flight, Future[Result]]] = SimpleQueue()
        self._flying: set[_Flight] = set()
        self._finished: list[Finished] = []
        self._first_finished = 0.0
        self._started = time.monotonic()
        self._last_claim = 0.0
        self._rests: Rests = rests(os.getpid())
        self._handled = 0

    def run(self) -> int:
        try:
            while True:
                claimed = self._take_in()
                self._dispatch()
                if self._flying:
                    self._collect()
                elif not claimed:
                    break
                self._write(all_of_it=not self._flying)
        finally:
            self._leave()
        return self._handled

    # --- taking in ---

    def _take_in(self) -> bool:
        """Claim more when there is room for it and time left; whether anything was claimed."""
        at = time.monotonic()
        if not self._takes_in(at) or (self._flying and at - self._last_claim < LOOK_EACH_SECONDS):
            return False
        self._last_claim = at
        beat(PULSE)
        shut = {name for name, lane in self._lanes.items() if lane.full} | self._rests.resting()
        if not due(now(), but=shut).exists():
            return False
        claimed = claim(but=shut)
        for message in claimed:
            self._line_up(message)
        return bool(claimed)

    def _takes_in(self, at: float) -> bool:
        age = at - self._started
        slow = any(at - flight.since > 1.0 for flight in self._flying)
        return age < (MOST_TAKE_IN_SECONDS if slow else TAKE_IN_SECONDS)

    def _line_up(self, message: Message) -> None:
        if message.attempts >= settings.MESSAGE_MAX_ATTEMPTS:
            # Its last attempt ended without an outcome, and there is no further one.
            message.attempts += 1
            self._finish(message, Result(Attempt.Outcome.REFUSED, "Given up: the last attempt may have been sent."))
            return
        name = message.lane or message.channel
        if name not in self._lanes:
            lane = lane_for(message)
            if lane is None:
                message.attempts += 1
                self._finish(message, Result(Attempt.Outcome.REFUSED, f"Nothing sends by {message.channel}."))
                return
            self._lanes[name] = lane
        self._lanes[name].waiting.append(message)

    # --- sending ---

    def _dispatch(self) -> None:
        """Give each free session a message that has just passed its last look."""
        while batch := list(self._next_ones()):
            verdicts = look([message for _, message in batch])
            going = [message for _, message in batch if verdicts.get(message.pk) == ""]
            word(going)
            equipment = equip(going)
            for lane, message in batch:
                verdict = verdicts.get(message.pk)
                if verdict is None:
                    logger.info("Message %s is no longer ours.", message.pk)
                elif verdict:
                    self._finish(message, Result(Attempt.Outcome.VOID, verdict))
                else:
                    self._send(lane, message, equipment.get(message.pk, _NOTHING))
        for lane in self._lanes.values():
            if not lane.room and lane.waiting and self._is_old(lane.waiting[0]):
                self._give_back(lane, timedelta(0))

    def _next_ones(self) -> Iterator[tuple[Lane, Message]]:
        for lane in self._lanes.values():
            for _ in range(min(lane.room, len(lane.waiting))):
                yield lane, lane.waiting.popleft()

    def _is_old(self, message: Message) -> bool:
        return message.lease_until is None or message.lease_until - now() < lease_length() / 2

    def _send(self, lane: Lane, message: Message, equipment: Equipment) -> None:
        if equipment.missing:
            self._finish(message, Result(Attempt.Outcome.REFUSED, equipment.missing))
            return
        try:
            outgoing = outgoing_of(message, equipment)
        except Unreadable as error:
            self._finish(message, Result(Attempt.Outcome.REFUSED, error.message))
            return
        account = outgoing.credentials.connection_id if outgoing.credentials else None
        flight = _Flight(lane, lane.take_session(), message, time.monotonic(), account)
        self._flying.add(flight)
        future = threads(os.getpid()).submit(flight.session.send, outgoing, Deadline(attempt_seconds()))
        future.add_done_callback(lambda done: self._landed.put((flight, done)))

    # --- what came of it ---

    def _collect(self) -> None:
        """Wait a moment for the first session to finish, and take all that have."""
        try:
            flight, future = self._landed.get(timeout=LOOK_EACH_SECONDS)
        except Empty:
            return
        self._land(flight, future)
        while not self._landed.empty():
            self._land(*self._landed.get_nowait())

    def _land(self, flight: _Flight, future: Future[Result]) -> None:
        self._flying.discard(flight)
        lane, error = flight.lane, future.exception()
        if error is not None:
            logger.error("Sending message %s failed unexpectedly.", flight.message.pk, exc_info=error)
            lane.lose_session(flight.session)
            self._finish(flight.message, Result(Attempt.Outcome.UNKNOWN, f"{type(error).__name__}: {shortened(error)}"))
            return
        lane.give_session(flight.session)
        result = future.result()
        if not result.provider_broken:
            lane.proved = True
            self._rests.end(lane.name)
        elif not lane.closed:
            lane.closed = True
            self._give_back(lane, self._rests.begin(lane.name, result.retry_after_seconds or 0.0))
        self._finish(flight.message, result, flight.connection_id)

    def _finish(self, message: Message, result: Result, connection_id: int | None = None) -> None:
        if not self._finished:
            self._first_finished = time.monotonic()
        self._finished.append(Finished(message, result, connection_id))

    def _write(self, *, all_of_it: bool) -> None:
        waited = time.monotonic() - self._first_finished
        if not self._finished:
            return
        if all_of_it or waited >= WRITE_AFTER_SECONDS or len(self._finished) >= WRITE_AFTER_MESSAGES:
            finished, self._finished = self._finished, []
            record(finished)
            self._handled += len(finished)

    def _give_back(self, lane: Lane, after: timedelta) -> None:
        waiting: Sequence[Message] = list(lane.waiting)
        lane.waiting.clear()
        give_back(waiting, after=after)

    def _leave(self) -> None:
        """Also when something went wrong: write what is known, give back what was not tried."""
        self._write(all_of_it=True)
        for lane in self._lanes.values():
            self._give_back(lane, timedelta(0))
            lane.hang_up()


def outgoing_of(message: Message, equipment: Equipment = _NOTHING) -> Outgoing:
    """What the transport gets of a message. Raises Unreadable when its endpoint's secret can't be read."""
    subject = Subject(message.subject_kind, message.subject_key)
    path = subject_url(subject) if subject.kind else ""
    endpoint = message.endpoint
    secret = equipment.secret
    if message.channel == Message.Channel.WEBHOOK:
        secret = unseal(endpoint.secret_encrypted) if endpoint else portal_signing_key()
    return Outgoing(
        channel=message.channel,
        address=endpoint.url if endpoint else message.address,
        title=message.title,
        body=message.body,
        subject=subject,
        subject_url=f"{settings.PUBLIC_URL}{path}" if path else "",
        idempotency_key=idempotency_key(message.dedupe_key),
        number=message.attempts,
        payload=message.payload,
        is_event=endpoint is not None,
        secret=secret,
        credentials=equipment.credentials,
        message_id=message.pk,
        can_respond=has_responder(subject.kind) and bool(message.payload.get("can_respond", message.guard_kind)),
    )
