"""Reading incidents, and who may see which. Every list, stream, search and history view starts at `visible_to`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import BigIntegerField, CharField, Count, Model, Q, QuerySet
from django.db.models.functions import Cast

from apps.catalog.models import Membership, TeamGroupPermission, TeamUserPermission
from apps.foundation.subjects import Subject, as_subquery
from apps.incidents.metrics import REOPENED
from apps.incidents.models import (
    Incident,
    IncidentGroupPermission,
    IncidentUserPermission,
    Milestone,
    RoleAssignment,
    TimelineEntry,
)
from apps.paging.models import Page
from apps.people.models import User
from apps.policies.models import PolicyPack

SUBJECT_KIND = "incident"
ModelT = TypeVar("ModelT", bound=Model)

# Shorter words (the, and, for) make nothing alike.
_SHORTEST_WORD = 4


def subject_of(incident: Incident | int) -> Subject:
    """How lower apps speak of an incident."""
    return Subject(SUBJECT_KIND, str(incident.pk if isinstance(incident, Incident) else incident))


def open_by_version(pack: PolicyPack, user: User | AnonymousUser | None) -> dict[int, int]:
    """How many open incidents that `user` may see are pinned to each version of a pack, by its number; one query."""
    rows = Incident.objects.all() if user is None else visible_to(user)
    still = rows.filter(policy_version__pack=pack).exclude(phase=Incident.Phase.RESOLVED)
    return dict(still.order_by().values_list("policy_version__number").annotate(count=Count("pk", distinct=True)))


def visible_to(user: User | AnonymousUser) -> QuerySet[Incident]:
    """The incidents that `user` may see, as one query.

    Superusers and holders of `view_private_incident` see all. Holders of `view_incident` see the open ones, and of
    the private ones those of their teams, those in which they hold or held a role, were paged, or that they declared.
    A grant on the incident (`view_incident`) or on its team (`respond_for_team`) shows it to anybody with an account.
    """
    if not isinstance(user, User) or not user.is_active:
        return Incident.objects.none()
    return Incident.objects.all() if _sees_all(user) else _seen_by(user).all()


def _sees_all(user: User) -> bool:
    return user.is_superuser or user.has_perm("incidents.view_private_incident")


def _seen_by(user: User) -> QuerySet[Incident]:
    """Those rows, told once for an account as it was loaded: a page asks many times. They are still read afresh."""
    known: QuerySet[Incident] | None = user.__dict__.get("_portal_seen_incidents")
    if known is None:
        seen = _granted(user)
        if user.has_perm("incidents.view_incident"):
            seen |= Q(visibility=Incident.Visibility.OPEN) | _concerned(user)
        known = user.__dict__["_portal_seen_incidents"] = Incident.objects.filter(seen)
    return known


def _granted(user: User) -> Q:
    """Grants to the person or to one of their groups, on the incident or on its team."""
    groups = user.groups.values("pk")
    on_incident = {"permission__codename": "view_incident"}
    on_team = {"permission__codename": "respond_for_team"}
    return (
        Q(pk__in=IncidentUserPermission.objects.filter(user=user, **on_incident).values("content_object_id"))
        | Q(pk__in=IncidentGroupPermission.objects.filter(group__in=groups, **on_incident).values("content_object_id"))
        | Q(team__in=TeamUserPermission.objects.filter(user=user, **on_team).values("content_object_id"))
        | Q(team__in=TeamGroupPermission.objects.filter(group__in=groups, **on_team).values("content_object_id"))
    )


def _concerned(user: User) -> Q:
    """The private ones that a holder of `view_incident` has something to do with."""
    paged = (
        Page.objects.filter(subject_kind=SUBJECT_KIND, user=user)
        .annotate(incident_id=Cast("subject_key", BigIntegerField()))
        .values("incident_id")
    )
    return (
        Q(team__in=Membership.objects.filter(user=user).values("team_id"))
        | Q(pk__in=RoleAssignment.objects.filter(user=user).values("incident_id"))
        | Q(pk__in=paged)
        | Q(declared_by=user)
    )


def sees_if_private(user: User, incident_id: int) -> bool:
    """Whether `user` would still see the incident if it were private."""
    if _sees_all(user):
        return True
    seen = _granted(user)
    if user.has_perm("incidents.view_incident"):
        seen |= _concerned(user)
    return Incident.objects.filter(seen, pk=incident_id).exists()


def visible_related(
    rows: QuerySet[ModelT], user: User | AnonymousUser, *, field: str = "incident_id"
) -> QuerySet[ModelT]:
    """`rows` that belong to incidents (timeline, roles, milestones, history rows) and that `user` may see.

    `field` names the column with the incident's id; for `Incident.history` it is "id".
    """
    return rows.filter(**{f"{field}__in": seen_ids(user)})


def seen_ids(user: User | AnonymousUser) -> Any:
    """The ids of the incidents that `user` may see, for an `__in`; its SQL is written once for an account as loaded."""
    if not isinstance(user, User) or not user.is_active:
        return []
    if _sees_all(user):
        return Incident.objects.order_by().values("pk")
    if "_portal_seen_ids" not in user.__dict__:
        user.__dict__["_portal_seen_ids"] = as_subquery(_seen_by(user).values("pk"))
    return user.__dict__["_portal_seen_ids"] or []


def open_incidents(user: User | AnonymousUser) -> QuerySet[Incident]:
    """What is wrong now and `user` may see, the worst first."""
    return (
        visible_to(user)
        .exclude(phase=Incident.Phase.RESOLVED)
        .select_related("team")
        .order_by("severity_rank", "-declared_at", "-id")
    )


def search(incidents: QuerySet[Incident], text: str) -> QuerySet[Incident]:
    """Those whose number, title, summary or service contains every word of `text`."""
    for word in text.replace("\x00", " ").split()[:10]:
        incidents = incidents.filter(
            Q(number__icontains=word)
            | Q(title__icontains=word)
            | Q(summary__icontains=word)
            | Q(pk__in=Incident.services.through.objects.filter(service__name__icontains=word).values("incident_id"))
        )
    return incidents


def timeline(incident_id: int, user: User | AnonymousUser, *, after: int = 0) -> QuerySet[TimelineEntry]:
    """The entries of an incident after number `after`, in their order; empty when `user` may not see it."""
    rows = TimelineEntry.objects.filter(incident_id=incident_id, seq__gt=after)
    return visible_related(rows, user).select_related("author").order_by("seq")


def current_roles(incident_ids: Iterable[int]) -> dict[int, dict[str, RoleAssignment]]:
    """Who holds which role now, of many incidents with one query: incident id -> role -> assignment."""
    found: dict[int, dict[str, RoleAssignment]] = {pk: {} for pk in incident_ids}
    rows = RoleAssignment.objects.filter(incident_id__in=list(found), until__isnull=True).select_related("user")
    for row in rows:
        found[row.incident_id][row.role] = row
    return found


def cycle_starts(incidents: Iterable[Incident]) -> dict[int, datetime]:
    """From when the clocks of each incident run: its detection, or its last reopening.

    One query where some were opened again, else none.
    """
    by_id = {incident.pk: incident for incident in incidents}
    starts = {pk: incident.detected_at for pk, incident in by_id.items()}
    again = [pk for pk, incident in by_id.items() if incident.reopened_count]
    if again:
        rows = Milestone.objects.filter(incident__in=again, name=REOPENED)
        starts |= {row.incident_id: row.at for row in rows if row.cycle == by_id[row.incident_id].reopened_count}
    return starts


def milestones_of(incident_id: int) -> list[Milestone]:
    """Every milestone of every cycle, in order of time."""
    return list(Milestone.objects.filter(incident_id=incident_id).select_related("marked_by"))


def alike_open_incidents(
    title: str, service_ids: Iterable[int], user: User | AnonymousUser, *, limit: int = 5
) -> list[Incident]:
    """Open incidents that look like the one about to be declared: the same service, or words of the title.

    For the question "is it already handled?". The best match comes first: each shared service counts three,
    each shared word of four letters or more counts one.
    """
    wanted, words = set(service_ids), _words(title)
    if not wanted and not words:
        return []
    alike = Q(services__in=wanted) if wanted else Q()
    for word in words:
        alike |= Q(title__icontains=word)
    rows = open_incidents(user).filter(alike).distinct().prefetch_related("services")[:50]

    def likeness(incident: Incident) -> int:
        shared = wanted & {service.pk for service in incident.services.all()}
        return 3 * len(shared) + len(words & _words(incident.title))

    return sorted(rows, key=likeness, reverse=True)[:limit]


def _words(title: str) -> set[str]:
    cleaned = "".join(char if char.isalnum() else " " for char in title.lower())
    return {word for word in cleaned.split() if len(word) >= _SHORTEST_WORD}


def titles(keys: Iterable[str]) -> dict[str, str]:
    """`INC-2025-11-10-001 Title` by text key, with one query."""
    ids = [int(key) for key in keys if key.isdecimal()]
    rows = Incident.objects.filter(pk__in=ids).values_list("pk", "number", "title")
    return {str(pk): f"{number} {title}" for pk, number, title in rows}


def url(key: str) -> str:
    """The command page of the incident."""
    return f"/admin/incidents/incident/{key}/command/"


def visible_keys(user: Any) -> QuerySet[Any, Any]:
    """The text keys of the incidents that `user` may see, for subqueries over subjects."""
    return visible_to(user).order_by().annotate(key=Cast("pk", CharField())).values_list("key", flat=True)
