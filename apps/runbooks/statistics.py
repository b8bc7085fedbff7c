"""How a runbook has fared, whether it is fit to be used, and when somebody should read it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median

from django.db.models import Max

from apps.foundation.clock import now
from apps.policies.durations import parse_duration
from apps.runbooks.documents import REVIEW_SECONDS, Document
from apps.runbooks.models import DryRun, Execution, Runbook, StepRun
from apps.runbooks.timing import span_text

VERIFYING = frozenset({"health_check", "metric_check", "wait_until"})
CHANGING = frozenset(
    {"http_request", "webhook", "flag_change", "experiment_kill", "config_apply", "config_restore"}
    | {"event_pause", "event_resume", "sub_runbook", "manual", "snapshot_restore"}
)
_LATEST = 200


@dataclass(frozen=True, slots=True)
class StepPace:
    """How one step of a runbook kept its target, in all executions that measured it. Seconds."""

    slug: str
    name: str
    target_seconds: int
    usual_seconds: float
    longest_seconds: float
    measured: int
    missed: int

    @property
    def target(self) -> str:
        return span_text(self.target_seconds)

    @property
    def usual(self) -> str:
        return span_text(self.usual_seconds)

    @property
    def longest(self) -> str:
        return span_text(self.longest_seconds)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the latest 200 executions that came to an end by themselves. Seconds; None where there is nothing to count."""

    ended: int
    succeeded: int
    usual_seconds: float | None
    longest_seconds: float | None
    mean_mttr_seconds: float | None
    used_at: datetime | None
    proven_at: datetime | None
    aimed: int
    on_time: int
    steps: tuple[StepPace, ...]

    def rows(self) -> list[tuple[str, str]]:
        """For people: `Success rate`, `90 % of 20`."""
        return [
            ("Succeeded", _share(self.succeeded, self.ended)),
            ("Usually takes", _span(self.usual_seconds)),
            ("Longest", _span(self.longest_seconds)),
            ("Within its target", _share(self.on_time, self.aimed)),
            ("Steps within theirs", _share(sum(row.measured - row.missed for row in self.steps), self._measured)),
            ("Mean time to resolve", _span(self.mean_mttr_seconds)),
            ("Last proven", f"{self.proven_at:%Y-%m-%d %H:%M} UTC" if self.proven_at else "never"),
        ]

    @property
    def _measured(self) -> int:
        return sum(row.measured for row in self.steps)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist, and what is missing where it does not hold."""

    text: str
    holds: bool
    missing: str = ""


def statistics_of(runbook: Runbook) -> Statistics:
    """Four queries. The time to resolve is that of the resolved incidents it was executed for, each counted once.

    What failed or was undone has missed the target that its version promised; so has a step that failed.
    """
    ended = Execution.objects.filter(runbook=runbook, state__in=["succeeded", "undone", "failed"])
    columns = ("pk", "state", "started_at", "finished_at", "runbook_version__content__target")
    ids, found, targets = [], [], []
    for pk, state, began, over, target in ended.order_by("-requested_at").values_list(*columns)[:_LATEST]:
        ids.append(pk)
        found.append((state, began, over))
        if target is not None and began and over:
            targets.append(state == "succeeded" and (over - began).total_seconds() <= parse_duration(target))
    took = [(over - began).total_seconds() for state, began, over in found if state == "succeeded" and began and over]
    about = ended.filter(incident__resolved_at__isnull=False).order_by("-requested_at")
    fields = ("incident_id", "incident__detected_at", "incident__resolved_at")
    spans = {
        pk: (resolved - detected).total_seconds()
        for pk, detected, resolved in about.values_list(*fields)[:_LATEST]
        if resolved and detected
    }
    used = Execution.objects.filter(runbook=runbook).aggregate(at=Max("started_at"))["at"]
    proven = [over for state, _, over in found if state == "succeeded" and over]
    return Statistics(
        ended=len(found),
        succeeded=sum(state == "succeeded" for state, _, _ in found),
        usual_seconds=median(took) if took else None,
        longest_seconds=max(took) if took else None,
        mean_mttr_seconds=mean(spans.values()) if spans else None,
        used_at=used,
        proven_at=max(proven) if proven else None,
        aimed=len(targets),
        on_time=sum(targets),
        steps=tuple(_paces(ids)),
    )


def _paces(execution_ids: list[int]) -> Iterator[StepPace]:
    """Each step that had a target, in the order of the latest text; one query."""
    rows = StepRun.objects.filter(execution__in=execution_ids, target_seconds__isnull=False)
    columns = ("slug", "name", "position", "state", "target_seconds", "started_at", "finished_at")
    measured: dict[str, list[StepRun]] = {}
    for run in rows.order_by("position", "-execution_id").only(*columns):
        if run.pace:
            measured.setdefault(run.slug, []).append(run)
    for slug, runs in measured.items():
        took = [run.took_seconds or 0.0 for run in runs]
        latest = max(runs, key=lambda run: run.pk)
        yield StepPace(
            slug=slug,
            name=latest.name,
            target_seconds=latest.target_seconds or 0,
            usual_seconds=median(took),
            longest_seconds=max(took),
            measured=len(runs),
            missed=sum(run.pace == StepRun.Pace.MISSED for run in runs),
        )


def checklist_of(runbook: Runbook, document: Document) -> list[Check]:
    """What a runbook needs before anybody should rely on it; two queries."""
    version = runbook.active_version_id or 0
    proven = Execution.objects.filter(runbook_version_id=version, state=Execution.State.SUCCEEDED).exists()
    looked = DryRun.objects.filter(runbook_version_id=version, problems=[]).exists()
    due = review_due_at(runbook, document)
    return [
        Check("Tested", proven, "the active version has not succeeded yet"),
        Check("Has a dry run", looked, "no dry run of the active version was without problems"),
        Check("Verifies what it did", _verifies(document), "no check comes after the last step that changes something"),
        Check("Names contacts", bool(document.contacts), "add `contacts`"),
        Check("Has an escalation path", bool(document.escalation), "add `escalation`"),
        Check("Reviewed", due is None or due > now(), "nobody has read it again since its review was due"),
    ]


def review_due_at(runbook: Runbook, document: Document | None = None) -> datetime | None:
    """When somebody should say again that it is right; None without an active version."""
    if runbook.active_version is None:
        return None
    since = max(filter(None, (runbook.reviewed_at, runbook.active_version.created_at)))
    return since + timedelta(seconds=document.review_every if document else REVIEW_SECONDS)


def _verifies(document: Document) -> bool:
    kinds = [step.kind for step in document.steps]
    changes = [place for place, kind in enumerate(kinds) if kind in CHANGING]
    return any(kind in VERIFYING for kind in kinds[max(changes, default=-1) + 1 :])


def _share(count: int, of: int) -> str:
    return f"{round(100 * count / of)} % of {of}" if of else "–"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"
