"""Environments."""

from __future__ import annotations

from typing import TypedDict

from apps.catalog.models import Environment
from apps.catalog.operations.writing import applied, checked, deleted, locked
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.people.permissions import require


class EnvironmentFields(TypedDict, total=False):
    """What an environment is made of."""

    slug: str
    name: str
    position: int


_FIELDS = frozenset(EnvironmentFields.__annotations__)


@operation
def create_environment(fields: EnvironmentFields, *, reason: str = "", actor: Actor) -> Environment:
    """Make an environment. Needs `catalog.add_environment`. Raises Invalid, Forbidden."""
    require(actor, "catalog.add_environment")
    environment = Environment()
    applied(environment, fields, _FIELDS)
    checked(environment).save()
    return environment


@operation
def update_environment(
    environment_id: int, fields: EnvironmentFields, *, reason: str = "", actor: Actor
) -> Environment:
    """Change what is named. Needs `catalog.change_environment`. The same values again write nothing."""
    require(actor, "catalog.change_environment")
    environment = locked(Environment, environment_id, "environment")
    if applied(environment, fields, _FIELDS):
        checked(environment).save()
    return environment


@operation
def delete_environment(environment_id: int, *, reason: str = "", actor: Actor) -> None:
    """Delete an environment. Needs `catalog.delete_environment`; Conflict while an incident names it."""
    require(actor, "catalog.delete_environment")
    deleted(locked(Environment, environment_id, "environment"), "environment")
