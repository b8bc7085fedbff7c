"""Reads: teams and services by who may see them, what depends on what, what was changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, Model, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse
from guardian.shortcuts import get_objects_for_user

from apps.catalog.models import Change, Dependency, Membership, Service, Team
from apps.people.models import User
from apps.policies.activation import Follower
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.queries import active_versions

TEAM, SERVICE = "team", "service"
TOLD_AGAIN_WITHIN = timedelta(hours=1)

M = TypeVar("M", bound=Model)


# --- who sees, who belongs ----------------------------------------------------------------------------------------


def visible_teams(user: User | AnonymousUser) -> QuerySet[Team]:
    """The teams that `user` may see: all with `catalog.view_team`, else their own and those granted to them."""
    if not isinstance(user, User) or not user.is_active:
        return Team.objects.none()
    if user.has_perm("catalog.view_team"):
        return Team.objects.all()
    granted = _granted(user, Team, ["catalog.view_team", "catalog.change_team", "catalog.respond_for_team"])
    return Team.objects.filter(pk__in=granted) | Team.objects.filter(pk__in=teams_of(user.pk).values("pk"))


def visible_services(user: User | AnonymousUser) -> QuerySet[Service]:
    """The services that `user` may see: all with `catalog.view_service`, else those of their teams and granted ones."""
    if not isinstance(user, User) or not user.is_active:
        return Service.objects.none()
    if user.has_perm("catalog.view_service"):
        return Service.objects.all()
    granted = _granted(user, Service, ["catalog.view_service", "catalog.change_service"])
    return Service.objects.filter(pk__in=granted) | Service.objects.filter(owner__in=teams_of(user.pk).values("pk"))


def _granted(user: User, model: type[M], permissions: list[str]) -> QuerySet[Any, Any]:
    found: QuerySet[Any] = get_objects_for_user(
        user, permissions, klass=model, any_perm=True, accept_global_perms=False
    )
    return found.order_by().values("pk")


def teams_of(user_id: int) -> QuerySet[Team]:
    """The teams in which an account is a member or a lead."""
    return Team.objects.filter(pk__in=Membership.objects.filter(user_id=user_id).values("team_id"))


def team_ids_of(user_id: int) -> set[int]:
    """Their ids, in one query."""
    return set(Membership.objects.filter(user_id=user_id).values_list("team_id", flat=True))


def is_lead(user_id: int, team_id: int) -> bool:
    """Whether an account leads a team."""
    return Membership.objects.filter(user_id=user_id, team_id=team_id, role=Membership.Role.LEAD).exists()


def led_team_ids(user_id: int) -> set[int]:
    """The teams that an account leads, in one query."""
    rows = Membership.objects.filter(user_id=user_id, role=Membership.Role.LEAD)
    return set(rows.values_list("team_id", flat=True))


# --- in bulk ------------------------------------------------------------------------------------------------------


def services_by_slug(slugs: Iterable[str]) -> dict[str, Service]:
    """Services with their owners, by slug, in one query; unknown slugs are left out."""
    wanted = {slug for slug in slugs if slug}
    if not wanted:
        return {}
    return {service.slug: service for service in Service.objects.select_related("owner").filter(slug__in=wanted)}


def teams_by_slug(slugs: Iterable[str]) -> dict[str, Team]:
    """Teams by slug, in one query; unknown slugs are left out."""
    wanted = {slug for slug in slugs if slug}
    return {team.slug: team for team in Team.objects.filter(slug__in=wanted)} if wanted else {}


def teams_following(pack: PolicyPack) -> QuerySet[Team]:
    """The teams whose incidents follow a pack: those that name it, and for the default pack those that name none."""
    named = Team.objects.filter(policy_pack=pack)
    return named | Team.objects.filter(policy_pack=None) if pack.slug == settings.DEFAULT_PACK else named


def followers_of(pack: PolicyPack, user: User | AnonymousUser | None) -> list[Follower]:
    """The teams and services that follow a pack, those that `user` may see. A service that names none goes with its
    team and isn't listed. Two queries."""
    teams, services = teams_following(pack), Service.objects.filter(policy_pack=pack)
    if user is not None:
        teams = teams.filter(pk__in=visible_teams(user).values("pk"))
        services = services.filter(pk__in=visible_services(user).values("pk"))
    return [Follower(TEAM, team.name, team_url(str(team.pk))) for team in teams.order_by("name")] + [
        Follower(SERVICE, each.name, service_url(str(each.pk))) for each in services.order_by("name")
    ]


def versions_for(services: Iterable[Service]) -> dict[int, PolicyVersion]:
    """The policy version that holds now for each service (its own pack, its owner's, the default), in one query.

    Load the services with `select_related("owner")`. NotFound where a pack has nothing active.
    """
    packs = {service.pk: service.policy_pack_id or service.owner.policy_pack_id for service in services}
    if not packs:
        return {}
    active = active_versions(packs.values())
    return {service_id: active[pack_id] for service_id, pack_id in packs.items()}


# --- what depends on what -----------------------------------------------------------------------------------------


def dependency_closure(service_ids: Iterable[int], *, hard_only: bool = False) -> dict[int, int]:
    """All that these services need, directly or not: id → how many steps away. Circles are walked once. One query."""
    below, _ = _edges(hard_only=hard_only)
    return _walk(service_ids, below)


def dependant_closure(service_ids: Iterable[int], *, hard_only: bool = False) -> dict[int, int]:
    """All that need these services, directly or not: the possible blast radius. As `dependency_closure`."""
    _, above = _edges(hard_only=hard_only)
    return _walk(service_ids, above)


class HardNeeds:
    """What each service can't work without, directly or not. One query, however many services are asked for."""

    def __init__(self) -> None:
        self._below, _ = _edges(hard_only=True)
        self._found: dict[int, dict[int, int]] = {}

    def of(self, service_id: int) -> dict[int, int]:
        """The services that this one can't work without: id → how many steps away, itself left out."""
        if service_id not in self._found:
            self._found[service_id] = _walk([service_id], self._below)
        return self._found[service_id]

    def strictly(self, service_id: int) -> dict[int, int]:
        """The same without those that can't work without it either: of a circle no service is above the others."""
        return {other: steps for other, steps in self.of(service_id).items() if service_id not in self.of(other)}


def _edges(*, hard_only: bool) -> tuple[Mapping[int, list[int]], Mapping[int, list[int]]]:
    """The whole graph: some thousand pairs of numbers are one cheap query, a recursive one per level is not."""
    rows = Dependency.objects.all()
    if hard_only:
        rows = rows.filter(kind=Dependency.Kind.HARD)
    below: dict[int, list[int]] = defaultdict(list)
    above: dict[int, list[int]] = defaultdict(list)
    for service_id, needed_id in rows.values_list("service_id", "depends_on_id"):
        below[service_id].append(needed_id)
        above[needed_id].append(service_id)
    return below, above


def _walk(starts: Iterable[int], edges: Mapping[int, list[int]]) -> dict[int, int]:
    """Breadth first from all starts at once, so that each distance is the shortest; the starts are left out."""
    begin = set(starts)
    seen = set(begin)
    found: dict[int, int] = {}
    front, distance = begin, 0
    while front:
        distance += 1
        front = {reached for service_id in front for reached in edges.get(service_id, ())} - seen
        seen |= front
        found.update(dict.fromkeys(front, distance))
    return found


# --- what changed -------------------------------------------------------------------------------------------------


def recent_changes(
    service_ids: Iterable[int], since: datetime, *, until: datetime | None = None, limit: int = 50
) -> QuerySet[Change]:
    """Changes of these services, and those of no service at all, from `since` on; newest first, at most `limit`."""
    rows = Change.objects.select_related("service", "environment").filter(occurred_at__gte=since)
    if until is not None:
        rows = rows.filter(occurred_at__lte=until)
    of_services = rows.filter(service_id__in=list(service_ids)) | rows.filter(service_id__isnull=True)
    return of_services.order_by("-occurred_at", "-id")[:limit]


def told_once(changes: Iterable[Change]) -> list[Change]:
    """The changes in their order, without what a second source told of a config that the first one told of already.

    A system that reports its configs is often captured by the portal as well. Both name service, environment, version
    and author; what was told first stays, since it is nearest to the moment.
    """
    rows = list(changes)
    first: dict[tuple[object, ...], Change] = {}
    repeated: set[int] = set()
    for row in sorted(rows, key=lambda row: (row.occurred_at, row.pk)):
        if row.kind != Change.Kind.CONFIG or not row.version:
            continue
        key = (row.service_id, row.environment_id, row.version, row.author)
        known = first.setdefault(key, row)
        if known.source != row.source and row.occurred_at - known.occurred_at <= TOLD_AGAIN_WITHIN:
            repeated.add(row.pk)
    return [row for row in rows if row.pk not in repeated]


# --- for `Subject("team", …)` and `Subject("service", …)` -----------------------------------------------------------


def _numbers(keys: Iterable[str]) -> list[int]:
    return [int(key) for key in keys if key.isdecimal()]


def team_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of teams by their text keys, in one query."""
    return {str(team.pk): team.name for team in Team.objects.filter(pk__in=_numbers(keys))}


def service_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of services by their text keys, in one query."""
    return {str(service.pk): service.name for service in Service.objects.filter(pk__in=_numbers(keys))}


def team_url(key: str) -> str:
    """Where a team's page is."""
    return reverse("admin:catalog_team_change", args=[key])


def service_url(key: str) -> str:
    """Where a service's page is."""
    return reverse("admin:catalog_service_change", args=[key])


def visible_team_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the teams that `user` may see."""
    return visible_teams(user).annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


def visible_service_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the services that `user` may see."""
    return visible_services(user).annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
