from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.engine.models import Timer
from apps.engine.sweep import BATCH, fire_timers
from apps.foundation.errors import Conflict, Forbidden
from apps.messaging.models import Message
from apps.oncall.models import Override
from apps.paging.models import EscalationRun, Page
from apps.paging.operations import escalate_now, restart, start_escalations, stop, stop_many
from apps.paging.queries import upcoming
from apps.paging.timers import repair, without_timer
from tests.factories import actor, person, rotation
from tests.paging.conftest import MANAGEMENT, PAGE, SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db


def test_the_first_level_is_paged_at_once(world: World) -> None:
    subject = world.start()
    assert world.paged(subject) == [("ana", 0)]
    assert world.pending().count() == 1


def test_the_next_level_is_paged_when_nobody_acknowledges(world: World) -> None:
    subject = world.start()
    world.wait(minutes=4, seconds=59)
    assert world.paged(subject) == [("ana", 0)]
    world.wait(seconds=1)
    assert world.paged(subject) == [("ana", 0), ("ben", 300)]


def test_repeats_page_the_last_level_reached_and_then_the_track_is_exhausted(world: World) -> None:
    subject = world.start()
    for _ in range(5):
        world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300), ("ben", 600)]
    assert world.run(subject).state == EscalationRun.State.EXHAUSTED
    assert len(world.events(subject, "exhausted")) == 1
    assert not world.pending().exists()


def test_each_page_goes_to_the_inbox_and_to_each_address(world: World) -> None:
    subject = world.start()
    messages = Message.objects.filter(subject_kind=subject.kind).order_by("channel")
    assert [message.channel for message in messages] == ["email", "inbox"]
    assert all(message.guard_kind == "paging.run" and message.guard_run == 1 for message in messages)


def test_the_email_says_what_is_wrong_and_what_to_do(world: World) -> None:
    subject = world.start()
    (email,) = world.emails(subject)
    assert email.title == "[P1] INC-1 Nobody can log in"
    assert "paged as primary, level 1: Primary" in email.body
    assert "/ack/" in email.body
    assert f"/squad/{subject.key}/" in email.body


def test_the_inbox_holds_no_link_that_acts_for_its_reader(world: World) -> None:
    world.start()
    message = Message.objects.get(channel="inbox")
    assert "/ack/" not in message.body + str(message.payload)


def test_a_level_limits_the_channels_but_never_the_inbox(world: World) -> None:
    world.version = path_pack(level(1, "primary", channels=["webhook"]))
    world.start()
    assert [message.channel for message in Message.objects.all()] == ["inbox"]


def test_an_empty_level_falls_through_to_the_next_at_once_and_says_so(world: World) -> None:
    world.silence("primary")
    subject = world.start()
    assert world.paged(subject) == [("ben", 0)]
    (nobody,) = world.events(subject, "nobody_reachable")
    assert nobody.payload["roles"] == ["primary"]


def test_an_empty_page_track_calls_the_next_level_of_management_at_once(world: World) -> None:
    world.version = path_pack(level(1, "primary"), level(2, "secondary", "5m"), until="resolved")
    world.silence("primary")
    subject = world.start()
    world.wait(seconds=0)
    assert world.paged(subject) == [("ben", 0)]
    world.wait(minutes=5)
    assert world.paged(subject) == [("ben", 0)]


def test_a_team_without_anybody_on_call_gets_an_email_to_its_list(world: World) -> None:
    world.team.email = "core@example.com"
    world.team.save()
    world.silence("primary")
    world.silence("secondary")
    (email,) = world.emails(world.start())
    assert email.address == "core@example.com"
    assert "Nobody is on call" in email.title


def test_a_path_that_reaches_nobody_goes_on_and_ends_loudly(world: World) -> None:
    world.silence("primary")
    world.silence("secondary")
    subject = world.start()
    assert world.run(subject).state == EscalationRun.State.RUNNING
    world.answer("cat", "secondary")
    world.wait(minutes=10)
    assert world.paged(subject) == [("cat", 600)]
    world.wait(minutes=5)
    assert len(world.events(subject, "exhausted")) == 1


def test_an_account_that_is_closed_is_nobody(world: World) -> None:
    world.people["ana"].is_active = False
    world.people["ana"].save()
    assert world.paged(world.start()) == [("ben", 0)]


def test_somebody_with_two_roles_is_paged_once_per_step(world: World) -> None:
    world.version = path_pack(level(1, "primary", roles=["primary", "backup"]))
    ana = world.answer("ana", "backup")
    assert [page.user_id for page in world.pages(world.start())] == [ana.pk]


def test_who_is_on_call_is_asked_for_the_instant_of_the_step(world: World) -> None:
    turns = rotation(world.team, world.people["ana"], world.people["ben"])
    world.silence("secondary")
    world.team.role_bindings.create(role="secondary", rotation=turns)
    step = world.clock() + timedelta(minutes=5)
    cat = world.answer("cat", "nothing")
    Override.objects.create(rotation=turns, user=cat, starts_at=step, ends_at=step + timedelta(seconds=1))
    subject = world.start()
    assert next(item.names for item in upcoming(subject)) == (cat.name,)
    world.wait(minutes=5, seconds=30)
    assert world.paged(subject)[-1] == ("cat", 330)


def test_a_severity_without_a_path_pages_nobody_but_can_be_acknowledged(world: World) -> None:
    subject = world.start(severity="P3")
    assert world.paged(subject) == []
    assert world.run(subject).state == EscalationRun.State.EXHAUSTED
    assert world.events(subject) == []


def test_starting_again_changes_nothing(world: World) -> None:
    item = world.item()
    start_escalations([item, item], actor=SYSTEM)
    start_escalations([item], actor=SYSTEM)
    assert world.paged(item.subject) == [("ana", 0)]


def test_management_goes_on_until_it_is_stopped(world: World) -> None:
    world.version = path_pack(level(1, "primary"), level(2, "secondary", "5m"), until="resolved")
    subject = world.start()
    assert world.run(subject, MANAGEMENT).state == EscalationRun.State.RUNNING
    stop(subject, tracks=[MANAGEMENT], reason="mitigated", actor=SYSTEM)
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0)]


# --- stop and restart ----------------------------------------------------------------------------------------------


def test_stopping_voids_what_is_in_flight_and_closes_pages(world: World) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    run = world.run(subject)
    assert (run.state, run.run) == (EscalationRun.State.STOPPED, 2)
    assert [page.state for page in world.pages(subject)] == [Page.State.CLOSED]
    world.wait(minutes=30)
    assert len(world.pages(subject)) == 1
    assert set(Timer.objects.values_list("state", flat=True)) == {"cancelled"}


def test_stopping_again_changes_nothing(world: World) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    stop(subject, reason="resolved", actor=SYSTEM)
    assert world.run(subject).run == 2
    assert len(world.events(subject, "stopped")) == 1


def test_restarting_begins_a_new_run_from_the_first_level(world: World) -> None:
    subject = world.start()
    world.wait(minutes=5)
    restart(world.item(subject, "P0"), actor=SYSTEM)
    run = world.run(subject)
    assert (run.run, run.severity, run.level) == (2, "P0", 1)
    assert [page.state for page in world.pages(subject)] == ["closed", "closed", "open"]
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300), ("ana", 300), ("ben", 600)]


def test_restarting_begins_what_never_was(world: World) -> None:
    item = world.item()
    restart(item, actor=SYSTEM)
    assert world.paged(item.subject) == [("ana", 0)]


# --- by hand -------------------------------------------------------------------------------------------------------


def test_escalating_now_takes_the_next_level_once_and_no_more_at_its_time(world: World) -> None:
    subject = world.start()
    world.wait(minutes=1)
    escalate_now(subject, expected_step=1, actor=SYSTEM)
    escalate_now(subject, expected_step=1, actor=SYSTEM)
    assert world.paged(subject) == [("ana", 0), ("ben", 60)]
    world.wait(minutes=4)
    assert world.paged(subject) == [("ana", 0), ("ben", 60)]
    world.wait(minutes=5)
    assert world.paged(subject)[-1] == ("ben", 600)


def test_escalating_now_leaves_pages_on_their_way_alone(world: World) -> None:
    subject = world.start()
    escalate_now(subject, actor=SYSTEM)
    assert world.run(subject).run == 1


def test_escalating_needs_a_running_track(world: World) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    with pytest.raises(Conflict, match="No escalation is running"):
        escalate_now(subject, actor=SYSTEM)


def test_escalating_is_for_those_who_may_respond_and_see_it(world: World) -> None:
    subject = world.start()
    with pytest.raises(Forbidden):
        escalate_now(subject, actor=actor(person("responder")))
    with pytest.raises(Forbidden):
        escalate_now(subject, actor=actor(person("viewer")))


# --- bulk ----------------------------------------------------------------------------------------------------------


def queries_of(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as caught:
        work()
    return len(caught)


@pytest.mark.postgres
def test_starting_costs_the_same_for_one_and_for_two_hundred(world: World) -> None:
    world.start()  # it opens the window of its person: those that follow are gathered, one as well as many
    one = [world.item()]
    many = [world.item() for _ in range(200)]
    assert queries_of(lambda: start_escalations(one, actor=SYSTEM)) >= queries_of(
        lambda: start_escalations(many, actor=SYSTEM)
    )
    assert Page.objects.count() == 202


@pytest.mark.postgres
def test_firing_costs_the_same_for_one_and_for_a_batch(world: World) -> None:
    world.start(2)  # one is told alone and one is gathered, as of many
    world.clock.advance(timedelta(minutes=5))
    few = queries_of(fire_timers)
    world.start(BATCH - 2)
    world.clock.advance(timedelta(minutes=5))
    assert queries_of(fire_timers) <= few
    assert Page.objects.filter(step=1).count() == BATCH


@pytest.mark.postgres
def test_stopping_costs_the_same_for_one_and_for_fifty(world: World) -> None:
    few = [world.start()]
    world.start(50)
    rest = EscalationRun.objects.filter(track=PAGE).exclude(subject_key=few[0].key)
    many = [type(few[0])(run.subject_kind, run.subject_key) for run in rest]
    one = queries_of(lambda: stop_many(few, reason="x", actor=SYSTEM))
    assert queries_of(lambda: stop_many(many, reason="x", actor=SYSTEM)) <= one


# --- invariant -----------------------------------------------------------------------------------------------------


def test_a_running_track_that_lost_its_timer_gets_it_back(world: World) -> None:
    subject = world.start()
    assert repair() == []
    world.pending().update(state="cancelled")
    assert len(repair()) == 1
    assert repair() == []
    assert not without_timer().exists()
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300)]
