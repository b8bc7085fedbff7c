"""Two deciders at once, and two who ask at once, on PostgreSQL with real transactions in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, refuse
from apps.engine.models import Event
from apps.foundation.errors import Conflict
from tests.approvals.conftest import CONTENT, Question
from tests.factories import actor, named

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture
def question(transactional_db: None) -> Question:
    return Question()


def together(*works: Callable[[], object]) -> list[object]:
    """Run all at once, each in a thread and a connection of its own; what each gave, or the Conflict it met."""
    gate = threading.Barrier(len(works), timeout=60)
    found: list[object] = [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        try:
            gate.wait()
            found[number] = work()
        except Conflict as error:
            found[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_two_deciders_at_once_one_wins_and_the_other_is_told(question: Question) -> None:
    other = named("other", "approver")
    for number in range(15):
        request = question.ask({**CONTENT, "number": number})
        found = together(
            partial(approve, request.pk, actor=actor(question.aron)),
            partial(refuse, request.pk, reason="no", actor=actor(other)),
        )
        assert sorted(type(item).__name__ for item in found) == ["ApprovalRequest", "Conflict"]
        kinds = Event.objects.filter(payload__request_id=request.pk).exclude(kind="approvals.requested")
        assert kinds.count() == 1


def test_of_two_who_ask_at_once_one_request_stands(question: Question) -> None:
    other = named("other", "commander")
    for number in range(10):
        same = {**CONTENT, "number": number}
        first, second = together(partial(question.ask, same), partial(question.ask, same, by=other))
        assert first == second
        pending = ApprovalRequest.objects.filter(state="pending")
        assert [row.content["number"] for row in pending] == [number]


def test_of_two_who_ask_for_different_things_at_once_only_one_is_pending(question: Question) -> None:
    other = named("other", "commander")
    for number in range(10):
        mine, others = {"number": number, "by": 1}, {"number": number, "by": 2}
        together(partial(question.ask, mine), partial(question.ask, others, by=other))
        assert ApprovalRequest.objects.filter(state="pending").count() == 1
