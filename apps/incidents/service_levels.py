"""The section of a pack that says which limit holds for an alert, and where its clock may stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self, cast

from pydantic import Field, model_validator

from apps.incidents.models import Incident
from apps.incidents.policy import RESOLVED, Clocks, Lifecycle, Short, Slug, severities, unknown_milestones
from apps.policies.durations import Duration, duration_text
from apps.policies.queries import optional_section
from apps.policies.sections import Finding, PackModel, Sections, Table, Where, register_section


class ServiceLevels(PackModel):
    """Which limit holds for an alert, and at which milestones its clock may stop.

    `source: severity` takes the target of the severity, `metric` that of the metric which raised the alert (where it
    has one). `stops` are the milestones of which a drill or an incident chooses one.
    """

    source: Literal["severity", "metric"] = "severity"
    stops: Annotated[Sequence[Slug], Field(min_length=1)] = (RESOLVED,)
    metrics: Mapping[Short, Duration] = {}

    @model_validator(mode="after")
    def _metrics_are_given(self) -> Self:
        if self.source == "metric" and not self.metrics:
            raise ValueError("`source: metric` needs `metrics` with their limits.")
        return self

    def limit_seconds(self, clocks: Clocks, metric: str = "") -> int | None:
        """The limit for an alert about `metric` with the clocks of its severity; None where there is none."""
        if self.source == "metric" and metric in self.metrics:
            return self.metrics[metric]
        return clocks.target_seconds


def service_levels(version_id: int) -> ServiceLevels:
    """The service levels of a policy version; those of its severities where its pack has no such section."""
    return cast("ServiceLevels | None", optional_section(version_id, "sla")) or ServiceLevels()


def clocks_for(incident: Incident) -> Clocks:
    """The limits that hold for an incident, and the milestone at which the clock of its target stops.

    Those of its severity; the target may be that of the metric that raised it, the milestone one that was chosen.
    """
    severity = severities(incident.policy_version_id).find(incident.severity)
    clocks = severity.clocks if severity is not None else Clocks()
    target = service_levels(incident.policy_version_id).limit_seconds(clocks, incident.metric)
    return clocks.model_copy(update={"target_seconds": target, "stop": incident.stop_milestone or clocks.stop})


def stops_for(incident: Incident) -> list[str]:
    """The milestones of which one may be chosen for an incident: its severity's own first, then those of the pack."""
    severity = severities(incident.policy_version_id).find(incident.severity)
    own = severity.clocks.stop if severity is not None else RESOLVED
    return list(dict.fromkeys([own, *service_levels(incident.policy_version_id).stops]))


def _check_stops(sections: Sections) -> list[Finding]:
    """Milestones at which clocks may stop must exist."""
    levels = cast("ServiceLevels | None", sections.get("sla"))
    stops = levels.stops if levels is not None else ()
    named: list[tuple[Where, str]] = [(("sla", "stops", index), slug) for index, slug in enumerate(stops)]
    return unknown_milestones(named, cast("Lifecycle", sections["lifecycle"]).milestone_slugs)


def _service_level_tables(found: ServiceLevels) -> list[Table]:
    return [
        Table(
            "Service levels",
            ("Metric", "Limit"),
            [(name, duration_text(seconds)) for name, seconds in found.metrics.items()],
            note=f"The limit is that of the {found.source}. The clock may stop at: {', '.join(found.stops)}.",
        )
    ]


def register() -> None:
    """Own the section. Called from `ready()`; again changes nothing."""
    register_section("sla", ServiceLevels, check=_check_stops, required=False, tables=_service_level_tables)
