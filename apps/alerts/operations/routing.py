"""From labels to service, team, severity and group, by the pack that holds for the service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.utils.text import slugify

from apps.alerts.models import Integration
from apps.alerts.payloads import AlertEvent
from apps.alerts.policy import Routing, group_key_of, routing
from apps.catalog.models import Service, Team
from apps.catalog.queries import services_by_slug, teams_by_slug
from apps.incidents.policy import Severities, Severity, severities
from apps.policies.queries import active_versions

GROUP_KEY_KEPT = 200


@dataclass(frozen=True, slots=True)
class Route:
    """Where one alert goes."""

    service_id: int | None
    team_id: int
    severity: Severity
    group_key: str
    group_window: timedelta | None
    group_max: int | None
    pack: Routing
    policy_version_id: int
    type_word: str = ""
    metric: str = ""

    @property
    def opens(self) -> bool:
        """Whether it may open an incident: a severity that calls nobody is only listed."""
        return self.severity.paging != "none"


class Router:
    """Routes the alerts of one batch of one integration with at most four queries."""

    def __init__(self, integration: Integration, events: Iterable[AlertEvent]) -> None:
        self._integration = integration
        own = _pack(integration.service, integration.team)
        self._versions: dict[int | None, int] = {own: active_versions([own])[own].pk}
        self._own_version = self._versions[own]
        own_routing = routing(self._own_version)
        named = {name for event in events for name in _names(own_routing, event)}
        self._services = services_by_slug(named | {slugify(name) for name in named})
        self._teams = teams_by_slug(rule.team or "" for rule in own_routing.rules)
        packs = {_pack(service, service.owner) for service in self._services.values()}
        packs |= {_pack(None, team) for team in self._teams.values()}
        if other := packs - set(self._versions):
            self._versions |= {pack: version.pk for pack, version in active_versions(other).items()}

    def route(self, event: AlertEvent) -> Route:
        """The route of one alert of this batch."""
        own_routing = routing(self._own_version)
        first = own_routing.route(_labels(own_routing, event))
        service = self._service(first.services) or self._integration.service
        team = self._teams.get(first.team) or (service.owner if service else self._integration.team)
        version_id = self._versions[_pack(service, team)]
        found = routing(version_id)
        labels = _labels(found, event)
        severity = _severity(found, severities(version_id), labels)
        fields = {
            "@service": service.slug if service else "",
            "@severity": severity.id,
            "@team": team.slug,
            "@integration": str(self._integration.pk),
            "@title": event.title,
        }
        own = self._integration
        key = group_key_of(own.group_by or found.group_by, {**labels, **fields}, event.dedup_key)
        window = own.group_window_seconds or found.group_window_seconds
        return Route(
            service_id=service.pk if service else None,
            team_id=team.pk,
            severity=severity,
            group_key=shortened_key(key, event.dedup_key),
            group_window=timedelta(seconds=window) if window else None,
            group_max=own.group_max_alerts or found.group_max,
            pack=found,
            policy_version_id=version_id,
            type_word=found.type_of(labels),
            metric=found.metric_of(labels),
        )

    @property
    def own(self) -> Routing:
        """The routing of the integration's own pack, for alerts about which nothing new was said."""
        return routing(self._own_version)

    def _service(self, names: Iterable[str]) -> Service | None:
        for name in names:
            if (service := self._services.get(name) or self._services.get(slugify(name))) is not None:
                return service
        return None


def shortened_key(key: str, dedup_key: str) -> str:
    """A group key that fits its column: a long one keeps its beginning and a digest of the whole."""
    if key and len(key) <= GROUP_KEY_KEPT:
        return key
    digest = hashlib.sha256((key or dedup_key).encode()).hexdigest()[:32]
    return f"{key[: GROUP_KEY_KEPT - 33]}#{digest}"


def _pack(service: Service | None, team: Team) -> int | None:
    """Whose pack holds: the service's own, else the team's; None is the default pack."""
    return (service.policy_pack_id if service else None) or team.policy_pack_id


def _names(found: Routing, event: AlertEvent) -> tuple[str, ...]:
    return found.route(_labels(found, event)).services


def _labels(found: Routing, event: AlertEvent) -> Mapping[str, str]:
    """The labels, with the service and severity that a generic payload names outside them."""
    if not event.service and not event.severity:
        return event.labels
    labels = dict(event.labels)
    if event.service and found.service_labels:
        labels[found.service_labels[0]] = event.service
    if event.severity and found.severity_labels:
        labels[found.severity_labels[0]] = event.severity
    return labels


def _severity(found: Routing, known: Severities, labels: Mapping[str, str]) -> Severity:
    """A rule's severity, else the mapped word, else a severity of the pack by its own id, else the default."""
    rule = next((rule for rule in found.rules if rule.matches(labels)), None)
    if rule is not None and rule.severity is not None:
        return known.get(rule.severity)
    words = [labels[name] for name in found.severity_labels if labels.get(name)]
    if not any(word.lower() in found.severity_map for word in words):
        for word in words:
            if (named := known.find(word)) is not None:
                return named
    return known.get(found.severity_of(labels))
