"""Permissions for one flag, as rows under its page."""

from __future__ import annotations

from apps.catalog.admin.grants import GroupGrants, UserGrants
from apps.flags.models import FlagGroupPermission, FlagUserPermission
from apps.flags.operations import FLAG_PERMISSIONS


class FlagUserGrants(UserGrants):
    model = FlagUserPermission
    codenames = FLAG_PERMISSIONS


class FlagGroupGrants(GroupGrants):
    model = FlagGroupPermission
    codenames = FLAG_PERMISSIONS
