"""Verbs on calendar feeds: made, rotated and revoked by who reads them."""

from __future__ import annotations

import secrets

from apps.catalog.queries import visible_teams
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.oncall.models import CalendarFeed, Rotation, RotationWatch, ShiftReminder
from apps.oncall.queries.feeds import rotations_of
from apps.oncall.queries.rotations import visible_rotations
from apps.people.crypto import digest
from apps.people.models import User
from apps.people.permissions import allowed, require
from apps.people.queries import user_of

FEED_PREFIX = "ofd_"
MOST_FEEDS = 50


@operation
def create_feed(
    *, rotation_id: int | None = None, team_id: int | None = None, actor: Actor
) -> tuple[CalendarFeed, str]:
    """Make a secret address for one's calendar program, and return it with its token, which is kept nowhere.

    Of a rotation, of a team, or, without both, of one's own shifts. Each call makes another one. Needs
    `oncall.view_rotation`. Raises Forbidden, NotFound for what one may not see, Invalid for both, Conflict for too
    many.
    """
    owner = _owner(actor)
    require(actor, "oncall.view_rotation")
    if rotation_id is not None and team_id is not None:
        raise Invalid("A feed is of a rotation or of a team.", fields={"team": ["Give it, or a rotation, not both."]})
    if rotation_id is not None and not visible_rotations(owner).filter(pk=rotation_id).exists():
        raise NotFound("There is no such rotation.", fields={"rotation": ["There is no such rotation."]})
    if team_id is not None and not visible_teams(owner).filter(pk=team_id).exists():
        raise NotFound("There is no such team.", fields={"team": ["There is no such team."]})
    if CalendarFeed.objects.filter(owner=owner, revoked_at__isnull=True).count() >= MOST_FEEDS:
        raise Conflict(f"You have {MOST_FEEDS} feeds: revoke one first.", code="too_many_feeds")
    token = _token()
    feed = CalendarFeed.objects.create(
        owner=owner, rotation_id=rotation_id, team_id=team_id, prefix=token[:12], digest=digest(token), created_at=now()
    )
    return feed, token


@operation
def rotate_feed(feed_id: int, *, reason: str = "", actor: Actor) -> tuple[CalendarFeed, str]:
    """Give one's feed a new token, and return it; the old address is nothing from now on. Each call makes another.

    Raises NotFound for somebody else's, Conflict for a revoked one.
    """
    owner = _owner(actor)
    feed = CalendarFeed.objects.select_for_update(of=("self",)).filter(pk=feed_id, owner=owner).first()
    if feed is None:
        raise NotFound("There is no such feed.")
    if feed.revoked_at is not None:
        raise Conflict("This feed is revoked: make a new one.", code="feed_is_revoked")
    token = _token()
    feed.prefix, feed.digest = token[:12], digest(token)
    feed.save(update_fields=["prefix", "digest"])
    return feed, token


@operation
def revoke_feed(feed_id: int, *, reason: str = "", actor: Actor) -> CalendarFeed:
    """Make a feed's address nothing from now on. For its owner, or with `oncall.change_calendarfeed`.

    A repeat changes nothing. Raises NotFound also where the actor may not know of the feed.
    """
    feed = CalendarFeed.objects.select_for_update(of=("self",)).filter(pk=feed_id).first()
    if feed is None or not (actor.user_id == feed.owner_id or allowed(actor, "oncall.change_calendarfeed")):
        raise NotFound("There is no such feed.")
    if feed.revoked_at is None:
        feed.revoked_at = now()
        feed.save(update_fields=["revoked_at"])
    return feed


@operation
def set_reminder(lead: str, *, reason: str = "", actor: Actor) -> ShiftReminder:
    """How long before a shift of one's own one is reminded: none, hour or day. The same again changes nothing.

    Raises Forbidden for who has no account, Invalid for another word.
    """
    owner = _owner(actor)
    if lead not in ShiftReminder.Lead.values:
        sentence = f"One of: {', '.join(ShiftReminder.Lead.values)}."
        raise Invalid("There is no such reminder.", fields={"lead": [sentence]})
    row = ShiftReminder.objects.select_for_update(of=("self",)).filter(user=owner).first()
    if row is None:
        row = ShiftReminder.objects.create(user=owner, lead=lead)
    elif row.lead != lead:
        row.lead = lead
        row.save(update_fields=["lead"])
    else:
        return row
    _look_again(owner)
    return row


def _look_again(owner: User) -> None:
    """When to look at their rotations next was worked out with the reminder of before."""
    theirs = rotations_of(Rotation.objects.all(), [owner.pk]).values("pk")
    rows = RotationWatch.objects.select_for_update(of=("self",)).filter(pk__in=theirs).order_by("pk")
    RotationWatch.objects.filter(pk__in=[row.pk for row in rows]).update(remind_at=now())


def _owner(actor: Actor) -> User:
    owner = user_of(actor)
    if owner is None or not owner.is_active or actor.kind == "link":
        raise Forbidden("Only somebody with an account can do this.")
    return owner


def _token() -> str:
    return FEED_PREFIX + secrets.token_urlsafe(32)
