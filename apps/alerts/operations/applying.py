"""One batch of alerts of one integration: episodes, groups, incidents, with a constant number of queries.

Runs in the transaction of `grouping`, which holds the integration's lock: nobody else writes its alerts and groups
meanwhile. Incidents are locked in ascending order and looked at again under the lock, so an alert never joins one that
a person resolves at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from django.db.models import Q

from apps.alerts.episodes import Sighting, apply, spoken_by, unseen
from apps.alerts.models import Alert, Integration
from apps.alerts.operations.batch import Batch, Moved
from apps.alerts.operations.calming import release_later, watch_flapping
from apps.alerts.operations.flapping import flaps, is_steady, note_change
from apps.alerts.operations.housing import house, load_groups
from apps.alerts.operations.routing import Router
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.operations import Raise, alerts_cleared, alerts_firing, append_entries, raise_severities
from apps.incidents.policy import severities

# All columns but the two that say which alert it is.
UPSERTED = [field.name for field in Alert._meta.concrete_fields if field.name not in {"id", "integration", "dedup_key"}]


def apply_alerts(
    integration: Integration,
    sightings: dict[str, list[Sighting]],
    *,
    rechecked: Set[str] = frozenset(),
    actor: Actor,
) -> None:
    """Apply everything the receipts of a batch said about alerts, and look once more at those of the dedup keys
    `rechecked`. A paused integration opens and raises nothing."""
    moved = _move(integration, sightings, rechecked)
    _route(integration, moved)
    _note_flapping(moved)
    batch = Batch(integration, actor, moved)
    homeless = [item for item in moved if item.needs_group]
    load_groups(batch, homeless)
    if integration.state == Integration.State.PAUSED:
        _leave_outside(homeless)
    else:
        house(batch, homeless)
    for item in moved:
        if item.cleared:
            item.alert.is_suppressed = False
        # Known rows go in as new ones that conflict: one statement serves both, and its key is the dedup key.
        item.alert.pk = None
    Alert.objects.bulk_create(
        [item.alert for item in moved],
        update_conflicts=True,
        unique_fields=["integration", "dedup_key"],
        update_fields=UPSERTED,
        batch_size=500,
    )
    watch_flapping(
        (item.alert, item.flapping_rule.within_seconds)
        for item in moved
        if item.flapping_rule and item.alert.flapping_since is not None and (item.began_flapping or item.rechecked)
    )
    if integration.state != Integration.State.PAUSED:
        _raise_severities(batch)
    _clear(batch)


def _move(integration: Integration, sightings: dict[str, list[Sighting]], rechecked: Set[str]) -> list[Moved]:
    """Walk each alert through its sightings, in memory."""
    rows = Alert.objects.filter(integration=integration, dedup_key__in=[*sightings, *rechecked])
    known = {alert.dedup_key: alert for alert in rows.select_related("service").order_by()}
    moved: list[Moved] = []
    for key in sorted(sightings.keys() | (rechecked & known.keys())):
        alert = known.get(key) or unseen(integration.pk, key, sightings[key][0])
        item = Moved(
            alert,
            began_firing=alert.fire_receipt_id != 0 and alert.state == Alert.State.FIRING,
            rechecked=key in rechecked,
            severity_before=alert.severity,
            group_before=alert.group_id,
        )
        for sighting in sightings.get(key, ()):
            step, speaks = apply(alert, sighting)
            item.fired_anew |= step == "fired"
            if step != "unchanged":
                item.changed = True
                note_change(alert, sighting.received_at)
            if speaks:
                item.speaker = sighting.event
        item.released = item.rechecked and item.firing and alert.is_suppressed
        if item.firing and (item.fired_anew or item.released) and item.speaker is None:
            item.speaker = spoken_by(alert)
        moved.append(item)
    return moved


def _route(integration: Integration, moved: list[Moved]) -> None:
    """Service and severity of the alerts whose texts changed, and the pack's view on all that did change."""
    speakers = [item.speaker for item in moved if item.speaker is not None]
    if not speakers and not any(item.changed or item.rechecked for item in moved):
        return
    router = Router(integration, speakers)
    for item in moved:
        item.flapping_rule = router.own.flapping
        if item.speaker is not None:
            item.route = router.route(item.speaker)
            item.flapping_rule = item.route.pack.flapping
            item.alert.service_id, item.alert.severity = item.route.service_id, item.route.severity.id


def _note_flapping(moved: Iterable[Moved]) -> None:
    """Mark the alerts that flap from now on, and those that no longer do."""
    at = now()
    for item in moved:
        alert = item.alert
        if alert.flapping_since is None and item.changed and flaps(alert, item.flapping_rule):
            alert.flapping_since, item.began_flapping = at, True
        elif alert.flapping_since is not None and item.rechecked and is_steady(alert, item.flapping_rule, at):
            alert.flapping_since, item.calmed = None, True


def _leave_outside(homeless: Iterable[Moved]) -> None:
    """While paused: without a group, so that the first word after resuming finds one for it."""
    for item in homeless:
        item.alert.group, item.alert.is_suppressed = None, False


def _raise_severities(batch: Batch) -> None:
    """An incident becomes as bad as the worst alert that joined it or got worse; it never becomes better by itself."""
    wanted: dict[int, tuple[int, str, str]] = {}
    for item in batch.moved:
        incident = batch.incident_of(item.alert.group_id)
        joins = item.fired_anew or (item.released and not item.alert.is_suppressed)
        worse = joins or item.alert.severity != item.severity_before
        if incident is None or not incident.is_open or item.route is None or not item.firing or not worse:
            continue
        # Ranks are those of the incident's own pack, which may differ from the alert's.
        found = severities(incident.policy_version_id).find(item.route.severity.id)
        if found is not None and found.rank < min(incident.severity_rank, wanted.get(incident.pk, (99, "", ""))[0]):
            wanted[incident.pk] = (found.rank, found.id, item.alert.title)
    raises = {pk: Raise(severity, f"an alert is worse: {title}"[:200]) for pk, (_, severity, title) in wanted.items()}
    raise_severities(raises, actor=batch.actor)


def _clear(batch: Batch) -> None:
    """Tell incidents which of their alerts cleared, and when all of them did.

    What flaps holds its incident open though it is clear at the moment; what a dependency holds back does not. It is
    looked at again after each alert that is over: another one that keeps the incident open is not what it waits for.
    """
    cleared: set[int] = set()
    steady: set[int] = set()
    for item in batch.moved:
        incident = batch.incident_of(item.alert.group_id)
        if incident is None or not incident.is_open:
            continue
        if item.cleared:
            cleared.add(incident.pk)
            if not item.is_flapping:
                steady.add(incident.pk)
            batch.tell_change(incident.pk, "alert_cleared", "Alert cleared", item)
        elif item.calmed:
            batch.tell(incident.pk, "alert", f"Alert no longer flaps: {item.alert.title}", item.alert)
            if not item.firing:
                cleared.add(incident.pk)
                steady.add(incident.pk)
    append_entries(batch.entries)
    if batch.refiring:
        alerts_firing(batch.refiring, actor=batch.actor)
    if cleared:
        holding = Q(state=Alert.State.FIRING, is_suppressed=False) | Q(flapping_since__isnull=False)
        still = Alert.objects.filter(holding, group__incident_id__in=cleared)
        over = cleared - set(still.values_list("group__incident_id", flat=True))
        release_later(batch.incidents[incident_id] for incident_id in steady | over)
        alerts_cleared(over, actor=batch.actor)
