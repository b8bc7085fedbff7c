"""Two workers that page the same person at once, on PostgreSQL with real transactions in threads."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction

from apps.foundation.clock import use_clock
from apps.messaging.models import Message
from apps.messaging.sending.leases import claim
from apps.paging.bundles import bundle_wordings
from apps.paging.models import BundledPage, EscalationRun, Page, PageBundle, PageWindow
from apps.paging.operations import acknowledge_bundle, restart, start_escalations, told_together
from apps.paging.operations.starting import lock_runs
from apps.people.models import ContactPoint
from tests.factories import actor, answers_for, team
from tests.paging.conftest import SYSTEM, World, level, path_pack
from tests.paging.test_racing import together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

WORKERS, EACH = 4, 6


@pytest.fixture
def world(transactional_db: None, clock: object) -> World:
    made = World(clock, path_pack(level(1, "primary")), team("Core"))  # type: ignore[arg-type]  # the manual one
    made.answer("ana", "primary")
    return made


def emails() -> list[Message]:
    return list(Message.objects.filter(channel="email").order_by("due_at", "pk"))


def test_two_workers_open_one_window_and_lose_nothing(world: World) -> None:
    batches = [[world.item() for _ in range(EACH)] for _ in range(WORKERS)]
    together(world.clock, *(partial(start_escalations, batch, actor=SYSTEM) for batch in batches))
    assert [round((row.due_at - world.began).total_seconds()) for row in emails()] == [0, 60]
    assert (Page.objects.count(), BundledPage.objects.count()) == (WORKERS * EACH, WORKERS * EACH - 1)
    assert (PageWindow.objects.count(), PageBundle.objects.count()) == (1, 1)


def test_many_people_in_any_order_do_not_block_each_other_for_ever(world: World) -> None:
    ben = world.answer("ben", "secondary")
    world.version = path_pack(level(1, "primary", roles=["primary", "secondary"]))
    assert ContactPoint.objects.filter(user=ben).exists()
    other = team("Other")
    answers_for("secondary", world.people["ana"], other)
    answers_for("primary", ben, other)
    for _ in range(5):
        first, second = [world.item() for _ in range(EACH)], [world.item() for _ in range(EACH)]
        together(
            world.clock,
            partial(start_escalations, first, actor=SYSTEM),
            partial(start_escalations, second, actor=SYSTEM),
        )
    assert Page.objects.count() == 5 * 2 * EACH * 2
    assert len(emails()) == 4  # for each of the two: the first at once, and all others together


def test_who_pages_and_then_locks_another_escalation_blocks_nobody_who_pages_for_that(world: World) -> None:
    other = world.start()
    begun, locked = threading.Event(), threading.Event()

    def pages_and_locks() -> None:
        with transaction.atomic(), told_together():
            start_escalations([world.item()], actor=SYSTEM)
            begun.set()
            locked.wait(10)
            lock_runs([other])

    def locks_and_pages() -> None:
        with transaction.atomic():
            lock_runs([other])
            locked.set()
            begun.wait(10)
            restart(world.item(other), actor=SYSTEM)

    together(world.clock, pages_and_locks, locks_and_pages)
    assert Page.objects.count() == 3


def test_an_answer_to_a_message_does_not_answer_what_got_worse_meanwhile(world: World) -> None:
    items = [world.item(), world.item()]
    start_escalations(items, actor=SYSTEM)
    [bundle] = PageBundle.objects.all()
    worse = items[1].subject
    begun, may_end = threading.Event(), threading.Event()

    def gets_worse() -> None:
        with transaction.atomic():
            restart(world.item(worse, severity="P0"), actor=SYSTEM)
            begun.set()
            may_end.wait(10)

    def answers() -> None:
        begun.wait(10)
        threading.Timer(0.3, may_end.set).start()
        assert acknowledge_bundle(bundle.pk, via="link", actor=actor(world.people["ana"])) == []

    together(world.clock, gets_worse, answers)
    assert world.run(worse).state != EscalationRun.State.ACKNOWLEDGED


def test_a_worker_that_dies_before_its_commit_leaves_the_first_page_to_the_next(world: World) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def dies() -> None:
        with transaction.atomic():
            start_escalations([world.item()], actor=SYSTEM)
            begun.set()
            may_end.wait(10)
            transaction.set_rollback(True)
        connection.close()

    def goes_on() -> None:
        begun.wait(10)
        threading.Timer(0.3, may_end.set).start()
        start_escalations([world.item()], actor=SYSTEM)

    together(world.clock, dies, goes_on)
    [email] = emails()
    assert (email.due_at, Page.objects.count()) == (world.began, 1)


def test_what_is_committed_after_the_window_s_end_is_in_the_message_of_its_end(world: World) -> None:
    start_escalations([world.item(), world.item()], actor=SYSTEM)
    Message.objects.filter(due_at__lte=world.began, channel="email").update(state=Message.State.VOID)
    world.clock.advance(timedelta(seconds=59.9))
    told, may_end = threading.Event(), threading.Event()

    def held() -> None:
        try:
            with use_clock(world.clock), transaction.atomic():
                start_escalations([world.item()], actor=SYSTEM)
                told.set()
                may_end.wait(10)
        finally:
            connection.close()

    late = threading.Thread(target=held)
    late.start()
    assert told.wait(10)
    world.clock.advance(timedelta(seconds=0.2))
    assert claim() == []  # it waits for whoever adds to it
    may_end.set()
    late.join()
    [message] = [row for row in claim() if row.channel == "email"]
    assert bundle_wordings([message.guard_key])[message.guard_key].title.startswith("2 incidents")


def test_what_comes_when_the_message_of_its_window_is_gone_is_told_now(world: World) -> None:
    start_escalations([world.item(), world.item()], actor=SYSTEM)
    world.clock.advance(timedelta(seconds=59.9))
    # The clock of the host that sends is a little ahead.
    Message.objects.filter(due_at__gt=world.began, channel="email").update(state=Message.State.VOID)
    start_escalations([world.item()], actor=SYSTEM)
    last = Message.objects.filter(channel="email").latest("pk")
    bundles = list(PageBundle.objects.order_by("pk"))
    assert [bundle.items.count() for bundle in bundles] == [1, 1]
    assert (last.state, last.guard_key, last.due_at) == ("queued", str(bundles[1].pk), world.clock())
