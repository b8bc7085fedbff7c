"""Where runs stand: their plans and facts, worked out once for a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from apps.foundation.subjects import Subject
from apps.paging.models import EscalationRun
from apps.paging.plan import Facts, Noted, Pending, Plan, plan_of
from apps.paging.policy import Escalation, Track, escalation
from apps.paging.registry import last_activity


class Plans:
    """The plans of a batch: each (version, severity, track) is worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, str], Plan] = {}
        self._activity: dict[Subject, datetime] = {}

    def path(self, run: EscalationRun) -> Escalation:
        return escalation(run.policy_version_id)

    def of(self, run: EscalationRun) -> Plan:
        key = (run.policy_version_id, run.severity, run.track)
        if key not in self._known:
            self._known[key] = plan_of(self.path(run), run.severity, cast("Track", run.track))
        return self._known[key]

    def read_activity(self, runs: Sequence[EscalationRun], *, all_of_them: bool = False) -> None:
        """Ask when something last happened on the subjects whose steps depend on it; one query, or none."""
        wanted = [run for run in runs if all_of_them or self.of(run).waits_for_activity]
        self._activity.update(last_activity({Subject(run.subject_kind, run.subject_key) for run in wanted}))

    def active_at(self, run: EscalationRun) -> datetime | None:
        """When something last happened, as far as `read_activity` asked."""
        return self._activity.get(Subject(run.subject_kind, run.subject_key))

    def facts(self, run: EscalationRun) -> Facts:
        return facts_of(run, self.active_at(run))

    def pending(self, run: EscalationRun) -> list[Pending]:
        """What is to come for a run as things stand, the soonest first."""
        return self.of(run).pending(self.facts(run))

    def next_due_at(self, run: EscalationRun) -> datetime | None:
        """When the run's next step is due; None when nothing is."""
        pending = self.pending(run)
        return pending[0].due_at if pending else None


def facts_of(run: EscalationRun, active_at: datetime | None = None) -> Facts:
    """What a run's steps depend on, out of its row."""
    return Facts(
        started_at=run.started_at,
        response_at=run.response_at,
        target_at=run.target_at,
        answered_at=run.answered_at,
        active_at=active_at,
        conditions={name: noted_of(value) for name, value in run.conditions.items()},
        taken={key: datetime.fromisoformat(at) for key, at in run.taken.items()},
    )


def noted_of(value: Mapping[str, Any]) -> Noted:
    return Noted(datetime.fromisoformat(value["at"]), value.get("amount"))
