"""What is down already, and which alerts fire only because of it.

An alert is held back when its service can't work without another one that is down: one with a firing alert of its own
in an open incident, or one that opens an incident in this very batch. Of several the one at the root counts; services
that need each other never hold each other back, so at least one of them pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from apps.alerts.models import Alert
from apps.catalog.queries import HardNeeds
from apps.incidents.models import Incident


@dataclass(slots=True)
class Outages:
    """The services that are down, as far as they matter to a batch: service → the alert group that says so."""

    needs: HardNeeds | None = None
    groups: dict[int, int] = field(default_factory=dict)

    def root(self, service_id: int, opening: Mapping[int, str]) -> int | None:
        """The service whose outage explains an alert of `service_id`; None where none does.

        `opening` are the services that go down in this batch. One that was known before comes first, the nearest.
        """
        if self.needs is None:
            return None
        above = self.needs.strictly(service_id)
        known = [(steps, other) for other, steps in above.items() if other in self.groups]
        if known:
            return min(known)[1]
        fresh = [(steps, other) for other, steps in above.items() if other in opening]
        roots = [item for item in fresh if not any(other in opening for other in self.needs.strictly(item[1]))]
        return min(roots)[1] if roots else None


def outages_above(service_ids: Iterable[int]) -> Outages:
    """The known outages that may hold back alerts of these services: no query without services, else at most two."""
    wanted = set(service_ids)
    if not wanted:
        return Outages()
    needs = HardNeeds()
    above = {other for service_id in wanted for other in needs.strictly(service_id)}
    if not above:
        return Outages(needs)
    rows = (
        Alert.objects.filter(
            service_id__in=above, state=Alert.State.FIRING, is_suppressed=False, group__incident__isnull=False
        )
        .exclude(group__incident__phase=Incident.Phase.RESOLVED)
        .order_by("-group__incident_id")
        .values_list("service_id", "group_id")
    )
    # The oldest incident of a service is the last one here, and stays.
    return Outages(needs, dict(rows))
