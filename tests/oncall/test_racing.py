"""Two people at once: one wins, the other is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import close_old_connections, connection

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.oncall.models import Override, Rotation
from apps.oncall.operations import add_override, create_rotation, request_swap, take_swap
from apps.people.models import User
from tests.factories import named, team

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
SYSTEM = Actor.system()
HOUR = timedelta(hours=1)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call returned or raised, when all begin at the same instant in threads of their own."""
    ready = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        ready.wait(timeout=20)
        try:
            return call()
        except Conflict as refused:
            return refused
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        found = list(pool.map(run, calls))
    close_old_connections()
    return found


@pytest.fixture
def people() -> list[User]:
    return [named(name) for name in ("ana", "ben", "cat")]


@pytest.fixture
def rotation(people: list[User]) -> Rotation:
    return create_rotation(team("Core").pk, "core", "Core", member_ids=[people[0].pk], actor=SYSTEM)


def test_of_two_overlapping_covers_one_wins_and_the_other_is_told(rotation: Rotation, people: list[User]) -> None:
    begins, ben, cat = now() + HOUR, people[1], people[2]
    found = at_once(
        lambda: add_override(rotation.pk, ben.pk, begins, begins + 8 * HOUR, actor=SYSTEM),
        lambda: add_override(rotation.pk, cat.pk, begins + HOUR, begins + 9 * HOUR, actor=SYSTEM),
    )
    (winner,) = [one for one in found if isinstance(one, Override)]
    (refused,) = [one for one in found if isinstance(one, Conflict)]
    assert (refused.code, refused.extra["override"]) == ("override_overlaps", winner.pk)
    assert f"{winner.user.name} covers already" in refused.message
    assert Override.objects.count() == 1


def test_of_two_takers_of_a_swap_one_wins_and_the_other_is_told(rotation: Rotation, people: list[User]) -> None:
    begins = now() + HOUR
    swap = request_swap(rotation.pk, begins, begins + HOUR, user_id=people[0].pk, actor=SYSTEM)
    found = at_once(
        lambda: take_swap(swap.pk, user_id=people[1].pk, actor=SYSTEM),
        lambda: take_swap(swap.pk, user_id=people[2].pk, actor=SYSTEM),
    )
    (refused,) = [one for one in found if isinstance(one, Conflict)]
    swap.refresh_from_db()
    assert refused.code == "swap_is_not_open"
    assert Override.objects.get().user_id == swap.taker_id
