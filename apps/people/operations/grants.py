"""Giving and taking a permission for one row: what every app's verbs of grants have in common."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db.models import Model
from guardian.shortcuts import assign_perm, remove_perm
from guardian.utils import get_group_obj_perms_model, get_user_obj_perms_model

from apps.foundation.actor import Actor
from apps.foundation.errors import Invalid
from apps.people.models import User
from apps.people.permissions import require


def give_grant(
    row: Model, permission: str, known: tuple[str, ...], *, user_id: int | None, group: str | None, actor: Actor
) -> bool:
    """Give a person or a group one of the `known` permissions for a locked row; False where it was given before.

    Needs the permission to add rows to the table of these grants. Raises Invalid, Forbidden.
    """
    require(actor, _needed("add", row, user_id))
    holder = _holder(permission, known, user_id, group)
    if _holds(row, permission, holder):
        return False
    assign_perm(permission, holder, row)
    return True


def take_grant(
    row: Model, permission: str, known: tuple[str, ...], *, user_id: int | None, group: str | None, actor: Actor
) -> bool:
    """Take it back; False where there was none. Needs the permission to delete from that table. As `give_grant`."""
    require(actor, _needed("delete", row, user_id))
    holder = _holder(permission, known, user_id, group)
    if not _holds(row, permission, holder):
        return False
    remove_perm(permission, holder, row)
    return True


def _needed(way: str, row: Model, user_id: int | None) -> str:
    table = get_group_obj_perms_model(row) if user_id is None else get_user_obj_perms_model(row)
    return f"{table._meta.app_label}.{way}_{table._meta.model_name}"


def _holder(permission: str, known: tuple[str, ...], user_id: int | None, group: str | None) -> User | Group:
    if permission not in known:
        raise Invalid(f"Unknown permission {permission!r}; known are {', '.join(known)}.")
    if (user_id is None) == (group is None):
        raise Invalid("A grant goes to one person or to one group.")
    if user_id is not None:
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None:
            raise Invalid("There is no such active account.", fields={"user": ["There is no such active account."]})
        return user
    found = Group.objects.filter(name=group).first()
    if found is None:
        raise Invalid(f"There is no group {group!r}.", fields={"group": ["There is no such group."]})
    return found


def _holds(row: Model, permission: str, holder: User | Group) -> bool:
    """Whether there is this very grant; what the holder may do otherwise does not count."""
    wanted = {"content_object": row, "permission__codename": permission}
    if isinstance(holder, User):
        return get_user_obj_perms_model(row)._default_manager.filter(user=holder, **wanted).exists()
    return get_group_obj_perms_model(row)._default_manager.filter(group=holder, **wanted).exists()
