"""What people write into a review, who owns it, and the way through its states."""

from __future__ import annotations

from enum import Enum

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.clock import now
from apps.foundation.errors import Conflict
from apps.foundation.operations import operation
from apps.incidents.queries import subject_of
from apps.people.models import User
from apps.people.queries import user_of
from apps.postmortems.events import Closed, Reopened, Reviewed, SentBack, Submitted
from apps.postmortems.figures import freeze
from apps.postmortems.models import ActionItem, Review, Section
from apps.postmortems.operations import checking, locking
from apps.postmortems.permissions import require_review, require_write
from apps.postmortems.policy import rules
from apps.postmortems.scheduling import schedule_digests, schedule_review
from apps.postmortems.texts import reviewers_of, tell_of_review


class Unset(Enum):
    """Stands for an argument that was not given, where None has a meaning of its own."""

    UNSET = "unset"


UNSET = Unset.UNSET


@operation
def edit_section(section_id: int, text: str, *, expected_version: int | None = None, actor: Actor) -> Section:
    """Write one section, as Markdown; what was there stays in its history. The same text again changes nothing.

    For holders of `write_review` and the review's owner, while it is a draft or in review. `expected_version` is the
    section's. Raises NotFound, Forbidden, PreconditionFailed, Conflict (`review_locked`), Invalid over 50,000
    characters.
    """
    section = locking.section(section_id)
    require_write(actor, section.review)
    checking.version(section, expected_version)
    locking.still_open(section.review, "edit it")
    body = checked_text(text, "text", most=checking.MAX_SECTION, required=False)
    if body == section.text:
        return section
    section.text, section.edited_at, section.edited_by = body, now(), user_of(actor)
    locking.save(section, "text", "edited_at", "edited_by", actor=actor)
    locking.touch(section.review)
    return section


@operation
def set_people(
    review_id: int,
    *,
    owner_id: int | Unset | None = UNSET,
    reviewer_id: int | Unset | None = UNSET,
    expected_version: int | None = None,
    actor: Actor,
) -> Review:
    """Say who writes the review and who is asked to review it; what is not given stays. A repeat changes nothing.

    For holders of `write_review` and the owner. The owner changes only while it is a draft, the reviewer until it is
    reviewed. Both must see the incident, the reviewer needs `review_review` and is never the owner. A new owner, and a
    new reviewer of what is in review, are told.
    """
    review = locking.review(review_id)
    require_write(actor, review)
    checking.version(review, expected_version)
    before = (review.owner_id, review.reviewer_id)
    if owner_id is not UNSET and owner_id != review.owner_id:
        locking.in_state(review, Review.State.DRAFT)
        review.owner = checking.person(owner_id, review.incident, "owner_id")
    if reviewer_id is not UNSET and reviewer_id != review.reviewer_id:
        locking.still_open(review, "change its reviewer")
        review.reviewer = checking.reviewer(reviewer_id, review.owner_id, review.incident)
    if review.reviewer_id is not None and review.reviewer_id == review.owner_id:
        raise invalid("owner_id", "The owner is asked to review it: nobody reviews what they own.")
    if (review.owner_id, review.reviewer_id) == before:
        return review
    if review.owner_id != before[0]:
        _run_anew(review)
        if review.owner_id != actor.user_id:
            tell_of_review(review, review.owner, "owner", actor=actor)
    locking.save(review, "owner", "reviewer", "run", actor=actor)
    if review.reviewer_id != before[1] and review.state == Review.State.IN_REVIEW:
        tell_of_review(review, review.reviewer, "submitted", actor=actor)
        schedule_digests([review.reviewer_id] if review.reviewer_id else [])
    return review


def _run_anew(review: Review) -> None:
    """Its reminders start afresh: those of the old run are void."""
    review.run += 1
    found = rules(review.policy_version_id)
    if found is not None:
        schedule_review(review, found)


@operation
def submit(review_id: int, *, expected_version: int | None = None, actor: Actor) -> Review:
    """Hand a draft in for review: all required sections must be filled. One that is in review stays as it is.

    For holders of `write_review` and the owner. A review that nobody owns belongs to the person who submits it. The
    reviewer is told, or, where nobody was named (or only who submits it), who answers for the owner. Raises Conflict:
    `sections_missing`, `owner_missing` (a program submits what nobody owns), `wrong_state`.
    """
    review = locking.review(review_id)
    user = require_write(actor, review)
    checking.version(review, expected_version)
    if review.state == Review.State.IN_REVIEW:
        return review
    locking.in_state(review, Review.State.DRAFT)
    locking.required_are_filled(review)
    if review.owner is None and user is not None and user.kind == User.Kind.PERSON:
        review.owner = user
    if review.owner is None:
        raise Conflict("Nobody owns this review: say who writes it first.", code="owner_missing")
    if review.reviewer_id in {review.owner_id, user.pk if user else None}:
        review.reviewer = None
    review.state, review.submitted_at, review.submitted_by = Review.State.IN_REVIEW, now(), user
    review.run += 1
    locking.save(review, "state", "submitted_at", "submitted_by", "owner", "reviewer", "run", actor=actor)
    reviewers = reviewers_of(review)
    event = Submitted(
        review_id=review.pk,
        title=review.title,
        reviewer_id=review.reviewer_id,
        reviewer=review.reviewer.name if review.reviewer else "",
    )
    publish(event, subject=subject_of(review.incident_id), actor=actor)
    for reviewer in reviewers:
        tell_of_review(review, reviewer, "submitted", actor=actor)
    schedule_digests([reviewer.pk for reviewer in reviewers])
    return review


@operation
def send_back(review_id: int, *, reason: str, expected_version: int | None = None, actor: Actor) -> Review:
    """Give a review back to its owner, as a draft, with a reason; the owner is told. A draft stays as it is.

    Needs `review_review`, and that it is not one's own. Raises Conflict once it is reviewed.
    """
    review = locking.review(review_id)
    require_review(actor, review)
    checking.version(review, expected_version)
    if review.state == Review.State.DRAFT:
        return review
    locking.in_state(review, Review.State.IN_REVIEW)
    why = checked_text(reason, "reason", most=checking.MAX_REASON)
    review.state, review.submitted_at, review.submitted_by = Review.State.DRAFT, None, None
    _run_anew(review)
    locking.save(review, "state", "submitted_at", "submitted_by", "run", actor=actor)
    event = SentBack(review_id=review.pk, title=review.title, reason=why)
    publish(event, subject=subject_of(review.incident_id), actor=actor)
    tell_of_review(review, review.owner, "sent_back", reason=why, actor=actor)
    return review


@operation
def mark_reviewed(review_id: int, *, expected_version: int | None = None, actor: Actor) -> Review:
    """Accept a review: its sections are locked, and its figures and timeline frozen as they are now.

    Needs `review_review`. Nobody reviews what they own or submitted, neither by themselves nor by a service account of
    theirs. A reviewed one stays as it is. Raises Forbidden (`own_review`); Conflict for a draft, while a required
    section is empty (`sections_missing`), and while the incident is open again (`incident_open`).
    """
    review = locking.review(review_id)
    user = require_review(actor, review)
    checking.version(review, expected_version)
    if review.state in {Review.State.REVIEWED, Review.State.CLOSED}:
        return review
    locking.in_state(review, Review.State.IN_REVIEW)
    if review.incident.is_open:
        raise Conflict(
            f"{review.incident.number} was reopened: it is reviewed once it is resolved.", code="incident_open"
        )
    locking.required_are_filled(review)
    review.state, review.reviewed_at, review.reviewed_by = Review.State.REVIEWED, now(), user
    review.frozen = freeze(review)
    review.run += 1
    locking.save(review, "state", "reviewed_at", "reviewed_by", "frozen", "run", actor=actor)
    publish(Reviewed(review_id=review.pk, title=review.title), subject=subject_of(review.incident_id), actor=actor)
    tell_of_review(review, review.owner, "reviewed", actor=actor)
    return review


@operation
def close(review_id: int, *, expected_version: int | None = None, actor: Actor) -> Review:
    """End a reviewed review; what is still to do in it is followed on. A closed one stays as it is.

    Needs `review_review`; its owner may close it too, since somebody else has reviewed it. Raises Conflict before it
    is reviewed.
    """
    review = locking.review(review_id)
    require_review(actor, review, own=True)
    checking.version(review, expected_version)
    if review.state == Review.State.CLOSED:
        return review
    locking.in_state(review, Review.State.REVIEWED)
    locking.required_are_filled(review)
    review.state, review.closed_at = Review.State.CLOSED, now()
    locking.save(review, "state", "closed_at", actor=actor)
    undone = review.items.filter(state__in=[ActionItem.State.OPEN, ActionItem.State.IN_PROGRESS]).count()
    event = Closed(review_id=review.pk, title=review.title, open_items=undone)
    publish(event, subject=subject_of(review.incident_id), actor=actor)
    return review


@operation
def reopen_review(review_id: int, *, reason: str, expected_version: int | None = None, actor: Actor) -> Review:
    """Make a reviewed or closed review a draft again, for a reason: texts can be edited, and its figures and timeline
    are read from the incident anew until it is reviewed once more. The owner is told. Another one stays as it is.

    Needs `review_review`, one's own included.
    """
    review = locking.review(review_id)
    require_review(actor, review, own=True)
    checking.version(review, expected_version)
    if review.state in locking.OPEN_STATES:
        return review
    why = checked_text(reason, "reason", most=checking.MAX_REASON)
    review.state, review.frozen = Review.State.DRAFT, None
    review.submitted_at = review.submitted_by = None
    review.reviewed_at = review.reviewed_by = review.closed_at = None
    _run_anew(review)
    changed = ("state", "frozen", "submitted_at", "submitted_by", "reviewed_at", "reviewed_by", "closed_at", "run")
    locking.save(review, *changed, actor=actor)
    event = Reopened(review_id=review.pk, title=review.title, reason=why)
    publish(event, subject=subject_of(review.incident_id), actor=actor)
    if review.owner_id != actor.user_id:
        tell_of_review(review, review.owner, "reopened", reason=why, actor=actor)
    return review
