from __future__ import annotations

import pytest

from apps.catalog.models import Membership
from apps.foundation.errors import Forbidden, Invalid
from apps.foundation.subjects import Subject
from apps.messaging.models import Message
from apps.paging import registry
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.operations import acknowledge, page_people, page_roles, restart, stop
from apps.paging.queries import current_runs, open_pages, upcoming
from apps.paging.registry import register_authority
from apps.people.models import User
from tests.factories import actor, person
from tests.paging.conftest import MANAGEMENT, SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db


def member(subject: Subject, user: User) -> User:
    Membership.objects.create(team_id=int(subject.key), user=user)
    return user


# --- acknowledge ---------------------------------------------------------------------------------------------------


def test_an_acknowledgement_ends_the_page_track(world: World) -> None:
    subject = world.start()
    done = acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert done is not None
    assert (done.run, done.via, done.user) == (1, "web", world.people["ana"])
    run = world.run(subject)
    assert (run.state, run.run, run.next_due_at) == (EscalationRun.State.ACKNOWLEDGED, 2, None)
    world.wait(minutes=30)
    assert world.paged(subject) == [("ana", 0)]


def test_acknowledging_again_changes_nothing(world: World) -> None:
    subject = world.start()
    first = acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    again = acknowledge(subject, via="api", actor=actor(world.people["ana"]))
    assert again == first
    assert world.run(subject).run == 2
    assert len(world.events(subject, "acknowledged")) == 1


def test_an_acknowledgement_closes_the_pages_of_the_others(world: World) -> None:
    subject = world.start()
    world.wait(minutes=5)
    acknowledge(subject, via="web", actor=actor(world.people["ben"]))
    states = {page.user: page.state for page in world.pages(subject)}
    assert states == {world.people["ana"]: Page.State.CLOSED, world.people["ben"]: Page.State.ACKNOWLEDGED}


def test_an_acknowledgement_voids_what_is_in_flight(world: World) -> None:
    subject = world.start()
    key = str(world.run(subject).pk)
    assert current_runs([key, "x"]) == {key: 1}
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert current_runs([key]) == {key: 2}


def test_the_management_track_goes_on_after_an_acknowledgement(world: World) -> None:
    world.version = path_pack(level(1, "primary"), level(2, "secondary", "5m"), until="resolved")
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert world.run(subject, MANAGEMENT).run == 1
    world.wait(minutes=5)
    assert world.paged(subject) == [("ana", 0), ("ben", 300)]
    acknowledge(subject, via="web", actor=actor(world.people["ben"]))
    assert {page.state for page in world.pages(subject)} == {Page.State.ACKNOWLEDGED}
    assert len(world.events(subject, "page_answered")) == 1


def test_a_track_that_is_exhausted_can_still_be_acknowledged(world: World) -> None:
    subject = world.start()
    world.wait(minutes=30)
    assert acknowledge(subject, via="web", actor=actor(world.people["ana"])) is not None


def test_there_is_nothing_to_acknowledge_once_it_was_stopped(world: World) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    assert acknowledge(subject, via="web", actor=actor(world.people["ana"])) is None
    assert not Acknowledgement.objects.exists()


def test_a_new_run_must_be_acknowledged_anew(world: World) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    stop(subject, reason="resolved", actor=SYSTEM)
    restart(world.item(subject), actor=SYSTEM)
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert [done.run for done in Acknowledgement.objects.order_by("run")] == [1, 4]


def test_a_changed_severity_does_not_call_those_again_who_acknowledged(world: World) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    restart(world.item(subject, "P0"), actor=SYSTEM)
    assert world.run(subject).severity == "P0"
    assert world.run(subject).state == EscalationRun.State.ACKNOWLEDGED
    assert len(world.pages(subject)) == 1


# --- who may -------------------------------------------------------------------------------------------------------


def test_who_was_paged_may_acknowledge_without_any_permission(world: World) -> None:
    subject = world.start()
    assert not world.people["ana"].groups.exists()
    assert acknowledge(subject, via="web", actor=actor(world.people["ana"])) is not None


def test_who_may_respond_and_sees_it_may_acknowledge(world: World) -> None:
    subject = world.start()
    assert acknowledge(subject, via="web", actor=actor(member(subject, person("responder")))) is not None


@pytest.mark.parametrize(("group", "sees"), [("responder", False), ("viewer", True), ("auditor", True)])
def test_nobody_else_may_acknowledge(world: World, group: str, sees: bool) -> None:
    subject, user = world.start(), person(group)
    if sees:
        member(subject, user)
    with pytest.raises(Forbidden):
        acknowledge(subject, via="web", actor=actor(user))
    assert world.run(subject).run == 1


def test_a_closed_account_acknowledges_nothing(world: World) -> None:
    subject, ana = world.start(), world.people["ana"]
    ana.is_active = False
    ana.save()
    with pytest.raises(Forbidden):
        acknowledge(subject, via="web", actor=actor(ana))


def test_the_portal_itself_acknowledges_in_the_name_of_its_own_account(world: World) -> None:
    done = acknowledge(world.start(), via="api", actor=SYSTEM)
    assert done is not None
    assert done.user.kind == "portal"


def test_the_owner_of_a_kind_may_say_who_may_respond(world: World) -> None:
    subject = world.start()
    guest = member(subject, person("viewer"))
    register_authority("squad", lambda user, key: user == guest and key == subject.key)
    try:
        assert acknowledge(subject, via="web", actor=actor(guest)) is not None
    finally:
        del registry._authorities["squad"]


# --- paging somebody in --------------------------------------------------------------------------------------------


def test_somebody_is_paged_in_with_the_reason(world: World) -> None:
    subject, cat = world.start(), world.answer("cat", "nothing")
    (page,) = page_people(subject, [cat.pk], reason="you know the cache", actor=SYSTEM)
    assert page.reason == "portal asks you to join: you know the cache"
    email = Message.objects.get(channel="email", recipient=cat)
    assert email.title == "[P1] INC-1 Nobody can log in"
    assert "you know the cache" in email.body
    assert (email.guard_kind, email.guard_key) == ("paging.page", str(page.pk))


def test_a_double_click_pages_once(world: World) -> None:
    subject, cat = world.start(), world.answer("cat", "nothing")
    first = page_people(subject, [cat.pk], actor=SYSTEM)
    assert page_people(subject, [cat.pk], actor=SYSTEM) == first
    world.wait(minutes=2)
    assert page_people(subject, [cat.pk], actor=SYSTEM) != first


def test_who_was_paged_in_answers_their_own_page(world: World) -> None:
    subject, cat = world.start(), world.answer("cat", "nothing")
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    (page,) = page_people(subject, [cat.pk], actor=SYSTEM)
    assert open_pages([str(page.pk)]) == {str(page.pk): 1}
    acknowledge(subject, via="web", actor=actor(cat))
    assert open_pages([str(page.pk)]) == {}
    assert world.events(subject, "page_answered")[0].payload["page_ids"] == [page.pk]


def test_ending_everything_closes_the_pages_of_those_paged_in(world: World) -> None:
    subject, cat = world.start(), world.answer("cat", "nothing")
    (page,) = page_people(subject, [cat.pk], actor=SYSTEM)
    stop(subject, reason="resolved", actor=SYSTEM)
    page.refresh_from_db()
    assert page.state == Page.State.CLOSED


def test_only_active_people_can_be_paged_in(world: World) -> None:
    with pytest.raises(Invalid, match="active people"):
        page_people(world.start(), [10**9], actor=SYSTEM)


def test_paging_in_is_for_those_who_may_respond(world: World) -> None:
    subject = world.start()
    with pytest.raises(Forbidden):
        page_people(subject, [world.people["ben"].pk], actor=actor(world.people["ana"]))


def test_a_role_means_whoever_answers_for_it_now(world: World) -> None:
    subject = world.start()
    pages = page_roles(subject, ["secondary"], actor=SYSTEM)
    assert [(page.user_id, page.role) for page in pages] == [(world.people["ben"].pk, "secondary")]


def test_a_role_that_nobody_answers_for_is_told(world: World) -> None:
    subject = world.start()
    assert page_roles(subject, ["dba"], actor=SYSTEM) == []
    assert world.events(subject, "nobody_reachable")[0].payload["roles"] == ["dba"]


# --- what comes next -----------------------------------------------------------------------------------------------


def test_upcoming_says_who_is_reached_when(world: World) -> None:
    subject = world.start()
    found = [(item.level, item.repeat, item.names, item.due_at - world.began) for item in upcoming(subject)]
    ben = world.people["ben"].name
    assert [(lvl, repeat, names, int(left.total_seconds())) for lvl, repeat, names, left in found] == [
        (2, 0, (ben,), 300),
        (2, 1, (ben,), 600),
        (0, 0, (), 900),
    ]


def test_nothing_comes_after_an_acknowledgement(world: World) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    assert upcoming(subject) == []
