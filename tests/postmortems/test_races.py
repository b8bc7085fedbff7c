"""Two at once: one review, one winner, nothing told twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from apps.engine.sweep import fire_timers
from apps.foundation.clock import now, use_clock
from apps.foundation.errors import DomainError
from apps.messaging.models import Message
from apps.people.operations import sync_groups
from apps.postmortems import operations
from apps.postmortems.models import Review
from tests.postmortems.conftest import World

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def raced(clock: Any, transactional_db: None) -> World:
    from tests.factories import novacron, team

    sync_groups()
    made = World(clock, novacron(), team("Core"))
    mona = made.person("mona", "manager")
    made.person("cleo", "commander", manager=mona)
    made.person("ida", "viewer", manager=mona)
    made.person("max", "manager")
    return made


@contextmanager
def closing() -> Iterator[None]:
    try:
        yield
    finally:
        connections.close_all()


def both(world: World, first: Callable[[], Any], second: Callable[[], Any]) -> list[Any]:
    """What came of two calls at once: results, or the errors that refused them."""
    barrier, found = threading.Barrier(2), []

    def run(verb: Callable[[], Any]) -> None:
        with closing(), use_clock(world.clock):
            barrier.wait()
            try:
                found.append(verb())
            except DomainError as error:
                found.append(error)

    threads = [threading.Thread(target=run, args=(verb,)) for verb in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 2
    return found


def test_two_who_open_a_review_get_the_same_one(raced: World) -> None:
    made = raced.open_incident(severity="P4")
    raced.resolve(made)
    found = both(
        raced,
        lambda: operations.open_review(made.pk, actor=raced.by("cleo")),
        lambda: operations.open_review(made.pk, actor=raced.by("mona")),
    )
    assert found[0].pk == found[1].pk
    assert len(raced.events("opened")) == 1


def test_of_two_edits_of_one_version_one_is_refused(raced: World) -> None:
    section = raced.review(raced.resolved()).sections.get(slug="summary")
    found = both(
        raced,
        lambda: operations.edit_section(section.pk, "One", expected_version=1, actor=raced.by("cleo")),
        lambda: operations.edit_section(section.pk, "Two", expected_version=1, actor=raced.by("mona")),
    )
    assert sum(isinstance(one, DomainError) for one in found) == 1


def test_of_accepting_and_sending_back_one_wins(raced: World) -> None:
    review = raced.submitted()
    both(
        raced,
        lambda: operations.mark_reviewed(review.pk, actor=raced.by("mona")),
        lambda: operations.send_back(review.pk, reason="No", actor=raced.by("max")),
    )
    state = Review.objects.get(pk=review.pk).state
    assert len(raced.events("reviewed")) == int(state == "reviewed")
    assert len(raced.events("sent_back")) == int(state == "draft")
    assert state in {"reviewed", "draft"}


def test_two_sweeps_tell_once(raced: World) -> None:
    raced.item(raced.review(raced.resolved()), due_at=now() + timedelta(hours=1))
    raced.clock.advance(timedelta(hours=1))
    both(raced, fire_timers, fire_timers)
    while fire_timers():
        pass
    assert len(raced.events("item_overdue")) == 1
    assert Message.objects.filter(title__startswith="Overdue: Alert", channel="inbox").count() == 1
