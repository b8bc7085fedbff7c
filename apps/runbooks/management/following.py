"""Bringing an execution to its end from a terminal: this process does its steps, whether or not workers are there."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, connections
from django.urls import reverse

from apps.approvals.models import ApprovalRequest
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.runbooks.management.terminal import fresh_lines
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.executing import finish_manual
from apps.runbooks.operations.nesting import at_work_below
from apps.runbooks.queries import execution_url
from apps.runbooks.worker import advance

LOOK_EACH_SECONDS = 0.5
_DECIDED = ApprovalRequest.State.PENDING


class Left(Exception):
    """Whoever sits at the terminal went away; the workers go on."""


class Interrupt:
    """The first Ctrl-C lets the running step end, the second one ends this process at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Reporter:
    """Prints the log as it grows, also in the middle of a step, from a thread with a connection of its own."""

    def __init__(self, execution_id: int, say: Callable[[str], None]) -> None:
        self._execution_id, self._say, self._seen = execution_id, say, 0
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="report", daemon=True)

    def __enter__(self) -> Reporter:
        if not connection.in_atomic_block:  # inside a transaction another connection would see nothing
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def tell(self) -> None:
        """Print what is new."""
        with self._lock:
            for number, line in fresh_lines(self._execution_id, self._seen):
                self._seen = number
                self._say(line)

    def _run(self) -> None:
        try:
            while not self._over.wait(LOOK_EACH_SECONDS):
                self._tell_if_possible()
        finally:
            connections.close_all()

    def _tell_if_possible(self) -> None:
        try:
            self.tell()
        except DatabaseError:
            connections.close_all()  # the next look, or the end of the step, tells it


def page_of(execution: Execution) -> str:
    """Where it is followed in the browser."""
    return f"{settings.PUBLIC_URL}{execution_url(str(execution.pk))}"


def wait_for_decision(execution: Execution, seconds: float, say: Callable[[str], None]) -> str:
    """The state of its approval as soon as somebody has decided, or after `seconds`."""
    assert execution.approval_id is not None, "only an execution with an approval waits for one"
    asked = reverse("admin:approvals_approvalrequest_change", args=[execution.approval_id])
    say(f"Somebody else has to approve it: {settings.PUBLIC_URL}{asked}")
    say(f"Waiting for up to {round(seconds)} s; Ctrl-C ends the waiting, not the request.")
    until = time.monotonic() + seconds
    rows = ApprovalRequest.objects.filter(pk=execution.approval_id)
    while True:
        state = str(rows.values_list("state", flat=True).get())
        if state != _DECIDED or time.monotonic() >= until:
            return state
        time.sleep(LOOK_EACH_SECONDS)


def follow(execution_id: int, say: Callable[[str], None], ask: Callable[[str], bool] | None, actor: Actor) -> Execution:
    """Do its steps and print its log until it is over or its outcome is unknown.

    A step by hand is asked for with `ask`; without it, this waits until somebody finishes it elsewhere. Raises Left.
    """
    with Interrupt() as interrupt, Reporter(execution_id, say) as reporter:
        while True:
            advanced = advance(execution_id)
            for below in at_work_below(execution_id).values_list("pk", flat=True):
                advanced |= advance(below)
            reporter.tell()
            execution = Execution.objects.select_related("runbook", "runbook_version").get(pk=execution_id)
            if execution.state in Execution.FINAL or execution.state == Execution.State.UNKNOWN:
                return execution
            if interrupt.asked:
                raise Left
            if execution.state == Execution.State.WAITING and ask is not None:
                _by_hand(execution, ask, actor)
            elif not advanced:
                time.sleep(_pause(execution))


def _pause(execution: Execution) -> float:
    if execution.due_at is None:
        return LOOK_EACH_SECONDS
    return min(max((execution.due_at - now()).total_seconds(), 0.05), LOOK_EACH_SECONDS)


def _by_hand(execution: Execution, ask: Callable[[str], bool], actor: Actor) -> None:
    step = execution.steps.filter(state=StepRun.State.WAITING, due_at__isnull=True).first()
    if step is not None:
        instructions = str((step.outcome or {}).get("instructions", step.name))
        finish_manual(step.pk, done=ask(f"{instructions}\nIs it done?"), actor=actor)
