"""A review opens, is written, submitted, sent back, reviewed by somebody else, and closed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.incidents import operations as incidents
from apps.people.operations import create_service_account
from apps.postmortems import operations
from apps.postmortems.models import Review
from tests.factories import actor, incident, person, token
from tests.postmortems.conftest import SYSTEM, World

DRAFT, IN_REVIEW = Review.State.DRAFT, Review.State.IN_REVIEW
REVIEWED, CLOSED = Review.State.REVIEWED, Review.State.CLOSED


# --- opening ---


def test_resolving_opens_a_review_with_the_packs_sections_owned_by_the_commander(world: World) -> None:
    review = world.review(world.resolved())
    assert [section.slug for section in review.sections.all()] == [
        "summary",
        "impact",
        "root-cause",
        "worked-well",
        "to-improve",
        "lessons",
        "preventive",
    ]
    assert (review.state, review.owner) == (DRAFT, world.people["cleo"])
    assert review.required_because == "The pack demands a review of P0, P1, P2, P3."
    assert review.due_at == now() + timedelta(hours=48)


def test_an_incident_without_user_impact_and_a_drill_open_none_by_themselves(world: World) -> None:
    world.resolved(severity="P4")
    world.resolved(kind="drill")
    assert not Review.objects.exists()


def test_a_voluntary_review_is_opened_by_hand_once(world: World) -> None:
    made = world.resolved(severity="P4")
    first = operations.open_review(made.pk, actor=world.by("ria"))
    again = operations.open_review(made.pk, actor=world.by("cleo"))
    assert (first.pk, first.required_because) == (again.pk, "")


def test_an_open_incident_has_nothing_to_review_yet(world: World) -> None:
    made = world.open_incident()
    with pytest.raises(Conflict, match="still open"):
        operations.open_review(made.pk, actor=world.by("cleo"))


def test_a_viewer_may_not_open_a_review_and_a_stranger_knows_of_no_incident(world: World) -> None:
    made = world.resolved(severity="P4", visibility="private")
    with pytest.raises(NotFound):
        operations.open_review(made.pk, actor=world.by("ria"))
    with pytest.raises(Forbidden):
        operations.open_review(world.resolved(severity="P4").pk, actor=world.by("ida"))


def test_without_a_commander_it_belongs_to_who_resolved_it_else_to_nobody(world: World) -> None:
    by_person, by_portal = incident("One"), incident("Two")
    incidents.resolve(by_person.pk, actor=world.by("cleo"))
    incidents.resolve(by_portal.pk, actor=SYSTEM)
    world.deliver()
    assert world.review(by_person).owner == world.people["cleo"]
    assert world.review(by_portal).owner is None


# --- writing ---


def test_a_section_keeps_its_history_and_the_same_text_again_changes_nothing(world: World) -> None:
    section = world.review().sections.get(slug="summary")
    edited = operations.edit_section(section.pk, "Pool empty.", actor=world.by("ria"))
    again = operations.edit_section(section.pk, " Pool empty. ", actor=world.by("ria"))
    assert (edited.version, again.version, again.edited_by) == (2, 2, world.people["ria"])
    assert [row.text for row in section.history.all()] == ["Pool empty.", ""]


def test_an_edit_of_an_old_version_is_refused(world: World) -> None:
    section = world.review().sections.get(slug="summary")
    operations.edit_section(section.pk, "First", expected_version=1, actor=world.by("cleo"))
    with pytest.raises(PreconditionFailed):
        operations.edit_section(section.pk, "Second", expected_version=1, actor=world.by("ria"))


@pytest.mark.parametrize("text", ["a\x00b", "x" * 50_001])
def test_text_that_can_not_be_kept_is_refused(world: World, text: str) -> None:
    section = world.review().sections.get(slug="summary")
    with pytest.raises(Invalid):
        operations.edit_section(section.pk, text, actor=world.by("cleo"))


def test_a_viewer_reads_but_does_not_write_unless_it_is_theirs(world: World) -> None:
    review = world.review()
    section = review.sections.get(slug="summary")
    with pytest.raises(Forbidden):
        operations.edit_section(section.pk, "Mine", actor=world.by("ida"))
    operations.set_people(review.pk, owner_id=world.people["ida"].pk, actor=world.by("cleo"))
    assert operations.edit_section(section.pk, "Mine", actor=world.by("ida")).text == "Mine"


def test_people_must_see_the_incident_and_a_reviewer_is_allowed_and_never_the_owner(world: World) -> None:
    review = world.review()
    for given in (
        {"owner_id": person().pk},
        {"reviewer_id": world.people["ria"].pk},
        {"owner_id": world.people["mona"].pk, "reviewer_id": world.people["mona"].pk},
        {"reviewer_id": 10**12},
    ):
        with pytest.raises(Invalid):
            operations.set_people(review.pk, **given, actor=world.by("cleo"))
    done = operations.set_people(review.pk, reviewer_id=world.people["mona"].pk, actor=world.by("cleo"))
    assert (done.reviewer, done.owner) == (world.people["mona"], world.people["cleo"])


# --- the way ---


def test_a_draft_with_an_empty_required_section_can_not_be_submitted(world: World) -> None:
    with pytest.raises(Conflict) as caught:
        operations.submit(world.review().pk, actor=world.by("cleo"))
    assert caught.value.code == "sections_missing"
    assert caught.value.extra["sections"][0] == "Summary"


def test_a_review_goes_from_draft_to_closed_and_each_step_again_changes_nothing(world: World) -> None:
    review = world.submitted()
    assert operations.submit(review.pk, actor=world.by("ria")).version == review.version
    reviewed = operations.mark_reviewed(review.pk, actor=world.by("mona"))
    assert operations.mark_reviewed(review.pk, actor=world.by("mona")).version == reviewed.version
    closed = operations.close(review.pk, actor=world.by("mona"))
    assert operations.close(review.pk, actor=world.by("mona")).version == closed.version
    assert (closed.state, closed.reviewed_by) == (CLOSED, world.people["mona"])
    kinds = ["opened", "submitted", "reviewed", "closed"]
    assert [len(world.events(kind)) for kind in kinds] == [1, 1, 1, 1]


def test_what_is_sent_back_is_a_draft_again_and_its_owner_reads_why(world: World) -> None:
    review = operations.send_back(world.submitted().pk, reason="Which pool?", actor=world.by("mona"))
    assert (review.state, review.submitted_at) == (DRAFT, None)
    assert world.told("cleo", start="Sent back") == [f"Sent back: Review of {review.incident.number} {review.title}"]
    with pytest.raises(Conflict):
        operations.mark_reviewed(review.pk, actor=world.by("mona"))


def test_nobody_reviews_what_they_own_or_submitted(world: World) -> None:
    world.join("cleo", "manager")
    review = world.submitted()
    for verb in (operations.mark_reviewed, lambda pk, actor: operations.send_back(pk, reason="no", actor=actor)):
        with pytest.raises(Forbidden) as caught:
            verb(review.pk, actor=world.by("cleo"))
        assert caught.value.code == "own_review"
    operations.send_back(review.pk, reason="Whose is it?", actor=world.by("mona"))
    operations.set_people(review.pk, owner_id=world.people["ria"].pk, actor=world.by("cleo"))
    operations.submit(review.pk, actor=world.by("cleo"))
    with pytest.raises(Forbidden):
        operations.mark_reviewed(review.pk, actor=world.by("cleo"))


def test_no_service_account_of_the_owner_reviews_for_them(world: World) -> None:
    world.join("cleo", "manager")
    robot = create_service_account("robot", groups=["manager"], actor=world.by("cleo"))
    review = world.submitted()
    with pytest.raises(Forbidden):
        operations.mark_reviewed(review.pk, actor=actor(robot, "api"))
    assert token(robot)[0].user == robot


def test_whose_robot_submitted_it_does_not_review_it(world: World) -> None:
    robot = create_service_account("robot", groups=["manager"], actor=world.by("mona"))
    review = world.fill(world.review())
    operations.submit(review.pk, actor=actor(robot, "api"))
    with pytest.raises(Forbidden):
        operations.mark_reviewed(review.pk, actor=world.by("mona"))


def test_responders_do_not_review(world: World) -> None:
    review = world.submitted()
    with pytest.raises(Forbidden):
        operations.mark_reviewed(review.pk, actor=world.by("ria"))


def test_sections_are_locked_once_reviewed_and_open_again_with_the_review(world: World) -> None:
    review = world.reviewed()
    section = review.sections.get(slug="summary")
    with pytest.raises(Conflict) as caught:
        operations.edit_section(section.pk, "Later thoughts", actor=world.by("cleo"))
    assert caught.value.code == "review_locked"
    operations.close(review.pk, actor=world.by("mona"))
    again = operations.reopen_review(review.pk, reason="A cause was missed", actor=world.by("mona"))
    assert (again.state, again.frozen, again.closed_at, again.reviewed_at) == (DRAFT, None, None, None)
    assert operations.edit_section(section.pk, "Later thoughts", actor=world.by("cleo")).text == "Later thoughts"


def test_a_review_that_nobody_owns_belongs_to_who_submits_it(world: World) -> None:
    made = incident("Nobody's")
    incidents.resolve(made.pk, actor=SYSTEM)
    world.deliver()
    review = world.fill(world.review(made))
    assert operations.submit(review.pk, actor=world.by("ria")).owner == world.people["ria"]


def test_a_reopened_incident_keeps_its_review_which_waits_for_the_end(world: World) -> None:
    made = world.resolved()
    review = world.submitted(world.review(made))
    incidents.reopen(made.pk, actor=world.by("cleo"))
    with pytest.raises(Conflict) as caught:
        operations.mark_reviewed(review.pk, actor=world.by("mona"))
    assert caught.value.code == "incident_open"
    world.resolve(made, minutes=5)
    assert world.review(made).pk == review.pk
    assert operations.mark_reviewed(review.pk, actor=world.by("mona")).state == REVIEWED


def test_the_way_of_a_review_stands_on_the_timeline(world: World) -> None:
    review = world.reviewed()
    operations.close(review.pk, actor=world.by("mona"))
    made = review.incident
    assert world.lines(made, "review_opened") == ["Review opened, Cleo writes it, due 2026-05-06 14:52 UTC"]
    assert world.lines(made, "review_submitted") == ["Review submitted"]
    assert world.lines(made, "review_reviewed") == ["Review reviewed"]
    assert world.lines(made, "review_closed") == ["Review closed"]
