"""What the review page shows, as frozen values: the template only prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import Http404, HttpRequest
from django.urls import reverse

from apps.foundation.clock import now
from apps.incidents.admin.command import PhaseStep
from apps.incidents.admin.showing import Clock, Moment, SeverityChip, chip_of, moment
from apps.incidents.models import Incident
from apps.incidents.queries import url as incident_url
from apps.people.zones import zone_of
from apps.postmortems.admin.computed import ComputedView, computed_view
from apps.postmortems.admin.items import ItemRow, item_rows
from apps.postmortems.admin.next_step import Next, lacks_of, next_step, powers_of
from apps.postmortems.admin.sections import Editing, SectionView, opened, section_view
from apps.postmortems.admin.showing import Due, due_clock, due_of
from apps.postmortems.figures import Fact, computed
from apps.postmortems.models import Review
from apps.postmortems.policy import Part, rules
from apps.postmortems.queries import visible_reviews

WRITABLE = (Review.State.DRAFT, Review.State.IN_REVIEW)


@dataclass(frozen=True, slots=True)
class Header:
    number: str
    title: str
    chip: SeverityChip
    incident_url: str
    team: str
    required_because: str
    is_private: bool
    is_drill: bool
    is_reopened: bool
    steps: tuple[PhaseStep, ...]
    clock: Clock | None
    due: Due | None
    owner: str
    reviewer: str
    reviewed: Moment | None
    reviewed_by: str
    closed: Moment | None


@dataclass(frozen=True, slots=True)
class PartView:
    """One part of the template. `heading` stands above the first of several parts that belong `under` it."""

    slug: str
    title: str
    under: str
    heading: str
    computed: str
    facts: tuple[Fact, ...]
    section: SectionView | None
    has_figures: bool = False


@dataclass(frozen=True, slots=True)
class ReviewView:
    """The whole page."""

    id: int
    url: str
    header: Header
    next: Next
    parts: tuple[PartView, ...]
    computed: ComputedView
    frozen: bool
    items: tuple[ItemRow, ...]
    may_add_item: bool
    add_item_url: str
    may_set_people: bool
    people_url: str
    export_url: str
    history_url: str
    written: int
    to_write: int


def find_review(review_id: int, request: HttpRequest) -> Review:
    """The review, or 404: for what does not exist and for what the person of `request` may not see alike."""
    rows = visible_reviews(request.user).select_related(
        "incident__team", "incident__policy_version", "owner", "reviewer", "reviewed_by", "submitted_by"
    )
    found = rows.filter(pk=review_id).first()
    if found is None:
        raise Http404("There is no such review, or you may not see it.")
    return found


def review_view(
    review_id: int, request: HttpRequest, *, edit: int | None = None, editing: Editing | None = None
) -> ReviewView:
    """Everything the person of `request` may see and do in one review; a constant number of queries.

    `edit` names a section to open; `editing` is one that stands open already, with what was typed into it.
    """
    review = find_review(review_id, request)
    user, at = request.user, now()
    zone = zone_of(user)
    powers = powers_of(user, review)
    may_edit = powers.write and review.state in WRITABLE
    rows = list(review.sections.select_related("edited_by"))
    if editing is None and may_edit:
        editing = next((opened(row) for row in rows if row.pk == edit), None)
    sections = tuple(section_view(row, zone, at, may_edit=may_edit, editing=editing) for row in rows)
    found = computed_view(computed(review), zone, at)
    planned = list(review.items.select_related("owner", "team", "review").order_by("due_at", "pk"))
    items = item_rows(planned, user, zone, at)
    act = {verb: reverse("admin:postmortems_review_act", args=[review.pk, verb]) for verb in ("add-item", "set-people")}
    lacks = lacks_of(review, sections, len(items))
    return ReviewView(
        id=review.pk,
        url=reverse("admin:postmortems_review_change", args=[review.pk]),
        header=_header(review, zone, at),
        next=next_step(review, powers, lacks, sum(1 for row in items if row.is_open)),
        parts=_parts(review, sections, found),
        computed=found,
        frozen=review.frozen is not None,
        items=tuple(sorted(items, key=lambda row: not row.is_open)),
        may_add_item=powers.write and review.state != Review.State.CLOSED,
        add_item_url=act["add-item"],
        may_set_people=may_edit,
        people_url=act["set-people"],
        export_url=reverse("admin:postmortems_review_export", args=[review.pk]),
        history_url=reverse("admin:postmortems_review_history", args=[review.pk]),
        written=sum(1 for row in sections if row.html is not None),
        to_write=len(sections),
    )


def _header(review: Review, zone: ZoneInfo, at: datetime) -> Header:
    incident = review.incident
    order = [str(value) for value in Review.State.values]
    reached = order.index(review.state)
    steps = tuple(
        PhaseStep(slug, str(Review.State(slug).label), _step(place, reached), may_set=False)
        for place, slug in enumerate(order)
    )
    waits = review.state in WRITABLE and review.due_at is not None
    return Header(
        number=incident.number,
        title=review.title,
        chip=chip_of(incident),
        incident_url=incident_url(str(incident.pk)),
        team=incident.team.name if incident.team else "",
        required_because=review.required_because,
        is_private=incident.visibility == Incident.Visibility.PRIVATE,
        is_drill=incident.kind == Incident.Kind.DRILL,
        is_reopened=incident.is_open,
        steps=steps,
        clock=due_clock(review.due_at, at) if waits and review.due_at else None,
        due=due_of(review.due_at, zone, at, done=not waits) if review.due_at else None,
        owner=review.owner.name if review.owner else "",
        reviewer=review.reviewer.name if review.reviewer else "",
        reviewed=moment(review.reviewed_at, zone, at) if review.reviewed_at else None,
        reviewed_by=review.reviewed_by.name if review.reviewed_by else "the portal",
        closed=moment(review.closed_at, zone, at) if review.closed_at else None,
    )


def _step(place: int, reached: int) -> str:
    return "current" if place == reached else "done" if place < reached else "ahead"


def _parts(review: Review, sections: Sequence[SectionView], found: ComputedView) -> tuple[PartView, ...]:
    """The parts in the order of the pack's template; items and sections it does not name come last."""
    known = rules(review.policy_version_id)
    by_slug = {section.slug: section for section in sections}
    parts: list[PartView] = []
    under = ""
    computed_ones = [part.computed for part in known.template] if known else []
    measured = "detection" if "detection" in computed_ones else "metadata"
    for part in known.template if known else ():
        above = part.under or ""
        parts.append(_part(part, by_slug.pop(part.slug, None), above if above != under else "", found, measured))
        under = above
    if not any(part.computed == "items" for part in parts):
        parts.append(PartView("action-items", "Action items", "", "", "items", (), None))
    parts += [PartView(row.slug, row.title, "", "", "", (), row) for row in by_slug.values()]
    return tuple(parts)


def _part(part: Part, section: SectionView | None, heading: str, found: ComputedView, measured: str) -> PartView:
    """`measured` names the computed part in which the figures stand."""
    known = {"metadata": found.metadata, "impact": found.impact, "detection": found.detection}
    return PartView(
        slug=part.slug,
        title=part.title,
        under=part.under or "",
        heading=heading,
        computed=part.computed or "",
        facts=known.get(part.computed or "", ()),
        section=section,
        has_figures=part.computed == measured,
    )
