"""Reading the computed parts of one review from what the portal recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Q

from apps.catalog.queries import recent_changes, told_once
from apps.engine.models import Event
from apps.foundation.clock import now
from apps.incidents.models import Incident, RoleAssignment, TimelineEntry
from apps.incidents.policy import Severity, lifecycle, roles, severities
from apps.incidents.queries import SUBJECT_KIND, milestones_of
from apps.incidents.service_levels import clocks_for
from apps.paging.models import Page
from apps.people.models import User
from apps.postmortems.figures.parts import Computed, Cycle, Executed, Fact, Figure, Holder, Line, Participant, Touched
from apps.postmortems.figures.spans import cycles_of, lasted, span_words
from apps.postmortems.models import Review
from apps.runbooks.models import DryRun, Execution, StepRun

ALERT_KINDS = ("alert", "alert_cleared")
FLAG_EVENTS = ("flags.killed", "flags.brought_back", "flags.disabled", "flags.enabled", "flags.edited")
CONFIG_EVENTS = ("state.restored", "state.applied")
CHANGES_BEFORE = timedelta(hours=1)
"""How long before the detection other changes of the services are of interest."""

_MOST_CHANGES = 50
_SOURCES = {"person": "Reported by a person", "api": "Reported by a program", "portal": "Found by the portal itself"}


def read(review: Review, *, frozen_at: datetime | None = None) -> Computed:
    """All computed parts as they are now. A constant number of queries."""
    incident = Incident.objects.select_related("team", "environment", "declared_by").get(pk=review.incident_id)
    entries = list(TimelineEntry.objects.filter(incident=incident).order_by("at", "seq"))
    known = severities(incident.policy_version_id).find(incident.severity)
    clocks = clocks_for(incident)
    milestones = milestones_of(incident.pk)
    cycles = cycles_of(milestones, incident.reopened_count, lifecycle(incident.policy_version_id), clocks)
    holders = _holders(incident)
    pages = Counter(_paged(incident))
    lines = [_line(entry) for entry in entries]
    alerts = [line for line in lines if line.kind in ALERT_KINDS]
    flags, configs = _touched(entries)
    total = lasted(cycles)
    return Computed(
        incident_id=incident.pk,
        number=incident.number,
        title=incident.title,
        severity=incident.severity,
        is_open=incident.is_open,
        reopened_count=incident.reopened_count,
        metadata=_metadata(incident, known, cycles, holders, total),
        impact=_impact(incident, known, cycles, total),
        detection=_detection(incident, cycles[0], alerts),
        figures=cycles[-1].figures,
        cycles=cycles,
        timeline=lines,
        roles=holders,
        participants=_participants(holders, entries, pages),
        pages_sent=sum(pages.values()),
        people_paged=len(pages),
        alerts=alerts,
        executions=_executions(incident),
        dry_runs=_dry_runs(incident),
        flags=flags,
        configs=configs,
        changes=_changes(incident),
        frozen_at=frozen_at,
    )


def _line(entry: TimelineEntry) -> Line:
    return Line(entry.seq, entry.at, entry.kind, entry.text, entry.author_name, entry.author_id)


def _instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else "not yet"


def _figure(cycle: Cycle, slug: str) -> Figure:
    return next(figure for figure in cycle.figures if figure.slug == slug)


def _verdict(figure: Figure) -> str:
    """A measured time with its limit: "29 minutes (target: less than 5 minutes, missed)"."""
    if not figure.limit_text:
        return figure.text
    verdict = {True: ", met", False: ", missed", None: ""}[figure.met]
    return f"{figure.text} (target: {figure.limit_text}{verdict})"


def _metadata(
    incident: Incident, known: Severity | None, cycles: Sequence[Cycle], holders: Sequence[Holder], total: float | None
) -> list[Fact]:
    """The lines of the playbook's "Metadata", then who held which role at the end, and a reopening."""
    facts = [
        Fact("Incident ID", incident.number),
        Fact("Severity", f"{incident.severity} {known.name}" if known else incident.severity),
        Fact("Duration", span_words(total)),
        Fact("Detected", _instant(cycles[0].started_at or incident.detected_at)),
        Fact("Resolved", _instant(incident.resolved_at)),
        Fact("MTTR", _verdict(_figure(cycles[-1], "resolved"))),
        Fact("MTTA", _verdict(_figure(cycles[-1], "acknowledged"))),
    ]
    last = {holder.role: holder for holder in holders}
    facts += [Fact(holder.name, holder.user, person=True) for holder in last.values()]
    if incident.reopened_count:
        facts.append(Fact("Reopened", f"{incident.reopened_count} time{'s' if incident.reopened_count > 1 else ''}"))
    return facts


def _impact(incident: Incident, known: Severity | None, cycles: Sequence[Cycle], total: float | None) -> list[Fact]:
    """What of the impact the portal knows by itself; the rest is written."""
    services = ", ".join(sorted(incident.services.values_list("name", flat=True)))
    mitigated = next((figure for figure in cycles[-1].figures if figure.slug == "mitigated"), None)
    facts = [
        Fact("Users affected, by severity", known.impact if known and known.impact else "–"),
        Fact("Services", services or "–"),
        Fact("Environment", incident.environment.name if incident.environment else "–"),
        Fact("Team", incident.team.name if incident.team else "–"),
        Fact("Duration", span_words(total)),
    ]
    if mitigated is not None:
        facts.append(Fact("Harm to users ended after", mitigated.text))
    return facts


def _detection(incident: Incident, first: Cycle, alerts: Sequence[Line]) -> list[Fact]:
    """The lines of the playbook's "Detection", each time from the first detection."""
    method = _SOURCES.get(incident.source, f"Alert by {incident.source.capitalize()}")
    facts = [Fact("Detection method", method)]
    if alerts:
        facts.append(Fact("First alert", alerts[0].text.removeprefix("Alert fires: ")))
    if incident.declared_by is not None:
        facts.append(Fact("Declared by", incident.declared_by.name, person=True))
    return facts + [Fact(figure.label, _verdict(figure)) for figure in first.figures if figure.slug != "resolved"]


def _holders(incident: Incident) -> list[Holder]:
    """Every assignment, in the order of the pack's roles and of time."""
    known = roles(incident.policy_version_id)
    order = {role.slug: place for place, role in enumerate(known.root)}
    rows = list(RoleAssignment.objects.filter(incident=incident).select_related("user").order_by("since", "pk"))
    rows.sort(key=lambda row: order.get(row.role, len(order)))
    found = []
    for row in rows:
        kind = known.find(row.role)
        name = kind.name if kind else row.role
        found.append(Holder(row.role, name, row.user_id, row.user.name, row.since, row.until))
    return found


def _paged(incident: Incident) -> list[int]:
    """Who was paged, once for each page."""
    rows = Page.objects.filter(subject_kind=SUBJECT_KIND, subject_key=str(incident.pk))
    return list(rows.order_by("pk").values_list("user_id", flat=True))


def _participants(
    holders: Sequence[Holder], entries: Sequence[TimelineEntry], pages: Counter[int]
) -> list[Participant]:
    """Everybody who held a role, was paged, or wrote a line; people only, those with a role first."""
    held: dict[int, list[str]] = {}
    for holder in holders:
        names = held.setdefault(holder.user_id, [])
        if holder.name not in names:
            names.append(holder.name)
    wrote = Counter(entry.author_id for entry in entries if entry.author_id is not None)
    ids = list(dict.fromkeys([*held, *wrote, *pages]))
    people = {user.pk: user for user in User.objects.filter(pk__in=ids, kind=User.Kind.PERSON)}
    return [
        Participant(pk, people[pk].name, held.get(pk, []), pages.get(pk, 0), wrote.get(pk, 0))
        for pk in ids
        if pk in people
    ]


def _executions(incident: Incident) -> list[Executed]:
    """Executions of runbooks for the incident, in order of time."""
    forward = Q(steps__direction=StepRun.Direction.FORWARD)
    rows = (
        Execution.objects.filter(incident=incident)
        .select_related("runbook", "runbook_version", "approval")
        .annotate(
            step_count=Count("steps", filter=forward),
            done_count=Count("steps", filter=forward & Q(steps__state=StepRun.State.SUCCEEDED)),
        )
        .order_by("requested_at", "pk")
    )
    return [
        Executed(
            id=row.pk,
            title=f"{row.runbook.name} v{row.runbook_version.number}",
            state=row.state,
            state_label=row.get_state_display(),
            by=row.requested_by_name,
            at=row.started_at or row.requested_at,
            finished_at=row.finished_at,
            approval=_approval(row),
            steps_done=row.done_count,
            steps=row.step_count,
        )
        for row in rows
    ]


def _approval(row: Execution) -> str:
    if row.approval is None:
        return ""
    decided = f" by {row.approval.decided_by_name}" if row.approval.decided_by_name else ""
    return f"{row.approval.get_state_display()}{decided}"


def _dry_runs(incident: Incident) -> list[Executed]:
    rows = DryRun.objects.filter(incident=incident).select_related("runbook", "runbook_version")
    return [
        Executed(
            id=row.pk,
            title=f"{row.runbook.name} v{row.runbook_version.number}",
            state="problems" if row.problems else "passed",
            state_label="Found problems" if row.problems else "Passed",
            by=row.requested_by_name,
            at=row.made_at,
        )
        for row in rows.order_by("made_at", "pk")
    ]


def _touched(entries: Sequence[TimelineEntry]) -> tuple[list[Touched], list[Touched]]:
    """Flags and configs that were changed about the incident: the lines of its timeline that tell of such events."""
    told = {entry.event_id: entry for entry in entries if entry.event_id is not None}
    wanted = Event.objects.filter(pk__in=list(told), kind__in=[*FLAG_EVENTS, *CONFIG_EVENTS])
    kinds = dict(wanted.values_list("pk", "kind"))
    found = [(kinds[pk], entry) for pk, entry in told.items() if pk in kinds]
    rows = [(kind, Touched(kind, entry.text, entry.at, entry.author_name)) for kind, entry in found]
    return (
        [row for kind, row in rows if kind in FLAG_EVENTS],
        [row for kind, row in rows if kind in CONFIG_EVENTS],
    )


def _changes(incident: Incident) -> list[Touched]:
    """Deployments and other changes of its services, from an hour before the detection until the end."""
    service_ids = list(incident.services.values_list("pk", flat=True))
    since, until = incident.detected_at - CHANGES_BEFORE, incident.resolved_at or now()
    rows = told_once(recent_changes(service_ids, since, until=until, limit=_MOST_CHANGES))
    return [
        Touched(
            kind=row.kind,
            title=row.title,
            at=row.occurred_at,
            by=row.author,
            detail=", ".join(part for part in (row.service.name if row.service else "", row.version) if part),
        )
        for row in reversed(rows)
    ]
