"""What is known while a batch of alerts of one integration is applied."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from apps.alerts.models import Alert, AlertGroup, Integration
from apps.alerts.operations.routing import Route
from apps.alerts.operations.suppressing import Outages
from apps.alerts.payloads import AlertEvent
from apps.alerts.policy import Flapping
from apps.foundation.actor import Actor
from apps.incidents.models import Incident
from apps.incidents.operations import NewEntry


@dataclass(slots=True)
class Moved:
    """One alert of the batch: as it is now, and what became of it."""

    alert: Alert
    began_firing: bool
    fired_anew: bool = False
    changed: bool = False
    rechecked: bool = False
    speaker: AlertEvent | None = None
    route: Route | None = None
    flapping_rule: Flapping | None = None
    severity_before: str = ""
    group_before: int | None = None
    began_flapping: bool = False
    calmed: bool = False
    released: bool = False

    @property
    def firing(self) -> bool:
        return self.alert.state == Alert.State.FIRING

    @property
    def cleared(self) -> bool:
        return self.began_firing and not self.firing

    @property
    def is_flapping(self) -> bool:
        return self.alert.flapping_since is not None

    @property
    def needs_group(self) -> bool:
        """A new episode, or one that has no incident of its own yet: it was paused, harmless, or held back before."""
        return (
            self.firing and self.route is not None and (self.fired_anew or self.alert.group_id is None or self.released)
        )


@dataclass(slots=True)
class Batch:
    """The alerts, and the groups and locked incidents that matter to them."""

    integration: Integration
    actor: Actor
    moved: list[Moved]
    outages: Outages = field(default_factory=Outages)
    groups: dict[int, AlertGroup] = field(default_factory=dict)
    open_by_key: dict[str, AlertGroup] = field(default_factory=dict)
    sizes: Counter[int] = field(default_factory=Counter)
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

    def tell_change(self, incident_id: int, kind: str, text: str, item: Moved) -> None:
        """The same for an alert that fires or clears: one that flaps is told once, not at each change."""
        if item.began_flapping:
            rule = item.flapping_rule
            often = f" ({rule.changes} changes within {rule.within_seconds} s)" if rule else ""
            text = f"Alert flaps{often}: {item.alert.title}. The incident stays open until it is steady."
            self.tell(incident_id, "alert", text, item.alert)
        elif not item.is_flapping:
            self.tell(incident_id, kind, f"{text}: {item.alert.title}", item.alert)
