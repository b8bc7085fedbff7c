"""Verbs on teams, services, environments, dependencies, memberships, changes and grants."""

from apps.catalog.operations.changes import NewChange, record_change, record_changes
from apps.catalog.operations.dependencies import add_dependency, remove_dependency
from apps.catalog.operations.environments import create_environment, delete_environment, update_environment
from apps.catalog.operations.grants import grant_service, grant_team, revoke_service, revoke_team
from apps.catalog.operations.memberships import add_member, remove_member
from apps.catalog.operations.services import create_service, delete_service, update_service
from apps.catalog.operations.teams import create_team, delete_team, update_team

__all__ = [
    "NewChange",
    "add_dependency",
    "add_member",
    "create_environment",
    "create_service",
    "create_team",
    "delete_environment",
    "delete_service",
    "delete_team",
    "grant_service",
    "grant_team",
    "record_change",
    "record_changes",
    "remove_dependency",
    "remove_member",
    "revoke_service",
    "revoke_team",
    "update_environment",
    "update_service",
    "update_team",
]
