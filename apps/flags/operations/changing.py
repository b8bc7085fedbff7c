"""The frame of every verb on one flag: lock, authorize, check; then one version, one revision, one event."""

from __future__ import annotations

from typing import Any, TypeVar

from apps.catalog.models import Change
from apps.catalog.operations import NewChange, record_changes
from apps.engine.operations import publish
from apps.flags.events import FlagEvent
from apps.flags.models import Flag, FlagRevision
from apps.flags.operations.approving import drop_proposals
from apps.flags.permissions import authorize, no_such_flag
from apps.flags.queries import subject_of
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import PreconditionFailed
from apps.foundation.subjects import Subject

E = TypeVar("E", bound=FlagEvent)
_LARGEST_ID = 2**63 - 1


def lock_revision() -> FlagRevision:
    """The one row of revisions under its lock. Taken before any flag's: changes of flags follow one another.

    Numbers therefore become visible in their order, and two transactions that change several flags never wait for
    each other.
    """
    revision, _ = FlagRevision.objects.select_for_update().get_or_create(pk=1)
    return revision


def locked_flag(
    flag_id: int, permission: str, *, expected_version: int | None, actor: Actor
) -> tuple[Flag, FlagRevision]:
    """The flag under its lock, once `actor` may do `permission` to it, and the revision for `finish`.

    Raises NotFound, Forbidden, and PreconditionFailed for another version than the expected one.
    """
    revision = lock_revision()
    rows = Flag.objects.select_for_update(of=("self",)).select_related("environment", "owner")
    flag = rows.filter(pk=flag_id).first() if 0 < flag_id <= _LARGEST_ID else None
    if flag is None:
        raise no_such_flag()
    authorize(actor, flag, permission)
    if expected_version is not None and expected_version != flag.version:
        raise PreconditionFailed(f"{flag.key} was changed in the meantime: it has version {flag.version} now.")
    return flag, revision


def raise_revision(revision: FlagRevision) -> None:
    """The locked number grows: every process reads the flags anew."""
    revision.number += 1
    revision.changed_at = now()
    revision.save(update_fields=["number", "changed_at"])


def finish(flag: Flag, revision: FlagRevision, event: type[E], *, reason: str, about: Subject, actor: Actor) -> int:
    """Have every process read the changed flag anew, and tell of it; the event's id."""
    read_anew(flag, revision, actor)
    return publish(event(**said_of(flag, reason, about)), subject=subject_of(flag), actor=actor)


def read_anew(flag: Flag, revision: FlagRevision, actor: Actor) -> None:
    """Raise the number by which every process knows that the flag has changed; what was proposed for it is void."""
    raise_revision(revision)
    drop_proposals(flag, f"The flag has changed: it has version {flag.version} now.", actor=actor)


def said_of(flag: Flag, reason: str, about: Subject) -> dict[str, Any]:
    """What every event of a flag says, those of its experiments too."""
    return {
        "flag_id": flag.pk,
        "key": flag.key,
        "environment": flag.environment.slug,
        "name": flag.name,
        "reason": reason,
        "about_kind": about.kind,
        "about_key": about.key,
    }


def record_change(flag: Flag, done: str, actor: Actor) -> None:
    """What changed, for those who look at one of its services; recorded by the portal, on behalf of who did it."""
    changes = [
        NewChange(
            title=f"Flag {flag.key} {done}"[:300],
            kind=Change.Kind.FLAG,
            service_id=service_id,
            environment_id=flag.environment_id,
            version=str(flag.version),
            author=actor.name[:120],
            source="flags",
            dedup_key=f"flag:{flag.pk}:{flag.version}:{service_id or ''}",
            labels={"flag": flag.key, "state": flag.state},
        )
        for service_id in flag.services.order_by("pk").values_list("pk", flat=True) or [None]
    ]
    record_changes(changes, actor=Actor.system("flags"))
