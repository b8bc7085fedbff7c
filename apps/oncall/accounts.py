"""What follows for rotations when the account of somebody who covers is closed, or opened again."""

from __future__ import annotations

from django.db.models import Q

from apps.engine.models import Event
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.oncall.models import Coverage, Override, Rotation
from apps.oncall.operations.watching import remember
from apps.people.events import AccountClosed, AccountOpened

SUBSCRIBER = "oncall.accounts"
KINDS = [AccountClosed.kind, AccountOpened.kind]


def follow_account(event: Event) -> None:
    """Whoever gets the duty back hears of it three minutes later and is reminded; calendar programs see the change.

    That an account was opened again is told to nobody, but calendars and reminders follow. A repeat changes nothing.
    """
    user_id = int(event.payload["user_id"])
    standing = Q(user_id=user_id, ends_at__gt=now(), cancelled_at__isnull=True)
    ids = {
        *Override.objects.filter(standing).values_list("rotation_id", flat=True),
        *Coverage.objects.filter(standing).values_list("rotation_id", flat=True),
    }
    closed = event.kind == AccountClosed.kind
    actor = _who(event) if closed else Actor.system(SUBSCRIBER)
    for rotation in Rotation.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"):
        remember(rotation, actor, as_open=user_id if closed else None)


def _who(event: Event) -> Actor:
    said = event.actor
    return Actor(kind=said["kind"], name=said["name"], user_id=said["user_id"], via=said["via"])
