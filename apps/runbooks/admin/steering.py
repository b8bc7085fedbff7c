"""The buttons of an execution: each asks once, then calls ONE operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from apps.people.admin.base import request_actor
from apps.people.models import User
from apps.runbooks.admin.asking import Ask, Choice, Given, ask_or_do
from apps.runbooks.admin.execution_page import instructions_of
from apps.runbooks.admin.powers import may_bypass
from apps.runbooks.models import Execution, StepRun
from apps.runbooks.operations.executing import bypass_and_execute, cancel, execute, finish_manual, settle
from apps.runbooks.permissions import user_may_steer

_FAILS = "The step counts as failed, and what the runbook says for a failure follows."


class ExecutionSteering:
    """Mixed into the admin of executions, which finds the row and gives the addresses."""

    find: Callable[[HttpRequest, str], Execution]

    def start_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Start what is allowed. What it would do is looked up once more: a difference voids the approval."""
        execution = self._steered(request, object_id)
        ask = Ask(
            title=f"Start {execution}?",
            action=_address("start", execution),
            back=_page(execution),
            submit="Start now",
            icon="play_arrow",
            lead=(
                "The portal looks once more before the first step. If anything is not as it was approved, "
                "nothing starts and the approval is void."
            ),
            reason_label="",
            reason_needed=False,
        )

        def do(given: Given) -> Any:
            return execute(execution.pk, actor=request_actor(request))

        return self._ask(request, execution, ask, do, "Started.")

    def bypass_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Start without the second person, in an emergency."""
        execution = self._steered(request, object_id)
        if not may_bypass(request.user):
            raise PermissionDenied
        ask = Ask(
            title=f"Start {execution} without an approval?",
            action=_address("bypass", execution),
            back=_page(execution),
            submit="Bypass and start now",
            icon="emergency",
            tone="danger",
            lead=(
                "Only for an emergency in which nobody who may approve can be reached. Every approver and manager is "
                "told at once, with your name and your reason, and the record keeps it."
            ),
            reason_label="Why it can't wait for a second person",
            reason_hint="Nobody of the approvers answers; players lose purchases each minute",
        )

        def do(given: Given) -> Any:
            return bypass_and_execute(execution.pk, reason=given.reason, actor=request_actor(request))

        return self._ask(request, execution, ask, do, "Started without an approval.")

    def cancel_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Stop it: nothing is left half done."""
        execution = self._steered(request, object_id)
        at_work = execution.state in Execution.AT_WORK
        ask = Ask(
            title=f"Cancel {execution}?",
            action=_address("cancel", execution),
            back=_page(execution),
            submit="Cancel and undo" if at_work else "Cancel it",
            icon="cancel",
            tone="danger",
            lead=(
                "The step that runs now is brought to its end. Then what was done is taken back, the last step first."
                if at_work
                else "Nothing has been changed yet, and nothing will be. What was asked of the approvers is withdrawn."
            ),
        )

        def do(given: Given) -> Any:
            return cancel(execution.pk, reason=given.reason, actor=request_actor(request))

        return self._ask(request, execution, ask, do, "It is being undone." if at_work else "Cancelled.")

    def settle_page(self, request: HttpRequest, object_id: int, step_id: int) -> HttpResponse:
        """Say whether a step of unknown outcome has happened."""
        execution = self._steered(request, object_id)
        step = _step(execution, step_id)
        ask = Ask(
            title=f"Did it happen: {step.name}?",
            action=_address("settle", execution, step),
            back=_page(execution),
            submit="That is so",
            icon="gavel",
            lead=(
                "The portal began this step and never learned how it ended. Doing it twice might do harm, so it asks "
                "you. Look at the other system first."
            ),
            choices=(
                Choice(
                    "yes", "Yes, it happened", "It counts as done: the next step starts, and undoing would undo it."
                ),
                Choice("no", "No, it did not", _FAILS),
            ),
            reason_label="How you know",
            reason_hint="The audit log of the payment provider shows no call at 03:12",
        )

        def do(given: Given) -> Any:
            return settle(step.pk, happened=given.choice == "yes", reason=given.reason, actor=request_actor(request))

        return self._ask(request, execution, ask, do, "Settled.")

    def finish_page(self, request: HttpRequest, object_id: int, step_id: int) -> HttpResponse:
        """Say that a manual step is done, or can't be."""
        execution = self._steered(request, object_id)
        step = _step(execution, step_id)
        ask = Ask(
            title=step.name,
            action=_address("finish", execution, step),
            back=_page(execution),
            submit="Say so",
            icon="front_hand",
            lead=instructions_of(step),
            choices=(
                Choice("yes", "Done", "The next step starts."),
                Choice("no", "It can't be done", _FAILS),
            ),
            reason_label="Note",
            reason_needed=False,
            reason_hint="What you did or found",
        )

        def do(given: Given) -> Any:
            return finish_manual(step.pk, done=given.choice == "yes", note=given.reason, actor=request_actor(request))

        return self._ask(request, execution, ask, do, "Noted.")

    def _ask(
        self, request: HttpRequest, execution: Execution, ask: Ask, do: Callable[[Given], Any], done: str
    ) -> HttpResponse:
        return ask_or_do(request, ask, do, done=lambda _: done, to=lambda _: _page(execution))

    def _steered(self, request: HttpRequest, object_id: int) -> Execution:
        """An execution that this person may steer: 404 where it is hidden from them, 403 where they only see it."""
        execution = self.find(request, str(object_id))
        if not isinstance(request.user, User) or not user_may_steer(request.user, execution):
            raise PermissionDenied
        return execution


def _step(execution: Execution, step_id: int) -> StepRun:
    found = execution.steps.filter(pk=step_id).first()
    if found is None:
        raise Http404("There is no such step.")
    return found


def _page(execution: Execution) -> str:
    return reverse("admin:runbooks_execution_change", args=[execution.pk])


def _address(verb: str, execution: Execution, step: StepRun | None = None) -> str:
    key = [execution.pk, step.pk] if step is not None else [execution.pk]
    return reverse(f"admin:runbooks_execution_{verb}", args=key)
