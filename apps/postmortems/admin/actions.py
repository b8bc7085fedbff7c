"""The buttons of a review and of its action items: each asks for what it needs and calls ONE operation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser

from apps.foundation.clock import now
from apps.foundation.errors import Invalid
from apps.incidents.admin.choices import Option, people_options, team_options
from apps.people.models import User
from apps.people.zones import zone_of
from apps.postmortems import operations
from apps.postmortems.admin.forms import Field, Sent, Verb
from apps.postmortems.models import ActionItem, Review
from apps.postmortems.policy import rules

Reader = User | AnonymousUser
NOBODY = Option("", "–")
DEFAULT_DAYS = 7
END_HINT = "The end of this day on your clock."


# --- what is asked ---


def _people(review: Review, user: Reader) -> tuple[Field, ...]:
    people = (NOBODY, *people_options(user))
    return (
        Field(
            "owner_id", "Owner", "choice", str(review.owner_id or ""), people, hint="Writes the review and submits it."
        ),
        Field(
            "reviewer_id", "Reviewer", "choice", str(review.reviewer_id or ""), people,
            hint="Reads it after it is submitted. Nobody reviews what they own.",
        ),
    )  # fmt: skip


def _reason(label: str, example: str) -> Any:
    return lambda _row, _user: (Field("reason", label, "long", required=True, example=example, most=1000),)


def _outcome(item: ActionItem, _user: Reader) -> tuple[Field, ...]:
    example = "The check runs in CI since build 812"
    return (Field("outcome", "What was done", "long", item.outcome, required=True, example=example, most=10000),)


def _new_item(review: Review, user: Reader) -> tuple[Field, ...]:
    due = (now() + timedelta(days=DEFAULT_DAYS)).astimezone(zone_of(user)).date()
    return _item_fields(review, user, due=due.isoformat())


def _known_item(item: ActionItem, user: Reader) -> tuple[Field, ...]:
    due = item.due_at.astimezone(zone_of(user)).date()
    return _item_fields(item.review, user, item, due=due.isoformat())


def _item_fields(review: Review, user: Reader, item: ActionItem | None = None, *, due: str) -> tuple[Field, ...]:
    known = rules(review.policy_version_id)
    priorities = tuple(Option(name, name) for name in (known.priorities if known else ()))
    if item and item.priority not in {option.value for option in priorities}:  # of an earlier pack
        priorities = (*priorities, Option(item.priority, item.priority))
    named = [option.value for option in priorities]
    usual = review.incident.severity if review.incident.severity in named else next(iter(named), "")
    given = item or ActionItem(priority=usual)
    return (
        Field("title", "What is to be done", value=given.title, required=True, example="Detect slow queries in CI"),
        Field("owner_id", "Owner", "choice", str(given.owner_id or ""), (NOBODY, *people_options(user)),
              hint="Is reminded before it is due. Without an owner, give a team: its leads are reminded."),
        Field("due_on", "Due", "day", due, required=True, hint=END_HINT),
        Field("priority", "Priority", "choice", given.priority, priorities, required=True),
        Field("team_id", "Team", "choice", str(given.team_id or ""), (NOBODY, *team_options())),
        Field("link", "Ticket elsewhere", "url", given.link, example="https://…", most=500),
        Field("description", "More", "long", given.description, hint="Markdown.", most=10000),
    )  # fmt: skip


def _again(item: ActionItem, user: Reader) -> tuple[Field, ...]:
    at = max(item.due_at, now() + timedelta(days=DEFAULT_DAYS))
    due = at.astimezone(zone_of(user)).date().isoformat()
    return (
        Field("due_on", "Due", "day", due, required=True, hint=END_HINT),
        Field("reason", "Why", "long", example="It broke again in the same way", most=1000),
    )


# --- what is done ---


def _set_people(sent: Sent) -> Any:
    return operations.set_people(
        sent.key, owner_id=sent.id("owner_id"), reviewer_id=sent.id("reviewer_id"), actor=sent.actor
    )


def _item_values(sent: Sent) -> dict[str, Any]:
    return {
        "owner_id": sent.id("owner_id"),
        "priority": sent.text("priority"),
        "team_id": sent.id("team_id"),
        "link": sent.text("link"),
        "description": sent.text("description"),
    }


def _add_item(sent: Sent) -> Any:
    due_at = sent.day("due_on")
    if due_at is None:
        raise Invalid("Say by when.", fields={"due_on": ["Choose a day."]})
    return operations.add_item(sent.key, sent.text("title"), due_at=due_at, **_item_values(sent), actor=sent.actor)


def _edit_item(sent: Sent) -> Any:
    """The day alone is shown, so an item that is due at some hour of it keeps that hour unless the day changes."""
    chosen = sent.day("due_on")
    before = ActionItem.objects.filter(pk=sent.key).values_list("due_at", flat=True).first()
    values = {"title": sent.text("title"), **_item_values(sent)}
    if chosen and (before is None or before.astimezone(sent.zone).date() != chosen.astimezone(sent.zone).date()):
        values["due_at"] = chosen
    return operations.edit_item(sent.key, **values, actor=sent.actor)


def _reopen_item(sent: Sent) -> Any:
    return operations.reopen_item(sent.key, reason=sent.text("reason"), due_at=sent.day("due_on"), actor=sent.actor)


REVIEW_VERBS: Mapping[str, Verb] = {
    "set-people": Verb("Who writes and who reads it", "Save", _set_people, "Saved.", fields=_people),
    "submit": Verb(
        "Submit for review?",
        "Submit",
        lambda sent: operations.submit(sent.key, actor=sent.actor),
        "Submitted: the reviewer is told.",
        text="The reviewer is told and reads it. Its text can still be edited until it is reviewed.",
    ),
    "send-back": Verb(
        "Send it back",
        "Send back",
        lambda sent: operations.send_back(sent.key, reason=sent.text("reason"), actor=sent.actor),
        "Sent back: the owner is told why.",
        text="It becomes a draft again, and the owner reads what you write here.",
        fields=_reason("What is missing", "The root cause says what broke, not why nobody noticed"),
    ),
    "mark-reviewed": Verb(
        "Mark it reviewed?",
        "Mark reviewed",
        lambda sent: operations.mark_reviewed(sent.key, actor=sent.actor),
        "Reviewed: figures and timeline are frozen as they are now.",
        text="Figures and timeline are frozen as they are now. What was promised is followed until done.",
        tone="ok",
    ),
    "close": Verb(
        "Close the review?",
        "Close",
        lambda sent: operations.close(sent.key, actor=sent.actor),
        "Closed. Open action items are still followed.",
        text="It leaves the board after 30 days and stays in the list. Open action items are followed until done.",
    ),
    "reopen": Verb(
        "Reopen the review",
        "Reopen",
        lambda sent: operations.reopen_review(sent.key, reason=sent.text("reason"), actor=sent.actor),
        "A draft again: figures and timeline are read from the incident anew.",
        text="It becomes a draft. Figures and timeline are read from the incident anew until it is reviewed again.",
        fields=_reason("Why", "The vendor sent its own report, which changes the root cause"),
    ),
    "add-item": Verb("New action item", "Add", _add_item, "Added: its owner is told.", fields=_new_item),
}

ITEM_VERBS: Mapping[str, Verb] = {
    "edit": Verb("Edit the action item", "Save", _edit_item, "Saved.", fields=_known_item),
    "start": Verb(
        "Start on it?",
        "Start",
        lambda sent: operations.start_item(sent.key, actor=sent.actor),
        "In progress.",
    ),
    "finish": Verb(
        "It is done",
        "Done",
        lambda sent: operations.finish_item(sent.key, outcome=sent.text("outcome"), actor=sent.actor),
        "Done.",
        fields=_outcome,
        tone="ok",
    ),
    "drop": Verb(
        "Drop it",
        "Drop",
        lambda sent: operations.drop_item(sent.key, reason=sent.text("reason"), actor=sent.actor),
        "Dropped: it is no longer followed.",
        text="It is no longer followed. The reason stays in the review and its export.",
        fields=_reason("Why it will not be done", "The service is switched off in March"),
        tone="danger",
    ),
    "reopen": Verb(
        "Take it up again?",
        "Reopen",
        _reopen_item,
        "To do again: reminders start anew.",
        text="It is followed again, from its new due date.",
        fields=_again,
    ),
}
