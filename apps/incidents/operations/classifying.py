"""What kind of incident it is, and where the clock of its target stops: chosen while one learns what it is."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.operations import operation
from apps.incidents.events import ClockStopChosen, TypeChanged
from apps.incidents.incident_types import types_of
from apps.incidents.models import Incident
from apps.incidents.operations import checking
from apps.incidents.operations.changing import changing
from apps.incidents.operations.marking import settle_target_clock
from apps.incidents.permissions import COMMAND
from apps.incidents.policy import lifecycle
from apps.incidents.service_levels import clocks_for, stops_for


@operation
def change_type(
    incident_id: int,
    type: str,  # noqa: A002  # its name everywhere else, too
    subtype: str = "",
    *,
    actor: Actor,
    expected_version: int | None = None,
) -> Incident:
    """Say what kind of incident it is, of those that its pack names; an empty type takes it back.

    The same again changes nothing, nor does anything about paging. Needs `command_incident`; a resolved one can be
    corrected. Raises Invalid, with the valid ones, for a type or sub-type that the pack does not have.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        incident = change.incident
        found = checked_type(incident.policy_version_id, type, subtype)
        if found == (incident.type, incident.subtype):
            return incident
        change.set(type=found[0], subtype=found[1])
        text = types_of(incident.policy_version_id).text(*found)
        event = TypeChanged(incident_id=incident.pk, type=found[0], subtype=found[1])
        change.tell(event, "type", f"Type: {text}" if text else "It has no type", type=found[0], subtype=found[1])
    return change.incident


def checked_type(version_id: int, slug: str, subtype: str) -> tuple[str, str]:
    """The type and sub-type as the pack writes them, in any case of letters; Invalid with the valid ones."""
    slug, subtype = slug.strip().lower(), subtype.strip()
    if not slug:
        if subtype:
            raise invalid("type", "A sub-type needs its type.")
        return "", ""
    known = types_of(version_id)
    kind = known.find(slug)
    if kind is None:
        names = ", ".join(each.slug for each in known.root)
        valid = f"Valid in this incident's pack: {names}." if names else "This incident's pack names no types."
        raise invalid("type", f"Unknown type {slug!r}. {valid}")
    if not subtype:
        return kind.slug, ""
    name = next((each for each in kind.subtypes if each.lower() == subtype.lower()), None)
    if name is None:
        valid = f"Valid: {', '.join(kind.subtypes)}." if kind.subtypes else "It has none."
        raise invalid("subtype", f"Unknown sub-type {subtype!r} of {kind.name}. {valid}")
    return kind.slug, name


@operation
def choose_clock_stop(
    incident_id: int, milestone: str, *, reason: str = "", actor: Actor, expected_version: int | None = None
) -> Incident:
    """Choose at which milestone the clock of the target stops; an empty one is that of the severity again.

    Where it is reached already, the clock stands at its instant, and the target calls nobody any more; else it runs
    on. The same again changes nothing. Needs `command_incident`. Raises Invalid, with those of the pack, for another
    milestone, and Conflict when the incident is resolved.
    """
    with changing(incident_id, actor=actor, permission=COMMAND, expected_version=expected_version) as change:
        incident = change.incident
        found = checked_stop(incident, milestone)
        why = checked_text(reason, "reason", most=checking.MAX_REASON, required=False)
        if found == incident.stop_milestone:
            return incident
        checking.still_open(incident, "choose where its clock stops")
        change.set(stop_milestone=found)
        settle_target_clock(change)
        stop = clocks_for(incident).stop
        label = lifecycle(incident.policy_version_id).milestone_label(stop)
        event = ClockStopChosen(incident_id=incident.pk, milestone=stop, reason=why)
        text = f"The clock of the target stops at: {label}" + (f" ({why})" if why else "")
        change.tell(event, "clock", text, milestone=stop)
        change.tell_of_paging()
    return change.incident


def checked_stop(incident: Incident, milestone: str) -> str:
    """A milestone at which its clock may stop, or an empty text; Invalid with the valid ones."""
    if not milestone:
        return ""
    return checking.choice(milestone, "milestone", stops_for(incident))
