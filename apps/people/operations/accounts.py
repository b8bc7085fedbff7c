"""Verbs on groups and on the accounts that set-up makes."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import Group, Permission

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.history import PORTAL_USERNAME
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.events import AccountClosed, AccountOpened
from apps.people.groups import GROUP_PERMISSIONS
from apps.people.models import User
from apps.people.permissions import require
from apps.people.queries import user_of


def portal_user() -> User:
    """The portal's own account, which signs what no person did; made when it is missing. It can't log in."""
    found = User.objects.filter(username=PORTAL_USERNAME).first()
    if found is not None:
        return found
    fresh = User(username=PORTAL_USERNAME, display_name="Portal", kind=User.Kind.PORTAL, is_staff=False)
    fresh.set_unusable_password()
    user, _ = User.objects.get_or_create(
        username=PORTAL_USERNAME,
        defaults={"display_name": fresh.display_name, "kind": fresh.kind, "password": fresh.password},
    )
    return user


def _permissions_of(names: Sequence[str], known: dict[str, Permission]) -> list[Permission]:
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise Invalid(f"Unknown permissions in the group table: {', '.join(unknown)}.", code="unknown_permission")
    return [known[name] for name in names]


def sync_groups() -> list[Group]:
    """Make the six groups hold exactly the permissions of `GROUP_PERMISSIONS`, and the portal's account exist.

    A repeat changes nothing. Raises Invalid when the table names a permission that no app has.
    """
    return _sync_groups(actor=Actor.system())


@operation
def _sync_groups(*, actor: Actor) -> list[Group]:
    portal_user()
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.select_related("content_type")
    }
    Group.objects.bulk_create([Group(name=name) for name in GROUP_PERMISSIONS], ignore_conflicts=True)
    by_name = Group.objects.in_bulk(list(GROUP_PERMISSIONS), field_name="name")
    groups = [by_name[name] for name in GROUP_PERMISSIONS]
    _hold_exactly(
        {(group.pk, held.pk) for group in groups for held in _permissions_of(GROUP_PERMISSIONS[group.name], known)},
        groups,
    )
    for user in User.objects.filter(kind=User.Kind.PERSON, is_staff=False, groups__isnull=False).distinct():
        _let_into_the_admin(user)
    return groups


def _hold_exactly(wanted: set[tuple[int, int]], groups: Sequence[Group]) -> None:
    """These pairs of group and permission and no others, in three statements at most: every start asks for it."""
    held = Group.permissions.through.objects
    rows = {(row.group_id, row.permission_id): row.pk for row in held.filter(group__in=groups)}
    held.filter(pk__in=[key for pair, key in rows.items() if pair not in wanted]).delete()
    held.bulk_create(
        [held.model(group_id=group, permission_id=permission) for group, permission in sorted(wanted - rows.keys())],
        ignore_conflicts=True,
    )


def _let_into_the_admin(user: User) -> None:
    """People in a group work in the admin; service accounts and people without a group do not."""
    staff = user.is_superuser or (user.kind == User.Kind.PERSON and user.groups.exists())
    if user.is_staff != staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])


def not_more_than(actor: Actor, permissions: set[str], what: str) -> None:
    """Raise Forbidden when `permissions` hold one that `actor` has not: nobody gives away more than they have."""
    if actor.is_system:
        return
    giver = user_of(actor)
    missing = permissions - (giver.get_all_permissions() if giver and giver.is_active else set())
    if missing:
        raise Forbidden(f"{actor.name} may not give {what}: it holds {min(missing)}, which they have not.")


@operation
def set_groups(user_id: int, names: Sequence[str], *, reason: str = "", actor: Actor) -> User:
    """Put an account into exactly these groups and open or close the admin to it accordingly.

    Needs `people.change_user`. Nobody can give a group that holds more than they have themselves, or change
    a superuser without being one. A repeat changes nothing. Raises NotFound, Invalid, Forbidden.
    """
    require(actor, "people.change_user")
    user = User.objects.select_for_update().filter(pk=user_id).exclude(kind=User.Kind.PORTAL).first()
    if user is None:
        raise NotFound("There is no such account.")
    groups = groups_named(names)
    _may_change(actor, user)
    not_more_than(actor, permissions_in(groups), "these groups")
    if set(user.groups.all()) != set(groups):
        user.groups.set(groups)
    _let_into_the_admin(user)
    return user


def publish_standing(user: User, *, actor: Actor) -> None:
    """Say that an account was closed, or opened again; in the transaction that did it, once it is saved."""
    event = AccountOpened(user_id=user.pk) if user.is_active else AccountClosed(user_id=user.pk)
    publish(event, subject=Subject("user", str(user.pk)), actor=actor)


def _may_change(actor: Actor, user: User) -> None:
    doer = user_of(actor)
    if user.is_superuser and not actor.is_system and not (doer and doer.is_superuser):
        raise Forbidden("Only a superuser may change a superuser.")


def groups_named(names: Sequence[str]) -> list[Group]:
    groups = list(Group.objects.filter(name__in=names))
    unknown = sorted(set(names) - {group.name for group in groups})
    if unknown:
        raise Invalid(f"There is no group {unknown[0]!r}.", fields={"groups": [f"Unknown: {', '.join(unknown)}."]})
    return groups


def permissions_in(groups: Sequence[Group]) -> set[str]:
    rows = Permission.objects.filter(group__in=groups).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


@operation
def make_administrator(username: str, *, email: str = "", password: str, actor: Actor) -> User:
    """Create a superuser, or make the account with this name one, with this password. For the command line.

    Raises Conflict when the name belongs to a service account or the portal, Forbidden for anybody but the portal.
    """
    if not actor.is_system:
        raise Forbidden("Administrators are made on the command line.")
    user = User.objects.select_for_update().filter(username=username).first() or User(username=username)
    if user.kind != User.Kind.PERSON:
        raise Conflict(f"{username!r} is not a person's account.")
    user.is_superuser = user.is_staff = user.is_active = True
    user.email = email or user.email
    user.set_password(password)
    user.save()
    return user
