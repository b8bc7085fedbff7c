"""What a service needs to work."""

from __future__ import annotations

from apps.catalog.models import Dependency, Service
from apps.catalog.operations.writing import checked
from apps.catalog.permissions import require_service_editor
from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid, NotFound
from apps.foundation.operations import operation


@operation
def add_dependency(
    service_id: int, depends_on_id: int, *, kind: str = Dependency.Kind.HARD, reason: str = "", actor: Actor
) -> Dependency:
    """State that a service needs another one. Stated again, only another `kind` changes anything.

    Needs `catalog.add_dependency` or to be an editor of the service. Circles are allowed, since real systems have
    them; every walk over dependencies passes each service once. Raises NotFound, Invalid, Forbidden.
    """
    both = {row.pk: row for row in _locked([service_id, depends_on_id])}
    if service_id not in both or depends_on_id not in both:
        raise NotFound("There is no such service.")
    require_service_editor(actor, both[service_id], "catalog.add_dependency")
    if service_id == depends_on_id:
        message = "A service does not depend on itself."
        raise Invalid(message, fields={"depends_on": [message]})
    found = Dependency.objects.filter(service_id=service_id, depends_on_id=depends_on_id).first()
    if found is not None and found.kind == kind:
        return found
    dependency = found or Dependency(service_id=service_id, depends_on_id=depends_on_id)
    dependency.kind = kind
    checked(dependency).save()
    return dependency


def _locked(service_ids: list[int]) -> list[Service]:
    """In the order of their ids, so that two statements at once never wait for each other."""
    return list(Service.objects.select_for_update().filter(pk__in=service_ids).order_by("pk"))


@operation
def remove_dependency(dependency_id: int, *, reason: str = "", actor: Actor) -> None:
    """Take the statement back. Needs `catalog.delete_dependency` or to be an editor of the service."""
    found = Dependency.objects.select_for_update().filter(pk=dependency_id).first()
    if found is None:
        raise NotFound("There is no such dependency.")
    require_service_editor(actor, found.service, "catalog.delete_dependency")
    found.delete()
