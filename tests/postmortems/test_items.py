"""Action items are promised in a review, worked on, finished, dropped, and taken up again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.catalog.models import Membership
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from tests.factories import person
from tests.postmortems.conftest import World

State = ActionItem.State


def test_a_promise_is_told_to_its_owner_and_stands_on_the_timeline(world: World) -> None:
    review = world.review()
    item = world.item(review)
    assert (item.state, item.created_by) == (State.OPEN, world.people["cleo"])
    assert world.told("ida") == world.told("ida", "email") == ["An action item for you: Alert on the pool"]
    assert world.lines(review.incident, "item_added") == ["Action item for Ida, P1, due 2026-05-07: Alert on the pool"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"due_at": datetime(2020, 1, 1, tzinfo=UTC)}, "due_at"),
        ({"due_at": datetime(2999, 1, 1, tzinfo=UTC)}, "due_at"),
        ({"due_at": datetime(2027, 1, 1)}, "due_at"),  # noqa: DTZ001  # without a time zone
        ({"priority": "P9"}, "priority"),
        ({"owner_id": 10**12}, "owner_id"),
        ({"team_id": 10**12}, "team_id"),
        ({"owner_id": None}, "owner_id"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"link": "http://[broken"}, "link"),
        ({"title": "  "}, "title"),
        ({"description": "a\x00b"}, "description"),
    ],
)
def test_what_can_not_be_promised_is_refused_by_name(world: World, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        world.item(world.review(), **given)
    assert list(caught.value.fields) == [field]
    assert not ActionItem.objects.exists()


def test_an_owner_sees_the_incident(world: World) -> None:
    with pytest.raises(Invalid, match="may not see this incident"):
        world.item(world.review(), owner_id=person().pk)


def test_a_priority_is_taken_in_the_spelling_of_the_pack(world: World) -> None:
    assert world.item(world.review(), priority="p0").priority == "P0"


def test_a_due_date_moves_into_the_future_only(world: World) -> None:
    item = world.item(world.review())
    with pytest.raises(Invalid):
        operations.edit_item(item.pk, due_at=now() - timedelta(hours=1), actor=world.by("cleo"))
    moved = operations.edit_item(item.pk, due_at=now() + timedelta(days=9), actor=world.by("cleo"))
    assert (moved.run, moved.version) == (2, 2)


def test_the_same_values_again_change_nothing(world: World) -> None:
    item = world.item(world.review())
    again = operations.edit_item(item.pk, title=item.title, due_at=item.due_at, priority="P1", actor=world.by("cleo"))
    assert (again.version, again.run, again.history.count()) == (1, 1, 1)


def test_an_edit_of_an_old_version_is_refused(world: World) -> None:
    item = world.item(world.review())
    operations.edit_item(item.pk, title="One", expected_version=1, actor=world.by("cleo"))
    with pytest.raises(PreconditionFailed):
        operations.edit_item(item.pk, title="Two", expected_version=1, actor=world.by("cleo"))


def test_an_item_is_started_and_finished_by_its_owner_each_once(world: World) -> None:
    item = world.item(world.review())
    operations.start_item(item.pk, actor=world.by("ida"))
    done = operations.finish_item(item.pk, outcome="Live since 2.4", actor=world.by("ida"))
    again = operations.finish_item(item.pk, outcome="Another story", actor=world.by("ida"))
    assert (done.state, again.outcome, again.version) == (State.DONE, "Live since 2.4", done.version)
    assert world.lines(item.review.incident, "item_finished") == [
        "Action item done: Alert on the pool (Live since 2.4)"
    ]


def test_its_owner_alone_does_not_plan_it(world: World) -> None:
    item = world.item(world.review())
    with pytest.raises(Forbidden):
        operations.edit_item(item.pk, title="Something easier", actor=world.by("ida"))
    with pytest.raises(Forbidden):
        operations.drop_item(item.pk, reason="No time", actor=world.by("ida"))
    with pytest.raises(Forbidden):
        operations.finish_item(world.item(item.review, owner_id=None, team_id=world.team.pk).pk, outcome="x",
                               actor=world.by("ida"))  # fmt: skip


def test_a_lead_of_its_team_plans_it(world: World) -> None:
    Membership.objects.create(team=world.team, user=world.people["ida"], role="lead")
    item = world.item(world.review(), owner_id=None, team_id=world.team.pk)
    assert operations.edit_item(item.pk, title="Better", actor=world.by("ida")).title == "Better"


def test_a_dropped_item_says_why_and_can_not_be_finished(world: World) -> None:
    item = world.item(world.review())
    dropped = operations.drop_item(item.pk, reason="The pool is gone", actor=world.by("cleo"))
    assert (dropped.state, dropped.outcome) == (State.DROPPED, "The pool is gone")
    with pytest.raises(Conflict) as caught:
        operations.finish_item(item.pk, outcome="Done", actor=world.by("ida"))
    assert caught.value.code == "item_finished"


def test_a_finished_item_is_taken_up_again_with_a_date_to_come(world: World) -> None:
    item = world.item(world.review())
    operations.finish_item(item.pk, outcome="Done", actor=world.by("ida"))
    world.wait(days=10)
    with pytest.raises(Invalid):
        operations.reopen_item(item.pk, reason="It was not", actor=world.by("cleo"))
    later = now() + timedelta(days=2)
    again = operations.reopen_item(item.pk, reason="It was not", due_at=later, actor=world.by("cleo"))
    assert (again.state, again.due_at, again.outcome, again.finished_at) == (State.OPEN, later, "", None)
    assert operations.reopen_item(item.pk, actor=world.by("cleo")).version == again.version


def test_a_closed_review_takes_no_more_promises_but_those_in_it_are_followed(world: World) -> None:
    review = world.reviewed()
    item = world.item(review)
    operations.close(review.pk, actor=world.by("mona"))
    with pytest.raises(Conflict) as caught:
        world.item(Review.objects.get(pk=review.pk))
    assert caught.value.code == "review_closed"
    assert operations.finish_item(item.pk, outcome="Done", actor=world.by("ida")).state == State.DONE


def test_items_of_a_private_incident_do_not_exist_for_strangers(world: World) -> None:
    review = world.review(world.resolved(visibility="private"))
    item = world.item(review, owner_id=world.people["cleo"].pk)
    with pytest.raises(NotFound):
        operations.start_item(item.pk, actor=world.by("ria"))
    with pytest.raises(NotFound):
        operations.add_item(
            review.pk, "x", owner_id=None, priority="P0", due_at=now(), actor=world.by("mona")
        )  # fmt: skip
