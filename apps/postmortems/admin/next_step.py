"""What a review wants next, what it still lacks, and the buttons of the person who looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse

from apps.incidents.admin.showing import Tone
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.postmortems.admin.sections import SectionView
from apps.postmortems.models import Review
from apps.postmortems.permissions import REVIEW, is_own, may_review, may_write


@dataclass(frozen=True, slots=True)
class Powers:
    """What the person who looks may do: write it, review it, and close or reopen it (also their own)."""

    write: bool
    review: bool
    end: bool
    own: bool


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing; `blocks` says that the next step waits for it."""

    text: str
    url: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Button:
    verb: str
    label: str
    icon: str
    classes: str
    url: str


@dataclass(frozen=True, slots=True)
class Next:
    tone: Tone
    icon: str
    title: str
    text: str
    lacks: tuple[Lack, ...]
    buttons: tuple[Button, ...]


def powers_of(user: User | AnonymousUser, review: Review) -> Powers:
    """Asked of the operations' own rules, so that no button promises what they would refuse."""
    if not isinstance(user, User):
        return Powers(write=False, review=False, end=False, own=False)
    return Powers(
        write=may_write(user, review),
        review=may_review(user, review),
        end=user_allowed(user, REVIEW),
        own=is_own(user, review),
    )


def lacks_of(review: Review, sections: Sequence[SectionView], items: int) -> tuple[Lack, ...]:
    """What stands between the review and its next step, and what may have been forgotten."""
    if review.state not in {Review.State.DRAFT, Review.State.IN_REVIEW}:
        return ()
    found = [Lack(f"“{row.title}” is empty", f"#section-{row.slug}", blocks=True) for row in sections if row.is_missing]
    if review.incident.is_open:
        found.append(Lack("The incident is open again", "", blocks=review.state == Review.State.IN_REVIEW))
    if review.state == Review.State.DRAFT and review.owner_id is None:
        found.append(Lack("Nobody owns it: who submits it will", "", blocks=False))
    if review.state == Review.State.DRAFT and review.reviewer_id is None:
        found.append(Lack("No reviewer is named: who answers for the owner will be asked", "", blocks=False))
    if not items:
        found.append(Lack("No action item is planned", "#items", blocks=False))
    return tuple(found)


def next_step(review: Review, powers: Powers, lacks: tuple[Lack, ...], open_items: int) -> Next:
    """The one sentence on top of the page, and its buttons."""
    match review.state:
        case Review.State.DRAFT:
            return _draft(review, powers, lacks)
        case Review.State.IN_REVIEW:
            return _in_review(review, powers, lacks)
        case Review.State.REVIEWED:
            text = "Figures and timeline are frozen. Close it once it has been shared." + _followed(open_items)
            buttons = [_button(review, "close", "Close", "inventory_2", "ip-btn--primary")] if powers.end else []
            return Next("ok", "verified", "Reviewed", text, (), (*buttons, *_reopen(review, powers)))
        case _:
            text = "Nothing is to be done here any more." if not open_items else _followed(open_items).strip()
            return Next("", "inventory_2", "Closed", text, (), _reopen(review, powers))


def _draft(review: Review, powers: Powers, lacks: tuple[Lack, ...]) -> Next:
    blocked = any(lack.blocks for lack in lacks)
    if not powers.write:
        who = review.owner.name if review.owner else "Nobody yet"
        return Next("", "edit_note", "It is being written", f"{who} writes it.", lacks, ())
    style = "" if blocked else "ip-btn--primary"
    text = (
        "These have to be written before it can be submitted." if blocked else "Everything needed is there: submit it."
    )
    title = "Write it, then submit" if blocked else "Ready to be submitted"
    return Next("accent", "edit_note", title, text, lacks, (_button(review, "submit", "Submit", "send", style),))


def _in_review(review: Review, powers: Powers, lacks: tuple[Lack, ...]) -> Next:
    asked = review.reviewer.name if review.reviewer else "who answers for the owner"
    if not powers.review:
        text = f"Waits for {asked}."
        if powers.own and powers.end:
            text += " Nobody reviews what they own or submitted."
        return Next("", "hourglass_top", "In review", text, lacks, ())
    blocked = any(lack.blocks for lack in lacks)
    buttons = (
        _button(review, "mark-reviewed", "Mark reviewed", "verified", "" if blocked else "ip-btn--ok"),
        _button(review, "send-back", "Send back", "undo", ""),
    )
    text = "Read it. Then accept it, or send it back with what is missing."
    if review.reviewer is not None:
        text = f"{asked} is asked to review it. {text}"
    return Next("accent", "rate_review", "It waits to be reviewed", text, lacks, buttons)


def _reopen(review: Review, powers: Powers) -> tuple[Button, ...]:
    return (_button(review, "reopen", "Reopen", "restart_alt", ""),) if powers.end else ()


def _button(review: Review, verb: str, label: str, icon: str, classes: str) -> Button:
    return Button(verb, label, icon, classes, reverse("admin:postmortems_review_act", args=[review.pk, verb]))


def _followed(open_items: int) -> str:
    if not open_items:
        return ""
    return f" {open_items} action item{'' if open_items == 1 else 's'} will be followed until done."
