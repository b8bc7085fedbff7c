"""What is promised is chased on the clock: a reminder, overdue, the manager, the daily digest; each told once."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import Membership
from apps.engine.models import Delivery, Timer
from apps.engine.sweep import fire_timers
from apps.foundation.clock import now
from apps.incidents import operations as incidents
from apps.messaging.models import Message
from apps.messaging.registry import guard
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.queries import (
    manager_of,
    overdue_for_manager,
    overdue_items_of,
    reviews_awaiting,
    visible_items,
    visible_reviews,
)
from apps.postmortems.scheduling import next_digest_at
from apps.postmortems.subscribers import missing, open_missing
from tests.factories import answers_for
from tests.postmortems.conftest import SYSTEM, World

# --- action items ---


def test_the_owner_is_reminded_told_and_then_the_manager_each_once(world: World) -> None:
    item = world.item(world.review())
    world.wait(days=2)
    assert world.told("ida", start="Due soon") == ["Due soon: Alert on the pool"]
    world.wait(days=1)
    assert world.told("ida", start="Overdue") == ["Overdue: Alert on the pool"]
    assert world.told("mona", start="Overdue") == []
    world.wait(days=1)
    assert world.told("mona", start="Overdue and") == ["Overdue and not done: Alert on the pool"]
    assert world.told("mona", "email", start="Overdue and") == ["Overdue and not done: Alert on the pool"]
    item.refresh_from_db()
    assert item.overdue_told_at == item.due_at
    assert item.escalated_at == item.due_at + timedelta(days=1)
    assert [len(world.events(kind)) for kind in ("item_overdue", "item_escalated")] == [1, 1]


def test_sweeping_again_tells_nothing_more(world: World) -> None:
    world.item(world.review())
    world.wait(days=5)
    before = Message.objects.count()
    Timer.objects.filter(kind="postmortems.item").update(state="pending", fired_at=None)
    while fire_timers():
        pass
    assert Message.objects.count() == before
    assert [len(world.events(kind)) for kind in ("item_overdue", "item_escalated")] == [1, 1]


def test_it_stands_on_the_timeline_that_it_is_overdue_and_who_was_told(world: World) -> None:
    item = world.item(world.review())
    world.wait(days=4)
    made = item.review.incident
    assert world.lines(made, "item_overdue") == ["Action item overdue: Alert on the pool"]
    assert world.lines(made, "item_escalated") == ["Action item still overdue, Mona told: Alert on the pool"]


def test_what_is_finished_is_chased_no_more_and_unsent_reminders_are_void(world: World) -> None:
    item = world.item(world.review())
    world.wait(days=2)
    operations.finish_item(item.pk, outcome="Done", actor=world.by("ida"))
    world.wait(days=5)
    assert world.told("ida", start="Overdue") == world.told("mona", start="Overdue") == []
    reminder = Message.objects.get(title__startswith="Due soon", channel="email")
    current = guard(reminder.guard_kind)
    assert current is not None
    assert current([reminder.guard_key])[reminder.guard_key] != reminder.guard_run


def test_a_moved_date_starts_the_chase_anew(world: World) -> None:
    item = world.item(world.review())
    world.wait(days=3)
    operations.edit_item(item.pk, due_at=now() + timedelta(days=7), actor=world.by("cleo"))
    world.wait(days=2)
    assert world.told("mona", start="Overdue") == []
    world.wait(days=6)
    assert len(world.told("ida", start="Overdue")) == 2
    assert len(world.told("mona", start="Overdue and")) == 1


def test_a_late_sweep_skips_the_reminder_that_has_no_use_any_more(world: World) -> None:
    world.item(world.review())
    world.wait(days=30)
    assert world.told("ida", start="Due soon") == []
    assert len(world.told("ida", start="Overdue")) == 1


def test_without_a_manager_the_leads_of_its_team_are_told(world: World) -> None:
    world.people["ida"].manager = None
    world.people["ida"].save()
    Membership.objects.create(team=world.team, user=world.people["ria"], role="lead")
    world.item(world.review(), team_id=world.team.pk)
    world.wait(days=4)
    assert world.told("ria", start="Overdue and") == ["Overdue and not done: Alert on the pool"]
    assert list(overdue_for_manager(world.people["ria"])) == list(ActionItem.objects.all())


def test_without_manager_and_leads_who_answers_as_manager_is_told(world: World) -> None:
    world.people["ida"].manager = None
    world.people["ida"].save()
    answers_for("manager", world.people["mona"])
    world.item(world.review())
    world.wait(days=4)
    assert world.told("mona", start="Overdue and") == ["Overdue and not done: Alert on the pool"]
    assert overdue_for_manager(world.people["mona"]).count() == 1
    assert overdue_for_manager(world.people["ria"]).count() == 0


def test_where_nobody_answers_it_is_said_so(world: World) -> None:
    world.people["ida"].manager = None
    world.people["ida"].save()
    item = world.item(world.review())
    world.wait(days=4)
    assert world.lines(item.review.incident, "item_escalated") == [
        "Action item still overdue, there is nobody to tell: Alert on the pool"
    ]


def test_a_teams_item_is_chased_at_its_leads(world: World) -> None:
    Membership.objects.create(team=world.team, user=world.people["ria"], role="lead")
    world.item(world.review(), owner_id=None, team_id=world.team.pk)
    world.wait(days=3)
    assert world.told("ria", start="Overdue") == ["Overdue: Alert on the pool"]


def test_a_manager_who_may_not_see_the_incident_reads_a_neutral_title(world: World) -> None:
    review = world.review(world.resolved())
    item = world.item(review)
    incidents.change_visibility(review.incident_id, "private", actor=world.by("cleo"))
    world.wait(days=4)
    found = Message.objects.get(recipient=world.people["mona"], channel="inbox", title__contains="not done")
    assert (found.title, found.subject_kind, found.payload) == (
        "An action item is overdue and not done",
        "",
        {},
    )
    assert item.title not in "".join(
        f"{message.title}{message.body}" for message in Message.objects.filter(recipient=world.people["mona"])
    )


def test_the_sweep_needs_as_many_queries_for_ten_items_as_for_one(
    world: World,
) -> None:
    review = world.review()
    counts = []
    for number in (1, 10):
        for count in range(number):
            world.item(review, f"Item {number} {count}", due_at=now() + timedelta(hours=1))
        world.clock.advance(timedelta(hours=1))
        with CaptureQueriesContext(connection) as found:
            fire_timers()
        counts.append(len(found))
    # History rows are written by ones; everything else is done for all at once.
    assert counts[1] <= counts[0] + 12


# --- reviews ---


def test_a_draft_is_reminded_of_overdue_and_escalated(world: World) -> None:
    world.review()
    world.wait(days=1)
    assert len(world.told("cleo", start="Due soon: Review")) == 1
    world.wait(days=1)
    assert len(world.told("cleo", start="Overdue: Review")) == 1
    world.wait(days=1)
    assert len(world.told("mona", start="Still not written: Review")) == 1
    assert [event.payload["escalated"] for event in world.events("overdue")] == [False, True]


def test_a_submitted_review_is_on_time(world: World) -> None:
    world.submitted()
    world.wait(days=5)
    assert world.told("cleo", start="Overdue") == world.told("mona", start="Still") == []


def test_who_is_asked_to_review_is_told_else_who_answers_for_the_owner(world: World) -> None:
    review = world.submitted()
    assert world.told("mona", start="A review awaits you") == [
        f"A review awaits you: Review of {review.incident.number} {review.title}"
    ]
    assert list(reviews_awaiting(world.people["mona"])) == [review]
    assert not reviews_awaiting(world.people["ria"]).exists()


def test_nothing_awaits_its_own_writer(world: World) -> None:
    world.join("cleo", "manager")
    world.submitted()
    assert not reviews_awaiting(world.people["cleo"]).exists()


# --- the digest ---


def test_a_manager_gets_one_digest_each_morning_while_there_is_something_in_it(world: World) -> None:
    world.people["mona"].time_zone = "Europe/Berlin"
    world.people["mona"].save()
    review = world.review()
    items = [world.item(review, f"Item {number}") for number in range(3)]
    world.wait(days=3)
    world.wait(hours=24)
    digests = Message.objects.filter(title__startswith="3 overdue action items", channel="inbox")
    assert [message.created_at for message in digests] == [now()]
    world.wait(days=1)
    assert digests.all().count() == 2
    assert "Item 1 (INC-2026-05-04-001): Ida, due 2026-05-07" in digests.all()[0].body
    for item in items:
        operations.finish_item(item.pk, outcome="Done", actor=world.by("ida"))
    world.wait(days=3)
    assert digests.all().count() == 2


def test_the_digest_names_reviews_that_wait_and_hides_what_its_reader_may_not_see(world: World) -> None:
    world.submitted()
    hidden = world.review(world.resolved(title="Breach", visibility="private"))
    world.item(hidden, "Rotate the keys of Breach", owner_id=world.people["cleo"].pk)
    world.wait(days=4)
    found = Message.objects.filter(recipient=world.people["mona"], channel="inbox", title__contains="awaiting you")
    newest = found.order_by("-pk").first()
    assert newest is not None
    assert newest.title == "1 overdue action item · 1 review awaiting you"
    assert "Breach" not in newest.body
    assert "an item of an incident that you may not see: Cleo" in newest.body


@pytest.mark.parametrize(
    ("after", "zone", "expected"),
    [
        ("2026-05-04T06:59", "Europe/Berlin", "2026-05-04T07:00"),
        ("2026-05-04T07:00", "Europe/Berlin", "2026-05-05T07:00"),
        ("2026-10-24T12:00", "Europe/Berlin", "2026-10-25T08:00"),
        ("2026-05-04T23:30", "Pacific/Auckland", "2026-05-05T21:00"),
        ("2026-05-04T08:00", "No/Where", "2026-05-04T09:00"),
    ],
)
def test_the_digest_goes_by_the_clock_on_its_readers_wall(after: str, zone: str, expected: str) -> None:
    at = next_digest_at(datetime.fromisoformat(f"{after}+00:00"), time(9), zone)
    assert at.astimezone(UTC) == datetime.fromisoformat(f"{expected}+00:00")


# --- reads ---


def test_a_manager_is_whom_the_account_names_while_active(world: World) -> None:
    assert manager_of(world.people["ida"].pk) == world.people["mona"]
    world.people["mona"].is_active = False
    world.people["mona"].save()
    assert manager_of(world.people["ida"].pk) is None
    assert manager_of(world.people["mona"].pk) is None


def test_overdue_items_are_ones_own_open_and_late(world: World) -> None:
    review = world.review()
    late, done = world.item(review, "Late"), world.item(review, "Done")
    world.item(review, "Later", due_at=now() + timedelta(days=30))
    world.wait(days=3)
    operations.finish_item(done.pk, outcome="x", actor=world.by("ida"))
    assert list(overdue_items_of(world.people["ida"])) == [late]
    assert not overdue_items_of(world.people["cleo"]).exists()


def test_reviews_and_items_are_seen_by_who_sees_their_incident(world: World) -> None:
    review = world.review(world.resolved(visibility="private"))
    world.item(review, owner_id=world.people["cleo"].pk)
    seen = {name: (visible_reviews(user).count(), visible_items(user).count()) for name, user in world.people.items()}
    assert seen == {"cleo": (1, 1), "mona": (0, 0), "ida": (0, 0), "ria": (0, 0)}


# --- the invariant ---


def test_a_demanded_review_that_is_missing_is_opened_and_told_of(world: World) -> None:
    made = world.open_incident()
    world.open_incident(severity="P4")
    incidents.resolve(made.pk, actor=world.by("cleo"))
    assert missing() == []
    world.wait(minutes=2)
    assert missing() == []  # the event is still on its way
    Delivery.objects.filter(subscriber="postmortems.reviews").update(state="failed")
    assert open_missing() == [f"{made.number} was resolved without the review that its pack demands; it is open now."]
    assert (open_missing(), Review.objects.count()) == ([], 1)
    world.deliver()
    assert Review.objects.count() == 1


def test_incidents_of_packs_without_reviews_are_left_alone(world: World) -> None:
    made = world.open_incident(kind="drill")
    incidents.resolve(made.pk, actor=SYSTEM)
    world.wait(hours=1)
    assert (missing(), Review.objects.count()) == ([], 0)
