"""Pages of teams, services, environments and changes."""

from apps.catalog.admin.changes import ChangeAdmin
from apps.catalog.admin.environments import EnvironmentAdmin
from apps.catalog.admin.services import ServiceAdmin
from apps.catalog.admin.teams import TeamAdmin

__all__ = ["ChangeAdmin", "EnvironmentAdmin", "ServiceAdmin", "TeamAdmin"]
