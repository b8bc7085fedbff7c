"""What becomes of an incident when its alerts clear, and when one fires again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from simple_history.utils import bulk_update_with_history

from apps.engine.events import DomainEvent
from apps.engine.operations import publish_many
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.incidents.events import ResolveProposalWithdrawn, ResolveProposed
from apps.incidents.models import Incident
from apps.incidents.operations.changing import changing
from apps.incidents.operations.recording import entry_by, lock_incidents, write_entries
from apps.incidents.operations.resolving import resolve_by_itself
from apps.incidents.operations.signing import history_signature
from apps.incidents.permissions import COMMAND
from apps.incidents.policy import lifecycle, roles
from apps.incidents.queries import current_roles, subject_of


@operation
def alerts_cleared(incident_ids: Iterable[int], *, actor: Actor) -> None:
    """Tell incidents that all their alerts have cleared. For the portal itself; it asks for no permission.

    Under `resolve.on_clear` of the pinned pack, `propose_when_commanded` resolves those that nobody commands and
    proposes it to the commander of the others, `always` resolves all, `never` always proposes. Resolved incidents
    and those with a standing proposal stay as they are. A few queries for any number.
    """
    found = [item for item in lock_incidents(incident_ids).values() if item.is_open]
    held = current_roles(item.pk for item in found)
    by_itself = [item for item in found if _resolves_by_itself(item, held[item.pk].keys())]
    resolve_by_itself(by_itself, actor=actor)
    done = {item.pk for item in by_itself}
    waiting = [item for item in found if item.pk not in done and item.resolve_proposed_at is None]
    _propose(waiting, at=now(), actor=actor)


@operation
def alerts_firing(incident_ids: Iterable[int], *, actor: Actor) -> None:
    """Tell incidents that an alert of theirs fires (again): a standing proposal to resolve is withdrawn.

    For the portal itself. One cheap query when there is none, which is the rule; a repeat changes nothing.
    """
    proposed = Incident.objects.filter(pk__in=set(incident_ids), resolve_proposed_at__isnull=False)
    ids = list(proposed.exclude(phase=Incident.Phase.RESOLVED).values_list("pk", flat=True))
    if not ids:
        return
    locked = lock_incidents(ids).values()
    standing = [item for item in locked if item.is_open and item.resolve_proposed_at is not None]
    _withdraw(standing, reason="an alert fires again", actor=actor)


@operation
def keep_open(incident_id: int, *, actor: Actor, expected_version: int | None = None) -> Incident:
    """Decline the portal's proposal to resolve. Needs `command_incident`; without a proposal it changes nothing."""
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        if change.incident.resolve_proposed_at is not None:
            change.set(resolve_proposed_at=None)
            reason = f"declined by {actor.name}"
            event = ResolveProposalWithdrawn(incident_id=incident_id, reason=reason)
            change.tell(event, "proposal_withdrawn", f"Proposal to resolve {reason}")
    return change.incident


def _resolves_by_itself(incident: Incident, held: Iterable[str]) -> bool:
    on_clear = lifecycle(incident.policy_version_id).resolve.on_clear
    if on_clear == "propose_when_commanded":
        return roles(incident.policy_version_id).commander.slug not in set(held)
    return on_clear == "always"


def _propose(incidents: Sequence[Incident], *, at: datetime, actor: Actor) -> None:
    events: list[tuple[DomainEvent, Subject, Actor]] = [
        (ResolveProposed(incident_id=item.pk), subject_of(item), actor) for item in incidents
    ]
    for item in incidents:
        item.resolve_proposed_at = at
    text = "All alerts cleared: resolve it?"
    _tell_and_save(incidents, events, kind="resolve_proposed", text=text, actor=actor)


def _withdraw(incidents: Sequence[Incident], *, reason: str, actor: Actor) -> None:
    events: list[tuple[DomainEvent, Subject, Actor]] = [
        (ResolveProposalWithdrawn(incident_id=item.pk, reason=reason), subject_of(item), actor) for item in incidents
    ]
    for item in incidents:
        item.resolve_proposed_at = None
    text = f"Proposal to resolve withdrawn: {reason}"
    _tell_and_save(incidents, events, kind="proposal_withdrawn", text=text, actor=actor)


def _tell_and_save(
    incidents: Sequence[Incident],
    events: Sequence[tuple[DomainEvent, Subject, Actor]],
    *,
    kind: str,
    text: str,
    actor: Actor,
) -> None:
    if not incidents:
        return
    entries = [
        entry_by(actor, item.pk, kind, text, event_id=event_id)
        for item, event_id in zip(incidents, publish_many(events), strict=True)
    ]
    write_entries({item.pk: item for item in incidents}, entries)
    for item in incidents:
        item.version += 1
    fields = ["resolve_proposed_at", "version", "stream_seq"]
    bulk_update_with_history(list(incidents), Incident, fields, batch_size=200, **history_signature())
