"""The reviews of the past incidents, written on a clock that stood at their time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from apps.demo.lessons import Lesson
from apps.foundation.clock import ManualClock
from apps.incidents.models import Incident
from apps.people.models import User
from apps.people.queries import actor_for_user
from apps.postmortems.models import Review
from apps.postmortems.operations import (
    add_item,
    close,
    edit_section,
    finish_item,
    mark_reviewed,
    set_people,
    submit,
)

WRITTEN_AFTER = timedelta(hours=14)
REVIEWED_AFTER = timedelta(hours=6)


def write_review(lesson: Lesson, incident: Incident, clock: ManualClock, people: Mapping[str, User]) -> None:
    """Write the review of a resolved incident, keep its promises, and close it where it was closed.

    Runs inside `use_clock(clock)` and moves the clock on. Nothing happens where no review was opened.
    """
    review = Review.objects.select_related("owner").filter(incident=incident).first()
    if review is None or review.owner is None or incident.resolved_at is None:
        return
    writer, reviewer = actor_for_user(review.owner, "web"), actor_for_user(people[lesson.reviewer], "web")
    clock.move_to(max(clock(), incident.resolved_at + WRITTEN_AFTER))
    texts = dict(lesson.sections)
    for section in review.sections.all():
        if section.slug in texts:
            edit_section(section.pk, texts[section.slug], actor=writer)
    items = [
        add_item(
            review.pk,
            promise.title,
            owner_id=people[promise.owner].pk,
            priority=promise.priority,
            due_at=incident.resolved_at + timedelta(days=promise.due_after_days),
            actor=writer,
        )
        for promise in lesson.promises
    ]
    set_people(review.pk, reviewer_id=people[lesson.reviewer].pk, actor=writer)
    submit(review.pk, actor=writer)
    if lesson.closed:
        clock.advance(REVIEWED_AFTER)
        mark_reviewed(review.pk, actor=reviewer)
        for item, promise in zip(items, lesson.promises, strict=True):
            if promise.outcome:
                finish_item(item.pk, outcome=promise.outcome, actor=actor_for_user(people[promise.owner], "web"))
        close(review.pk, actor=reviewer)
