"""Permissions for one runbook or one mitigation, as rows under its page."""

from __future__ import annotations

from apps.catalog.admin.grants import GroupGrants, UserGrants
from apps.runbooks.models import (
    MitigationGroupPermission,
    MitigationUserPermission,
    RunbookGroupPermission,
    RunbookUserPermission,
)
from apps.runbooks.operations.grants import MITIGATION_PERMISSIONS, RUNBOOK_PERMISSIONS


class RunbookUserGrants(UserGrants):
    model = RunbookUserPermission
    codenames = RUNBOOK_PERMISSIONS


class RunbookGroupGrants(GroupGrants):
    model = RunbookGroupPermission
    codenames = RUNBOOK_PERMISSIONS


class MitigationUserGrants(UserGrants):
    model = MitigationUserPermission
    codenames = MITIGATION_PERMISSIONS


class MitigationGroupGrants(GroupGrants):
    model = MitigationGroupPermission
    codenames = MITIGATION_PERMISSIONS
