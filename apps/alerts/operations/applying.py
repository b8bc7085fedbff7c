"""One batch of alerts of one integration: episodes, groups, incidents, with a constant number of queries.

Runs in the transaction of `grouping`, which holds the integration's lock: nobody else writes its alerts and groups
meanwhile. Incidents are locked in ascending order and looked at again under the lock, so an alert never joins one that
a person resolves at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Q

from apps.alerts.episodes import Sighting, apply, spoken_by, unseen
from apps.alerts.models import Alert, AlertGroup, Integration
from apps.alerts.operations.routing import Route, Router
from apps.alerts.payloads import AlertEvent
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.incidents.operations import (
    Declaration,
    NewEntry,
    alerts_cleared,
    alerts_firing,
    append_entries,
    change_severity,
    declare_many,
)
from apps.incidents.policy import severities

# All columns but the two that say which alert it is.
UPSERTED = [field.name for field in Alert._meta.concrete_fields if field.name not in {"id", "integration", "dedup_key"}]


@dataclass(slots=True)
class Moved:
    """One alert of the batch: as it is now, and what became of it."""

    alert: Alert
    began_firing: bool
    fired_anew: bool = False
    speaker: AlertEvent | None = None
    route: Route | None = None
    severity_before: str = ""

    @property
    def firing(self) -> bool:
        return self.alert.state == Alert.State.FIRING

    @property
    def cleared(self) -> bool:
        return self.began_firing and not self.firing


@dataclass(slots=True)
class Batch:
    """What is known while a batch is applied."""

    integration: Integration
    actor: Actor
    moved: list[Moved]
    groups: dict[int, AlertGroup] = field(default_factory=dict)
    open_by_key: dict[str, AlertGroup] = field(default_factory=dict)
    incidents: dict[int, Incident] = field(default_factory=dict)
    entries: list[NewEntry] = field(default_factory=list)
    refiring: set[int] = field(default_factory=set)

    def incident_of(self, group_id: int | None) -> Incident | None:
        group = self.groups.get(group_id) if group_id is not None else None
        return self.incidents.get(group.incident_id) if group is not None and group.incident_id is not None else None

    def tell(self, incident_id: int, kind: str, text: str, alert: Alert) -> None:
        self.entries.append(
            NewEntry(incident_id, kind, text, author_name=self.integration.name, data={"dedup_key": alert.dedup_key})
        )


def apply_alerts(integration: Integration, sightings: dict[str, list[Sighting]], *, actor: Actor) -> None:
    """Apply everything the receipts of a batch said about alerts. A paused integration opens and raises nothing."""
    moved = _move(integration, sightings)
    _route(integration, moved)
    batch = Batch(integration, actor, moved)
    homeless = [item for item in moved if _needs_group(item)]
    _load_groups(batch, homeless)
    if integration.state == Integration.State.PAUSED:
        _leave_outside(homeless)
    else:
        _house(batch, homeless)
    for item in moved:
        # Known rows go in as new ones that conflict: one statement serves both, and its key is the dedup key.
        item.alert.pk = None
    Alert.objects.bulk_create(
        [item.alert for item in moved],
        update_conflicts=True,
        unique_fields=["integration", "dedup_key"],
        update_fields=UPSERTED,
        batch_size=500,
    )
    if integration.state != Integration.State.PAUSED:
        _raise_severities(batch)
    _clear(batch)


def _move(integration: Integration, sightings: dict[str, list[Sighting]]) -> list[Moved]:
    """Walk each alert through its sightings, in memory."""
    known = {
        alert.dedup_key: alert
        for alert in Alert.objects.filter(integration=integration, dedup_key__in=list(sightings)).order_by()
    }
    moved: list[Moved] = []
    for key in sorted(sightings):
        alert = known.get(key) or unseen(integration.pk, key, sightings[key][0])
        item = Moved(
            alert,
            began_firing=alert.fire_receipt_id != 0 and alert.state == Alert.State.FIRING,
            severity_before=alert.severity,
        )
        for sighting in sightings[key]:
            step, speaks = apply(alert, sighting)
            item.fired_anew |= step == "fired"
            if speaks:
                item.speaker = sighting.event
        if item.firing and item.fired_anew and item.speaker is None:
            item.speaker = spoken_by(alert)
        moved.append(item)
    return moved


def _route(integration: Integration, moved: list[Moved]) -> None:
    """Service and severity of the alerts whose texts changed."""
    speakers = [item.speaker for item in moved if item.speaker is not None]
    if not speakers:
        return
    router = Router(integration, speakers)
    for item in moved:
        if item.speaker is not None:
            item.route = router.route(item.speaker)
            item.alert.service_id, item.alert.severity = item.route.service_id, item.route.severity.id


def _needs_group(item: Moved) -> bool:
    """A new episode, or one that has no incident yet because it was paused or harmless before."""
    return item.firing and item.route is not None and (item.fired_anew or item.alert.group_id is None)


def _leave_outside(homeless: Iterable[Moved]) -> None:
    """While paused: without a group, so that the first word after resuming finds one for it."""
    for item in homeless:
        item.alert.group = None


def _load_groups(batch: Batch, homeless: Iterable[Moved]) -> None:
    """The groups that matter and their incidents, the latter locked."""
    keys = {item.route.group_key for item in homeless if item.route is not None}
    held = {item.alert.group_id for item in batch.moved if item.alert.group_id is not None}
    if not keys and not held:
        return
    wanted = Q(pk__in=held) | Q(integration=batch.integration, group_key__in=keys, state=AlertGroup.State.OPEN)
    batch.groups = {group.pk: group for group in AlertGroup.objects.filter(wanted)}
    touched = {
        item.alert.group_id
        for item in batch.moved
        if item.cleared or item.fired_anew or item.alert.severity != item.severity_before
    }
    ids = {
        group.incident_id
        for group in batch.groups.values()
        if group.incident_id is not None and (group.pk in touched or group.group_key in keys)
    }
    rows = Incident.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk") if ids else ()
    batch.incidents = {incident.pk: incident for incident in rows}
    batch.open_by_key = {
        group.group_key: group
        for group in batch.groups.values()
        if group.state == AlertGroup.State.OPEN and group.integration_id == batch.integration.pk
    }


def _house(batch: Batch, homeless: Iterable[Moved]) -> None:
    """Give each alert the open group of its key with its open incident; open new ones where there is none."""
    ended: list[AlertGroup] = []
    opening: dict[str, list[Moved]] = {}
    for item in homeless:
        if item.route is None:
            continue
        group = batch.open_by_key.get(item.route.group_key)
        incident = batch.incident_of(group.pk) if group is not None else None
        if group is not None and (incident is None or not incident.is_open):
            ended.append(group)
            del batch.open_by_key[group.group_key]
            group = None
        if group is not None and incident is not None:
            item.alert.group = group
            batch.refiring.add(incident.pk)
            batch.tell(incident.pk, "alert", f"Alert fires: {item.alert.title}", item.alert)
        else:
            item.alert.group = None
            opening.setdefault(item.route.group_key, []).append(item)
    if ended:
        AlertGroup.objects.filter(pk__in=[group.pk for group in ended]).update(
            state=AlertGroup.State.CLOSED, closed_at=now()
        )
    # Where no alert of a group calls anybody, none of them opens an incident.
    calling = {key for key, items in opening.items() if any(item.route and item.route.opens for item in items)}
    _open({key: items for key, items in opening.items() if key in calling}, batch)


def _open(opening: dict[str, list[Moved]], batch: Batch) -> None:
    if not opening:
        return
    worst = {key: min(items, key=_rank) for key, items in opening.items()}
    incidents = declare_many([_declaration(batch.integration, item) for item in worst.values()], actor=batch.actor)
    at = now()
    groups = AlertGroup.objects.bulk_create(
        [
            AlertGroup(integration=batch.integration, group_key=key, incident=incident, opened_at=at)
            for key, incident in zip(worst, incidents, strict=True)
        ],
        batch_size=500,
    )
    for (key, items), group, incident in zip(opening.items(), groups, incidents, strict=True):
        batch.groups[group.pk] = batch.open_by_key[key] = group
        batch.incidents[incident.pk] = incident
        for item in items:
            item.alert.group = group
            batch.tell(incident.pk, "alert", f"Alert fires: {item.alert.title}", item.alert)


def _rank(item: Moved) -> int:
    return item.route.severity.rank if item.route is not None else 99


def _declaration(integration: Integration, item: Moved) -> Declaration:
    if item.route is None:
        raise RuntimeError("Only routed alerts open incidents.")
    alert, route = item.alert, item.route
    return Declaration(
        title=alert.title,
        severity=route.severity.id,
        summary=_summary(alert),
        team_id=route.team_id,
        service_ids=(route.service_id,) if route.service_id is not None else (),
        source=integration.kind,
        detected_at=alert.fired_at,
        policy_version_id=route.policy_version_id,
    )


def _summary(alert: Alert) -> str:
    said = alert.annotations.get("description") or alert.annotations.get("message") or ""
    return "\n\n".join(part for part in (said[:4000], alert.link) if part)


def _raise_severities(batch: Batch) -> None:
    """An incident becomes as bad as the worst alert that joined it or got worse; it never becomes better by itself."""
    wanted: dict[int, tuple[int, str, str]] = {}
    for item in batch.moved:
        incident = batch.incident_of(item.alert.group_id)
        worse = item.fired_anew or item.alert.severity != item.severity_before
        if incident is None or not incident.is_open or item.route is None or not item.firing or not worse:
            continue
        # Ranks are those of the incident's own pack, which may differ from the alert's.
        found = severities(incident.policy_version_id).find(item.route.severity.id)
        if found is not None and found.rank < min(incident.severity_rank, wanted.get(incident.pk, (99, "", ""))[0]):
            wanted[incident.pk] = (found.rank, found.id, item.alert.title)
    for incident_id, (_, severity, title) in sorted(wanted.items()):
        change_severity(incident_id, severity, reason=f"an alert is worse: {title}"[:200], actor=batch.actor)


def _clear(batch: Batch) -> None:
    """Tell incidents which of their alerts cleared, and when all of them did."""
    cleared: set[int] = set()
    for item in batch.moved:
        incident = batch.incident_of(item.alert.group_id)
        if item.cleared and incident is not None and incident.is_open:
            cleared.add(incident.pk)
            batch.tell(incident.pk, "alert_cleared", f"Alert cleared: {item.alert.title}", item.alert)
    append_entries(batch.entries)
    if batch.refiring:
        alerts_firing(batch.refiring, actor=batch.actor)
    if cleared:
        still = Alert.objects.filter(group__incident_id__in=cleared, state=Alert.State.FIRING)
        alerts_cleared(cleared - set(still.values_list("group__incident_id", flat=True)), actor=batch.actor)
