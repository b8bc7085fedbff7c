"""Which buttons a person gets. The operations decide again; here it is asked for whole lists at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q, QuerySet

from apps.catalog.queries import led_team_ids
from apps.flags.models import Flag, FlagGroupPermission, FlagUserPermission
from apps.flags.permissions import KILL
from apps.people.models import User
from apps.people.permissions import user_allowed
from apps.runbooks.models import (
    Mitigation,
    MitigationGroupPermission,
    MitigationUserPermission,
    Runbook,
    RunbookGroupPermission,
    RunbookUserPermission,
)
from apps.runbooks.permissions import DRY_RUN, EXECUTE, USE

BYPASS = "approvals.bypass_approvalrequest"

Person = User | AnonymousUser

_GRANTS: dict[type[Model], tuple[type[Model], type[Model]]] = {
    Flag: (FlagUserPermission, FlagGroupPermission),
    Mitigation: (MitigationUserPermission, MitigationGroupPermission),
    Runbook: (RunbookUserPermission, RunbookGroupPermission),
}


def dry_runnable(user: Person) -> QuerySet[Runbook]:
    """The runbooks that `user` may look at in a dry run: by permission for all or one, or as the owner's lead."""
    return _of_mine(Runbook.objects.all(), user, (DRY_RUN, EXECUTE))


def killable(user: Person) -> QuerySet[Flag]:
    """The flags that `user` may kill and bring back."""
    return _of_mine(Flag.objects.all(), user, (KILL,))


def usable(user: Person) -> QuerySet[Mitigation]:
    """The mitigations whose button `user` may press."""
    rows = Mitigation.objects.all()
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    return rows if user.has_perm(USE) else rows.filter(_granted(Mitigation, user, (USE,)))


def may_bypass(user: Person) -> bool:
    """Whether `user` may go on without the second person, in an emergency."""
    return user_allowed(user, BYPASS)


def _of_mine(rows: QuerySet[Any], user: Person, permissions: Iterable[str]) -> QuerySet[Any]:
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    if any(user.has_perm(permission) for permission in permissions):
        return rows
    return rows.filter(_granted(rows.model, user, permissions) | Q(owner__in=led_team_ids(user.pk)))


def _granted(model: type[Model], user: User, permissions: Iterable[str]) -> Q:
    """Grants to the person or to one of their groups, for single rows."""
    to_person, to_group = _GRANTS[model]
    codenames = [permission.partition(".")[2] for permission in permissions]
    held = {"permission__codename__in": codenames}
    mine = to_person._default_manager.filter(user=user, **held)
    ours = to_group._default_manager.filter(group__in=user.groups.values("pk"), **held)
    return Q(pk__in=mine.values("content_object_id")) | Q(pk__in=ours.values("content_object_id"))
