"""Services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from apps.catalog.models import Environment, Service, Team
from apps.catalog.operations.writing import applied, checked, deleted, locked, require_usable_pack
from apps.catalog.permissions import require_service_editor, require_team_editor
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.foundation.operations import operation


class ServiceFields(TypedDict, total=False):
    """What a service is made of; `policy_pack_id` None follows the owning team's pack."""

    slug: str
    name: str
    description: str
    owner_id: int
    criticality: str
    policy_pack_id: int | None
    runbook_url: str
    dashboard_url: str


_FIELDS = frozenset(ServiceFields.__annotations__)


def _owner(team_id: int | None) -> Team:
    team = Team.objects.filter(pk=team_id).first() if team_id is not None else None
    if team is None:
        raise Invalid("A service needs an owning team that exists.", fields={"owner": ["There is no such team."]})
    return team


def _set_environments(service: Service, environment_ids: Sequence[int] | None) -> None:
    if environment_ids is None:
        return
    wanted = set(environment_ids)
    found = set(Environment.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := sorted(wanted - found):
        raise Invalid("An environment does not exist.", fields={"environments": [f"There is no {missing[0]}."]})
    if wanted != set(service.environments.values_list("pk", flat=True)):
        service.environments.set(wanted)


@operation
def create_service(
    fields: ServiceFields, *, environment_ids: Sequence[int] | None = None, reason: str = "", actor: Actor
) -> Service:
    """Make a service. Needs `catalog.add_service`, or to lead the owning team. Raises Invalid, Forbidden."""
    require_team_editor(actor, _owner(fields.get("owner_id")), "catalog.add_service")
    service = Service()
    applied(service, fields, _FIELDS)
    require_usable_pack(service.policy_pack_id)
    checked(service).save()
    _set_environments(service, environment_ids)
    return service


@operation
def update_service(
    service_id: int,
    fields: ServiceFields,
    *,
    environment_ids: Sequence[int] | None = None,
    reason: str = "",
    actor: Actor,
) -> Service:
    """Change what is named. Needs `catalog.change_service` (for all or this one) or to lead the owning team.

    To give it to another team needs the same there. The same values again write nothing. Raises NotFound,
    Forbidden, Invalid.
    """
    service = locked(Service, service_id, "service")
    require_service_editor(actor, service)
    owner_id = fields.get("owner_id", service.owner_id)
    if owner_id != service.owner_id:
        require_team_editor(actor, _owner(owner_id), "catalog.change_service")
    if applied(service, fields, _FIELDS):
        require_usable_pack(service.policy_pack_id)
        checked(service).save()
    _set_environments(service, environment_ids)
    return service


@operation
def delete_service(service_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete a service. Needs `catalog.delete_service` or to lead the owning team; Conflict while it is in use."""
    service = locked(Service, service_id, "service")
    require_team_editor(actor, service.owner, "catalog.delete_service")
    deleted(service, "service")
