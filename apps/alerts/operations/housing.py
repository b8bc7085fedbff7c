"""A group and an incident for each alert that needs one: its key's open one, that of the outage above, or a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from django.db.models import Count, Q

from apps.alerts.models import Alert, AlertGroup, Integration
from apps.alerts.operations.batch import Batch, Moved
from apps.alerts.operations.suppressing import outages_above
from apps.foundation.clock import now
from apps.incidents.incident_types import types_of
from apps.incidents.models import Incident
from apps.incidents.operations import Declaration, declare_many

Opening = dict[str, list[Moved]]


def load_groups(batch: Batch, homeless: Iterable[Moved]) -> None:
    """The groups that matter and their incidents, the latter locked in ascending order."""
    routed = [item.route for item in homeless if item.route is not None]
    keys = {route.group_key for route in routed}
    batch.outages = outages_above(
        route.service_id for route in routed if route.service_id is not None and route.pack.suppression.by_dependency
    )
    held = {item.alert.group_id for item in batch.moved if item.alert.group_id is not None}
    above = set(batch.outages.groups.values())
    if not keys and not held:
        return
    wanted = Q(pk__in=held | above) | Q(integration=batch.integration, group_key__in=keys, state=AlertGroup.State.OPEN)
    batch.groups = {group.pk: group for group in AlertGroup.objects.filter(wanted)}
    touched = {
        item.alert.group_id
        for item in batch.moved
        if item.cleared or item.fired_anew or item.calmed or item.alert.severity != item.severity_before
    }
    ids = {
        group.incident_id
        for group in batch.groups.values()
        if group.incident_id is not None and (group.pk in touched or group.pk in above or group.group_key in keys)
    }
    rows = Incident.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk") if ids else ()
    batch.incidents = {incident.pk: incident for incident in rows}
    batch.open_by_key = {
        group.group_key: group
        for group in batch.groups.values()
        if group.state == AlertGroup.State.OPEN and group.integration_id == batch.integration.pk
    }
    bounded = {route.group_key for route in routed if route.group_max is not None}
    if full := [group.pk for key, group in batch.open_by_key.items() if key in bounded]:
        # A group never shrinks, so those that were held back or moved on since count as well.
        counts = Alert.objects.filter(group_id__in=full).order_by().values_list("group_id").annotate(Count("pk"))
        batch.sizes = Counter(dict(counts))


def house(batch: Batch, homeless: Iterable[Moved]) -> None:
    """Give each alert the open group of its key with its open incident, or the group of the outage that explains it;
    open new ones for the rest."""
    ended: list[AlertGroup] = []
    opening: Opening = {}
    for item in homeless:
        if item.route is None:
            continue
        item.alert.is_suppressed = False
        group = batch.open_by_key.get(item.route.group_key)
        if group is not None and not _takes_more(batch, group, item):
            ended.append(group)
            del batch.open_by_key[group.group_key]
            group = None
        incident = batch.incident_of(group.pk) if group is not None else None
        if group is not None and incident is not None:
            item.alert.group = group
            batch.sizes[group.pk] += 1
            batch.refiring.add(incident.pk)
            batch.tell_change(incident.pk, "alert", "Alert fires", item)
        else:
            item.alert.group = None
            opening.setdefault(item.route.group_key, []).append(item)
    if ended:
        AlertGroup.objects.filter(pk__in=[group.pk for group in ended]).update(
            state=AlertGroup.State.CLOSED, closed_at=now()
        )
    held = _hold_back(batch, opening)
    # Where no alert of a group calls anybody, none of them opens an incident.
    calling = {key for key, items in opening.items() if any(item.route and item.route.opens for item in items)}
    _open([(key, items) for key, items in opening.items() if key in calling], batch)
    _attach(batch, held)


def _takes_more(batch: Batch, group: AlertGroup, item: Moved) -> bool:
    """Whether an open group still has an open incident, is young enough and has room."""
    incident = batch.incident_of(group.pk)
    if incident is None or not incident.is_open or item.route is None:
        return False
    if item.route.group_window is not None and now() - group.opened_at > item.route.group_window:
        return False
    return item.route.group_max is None or batch.sizes[group.pk] < item.route.group_max


def _hold_back(batch: Batch, opening: Opening) -> list[tuple[Moved, int, str]]:
    """Take out of `opening` what fires because of an outage above it: (alert, service that is down, its new group)."""
    down: dict[int, str] = {}
    for key, items in opening.items():
        for item in items:
            if item.route is not None and item.route.opens and item.route.service_id is not None:
                down.setdefault(item.route.service_id, key)
    held: list[tuple[Moved, int, str]] = []
    for key, items in list(opening.items()):
        kept = []
        for item in items:
            cause = _cause(batch, item, down)
            # Where both share a group they share the incident already.
            if cause is None or down.get(cause) == key:
                kept.append(item)
            else:
                held.append((item, cause, down.get(cause, "")))
        if kept:
            opening[key] = kept
        else:
            del opening[key]
    return held


def _cause(batch: Batch, item: Moved, down: Mapping[int, str]) -> int | None:
    route = item.route
    if route is None or route.service_id is None or not route.pack.suppression.by_dependency:
        return None
    cause = batch.outages.root(route.service_id, down)
    if cause is not None and cause in batch.outages.groups:
        incident = batch.incident_of(batch.outages.groups[cause])
        if incident is None or not incident.is_open:  # resolved while we looked
            return None
    return cause


def _attach(batch: Batch, held: Iterable[tuple[Moved, int, str]]) -> None:
    for item, cause, key in held:
        known = batch.outages.groups.get(cause)
        group = batch.groups[known] if known is not None else batch.open_by_key.get(key)
        if group is None or group.incident_id is None:
            continue
        item.alert.group, item.alert.is_suppressed = group, True
        if not item.released or item.group_before != group.pk:
            batch.tell_change(group.incident_id, "alert_held", "Alert held back, its service needs what is down", item)


def _open(opening: list[tuple[str, list[Moved]]], batch: Batch) -> None:
    """One incident for each group; a key with more alerts than a group takes gets several groups, the last one open."""
    parts = [part for key, items in opening for part in _parts(key, items)]
    if not parts:
        return
    worst = [min(items, key=_rank) for _, items, _ in parts]
    incidents = declare_many([_declaration(batch.integration, item) for item in worst], actor=batch.actor)
    at = now()
    groups = AlertGroup.objects.bulk_create(
        [
            AlertGroup(
                integration=batch.integration,
                group_key=key,
                incident=incident,
                opened_at=at,
                state=AlertGroup.State.CLOSED if is_full else AlertGroup.State.OPEN,
                closed_at=at if is_full else None,
            )
            for (key, _, is_full), incident in zip(parts, incidents, strict=True)
        ],
        batch_size=500,
    )
    for (key, items, _), group, incident in zip(parts, groups, incidents, strict=True):
        batch.groups[group.pk] = batch.open_by_key[key] = group
        batch.incidents[incident.pk] = incident
        for item in items:
            item.alert.group = group
            batch.tell_change(incident.pk, "alert", "Alert fires", item)


def _parts(key: str, items: list[Moved]) -> list[tuple[str, list[Moved], bool]]:
    """The alerts of a key in groups that are not too large; whether each is full, of which the last never is."""
    most = min((item.route.group_max for item in items if item.route and item.route.group_max), default=len(items))
    starts = range(0, len(items), most)
    return [(key, items[start : start + most], start != starts[-1]) for start in starts]


def _rank(item: Moved) -> int:
    return item.route.severity.rank if item.route is not None else 99


def _declaration(integration: Integration, item: Moved) -> Declaration:
    if item.route is None:
        raise RuntimeError("Only routed alerts open incidents.")
    alert, route = item.alert, item.route
    kind = types_of(route.policy_version_id).named(route.type_word) if route.type_word else None
    return Declaration(
        title=alert.title,
        severity=route.severity.id,
        summary=_summary(alert, "" if kind else route.type_word),
        type=kind[0] if kind else "",
        subtype=kind[1] if kind else "",
        metric=route.metric,
        team_id=route.team_id,
        service_ids=(route.service_id,) if route.service_id is not None else (),
        source=integration.kind,
        detected_at=alert.fired_at,
        policy_version_id=route.policy_version_id,
    )


def _summary(alert: Alert, unknown_type: str) -> str:
    """What the source says; a type that the pack does not name is no reason to lose its word."""
    said = alert.annotations.get("description") or alert.annotations.get("message") or ""
    of_type = f"Type, as the source says: {unknown_type}" if unknown_type else ""
    return "\n\n".join(part for part in (said[:4000], of_type, alert.link) if part)
