"""Verbs on accounts: groups, contact points, tokens, service accounts, the portal's own account."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.history import PORTAL_USERNAME
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.crypto import digest
from apps.people.events import ContactPointAdded, TokenCreated, TokenRevoked
from apps.people.groups import GROUP_PERMISSIONS
from apps.people.models import ApiToken, ContactPoint, IdempotencyRecord, User
from apps.people.permissions import allowed, require
from apps.people.queries import SCOPES, contact_code, covers, user_of

TOKEN_PREFIX = "ptk_"  # noqa: S105  # the public beginning of every token, not a secret
MAX_CONTACT_POINTS = 20
MAX_NAME_LENGTH = 120
ANSWERS_KEPT_FOR = timedelta(hours=24)
MAX_ADDRESS_LENGTH = 500


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
    groups = []
    for name, codenames in GROUP_PERMISSIONS.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set(_permissions_of(codenames, known))
        groups.append(group)
    for user in User.objects.filter(kind=User.Kind.PERSON, is_staff=False, groups__isnull=False).distinct():
        _let_into_the_admin(user)
    return groups


def _let_into_the_admin(user: User) -> None:
    """People in a group work in the admin; service accounts and people without a group do not."""
    staff = user.is_superuser or (user.kind == User.Kind.PERSON and user.groups.exists())
    if user.is_staff != staff:
        user.is_staff = staff
        user.save(update_fields=["is_staff"])


def _not_more_than(actor: Actor, permissions: set[str], what: str) -> None:
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
    groups = _groups_named(names)
    _may_change(actor, user)
    _not_more_than(actor, _permissions_in(groups), "these groups")
    if set(user.groups.all()) != set(groups):
        user.groups.set(groups)
    _let_into_the_admin(user)
    return user


def _may_change(actor: Actor, user: User) -> None:
    doer = user_of(actor)
    if user.is_superuser and not actor.is_system and not (doer and doer.is_superuser):
        raise Forbidden("Only a superuser may change a superuser.")


def _groups_named(names: Sequence[str]) -> list[Group]:
    groups = list(Group.objects.filter(name__in=names))
    unknown = sorted(set(names) - {group.name for group in groups})
    if unknown:
        raise Invalid(f"There is no group {unknown[0]!r}.", fields={"groups": [f"Unknown: {', '.join(unknown)}."]})
    return groups


def _permissions_in(groups: Sequence[Group]) -> set[str]:
    rows = Permission.objects.filter(group__in=groups).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


@operation
def create_service_account(username: str, *, display_name: str = "", groups: Sequence[str] = (), actor: Actor) -> User:
    """Make an account for a program: no password, no admin, owned by the actor, who alone makes its tokens.

    Needs `people.manage_service_accounts`; the groups may hold no permission that the actor has not. Raises
    Conflict when the name is taken, Invalid for a bad name or group.
    """
    require(actor, "people.manage_service_accounts")
    found = _groups_named(groups)
    _not_more_than(actor, _permissions_in(found), "these groups")
    user = User(username=username, display_name=display_name, kind=User.Kind.SERVICE, owner_id=actor.user_id)
    user.set_unusable_password()
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        raise Invalid("The service account is not right.", fields=error.message_dict) from error
    if User.objects.filter(username=username).exists():
        raise Conflict("This name is taken.", code="username_taken", fields={"username": ["This name is taken."]})
    user.save()
    user.groups.set(found)
    return user


@operation
def deactivate_service_account(user_id: int, *, reason: str = "", actor: Actor) -> User:
    """Close a service account: its tokens stop at once. For its owner, or with `people.change_user`.

    A repeat changes nothing. Raises NotFound, Forbidden.
    """
    user = User.objects.select_for_update().filter(pk=user_id, kind=User.Kind.SERVICE).first()
    if user is None or not _sees_account(actor, user):
        raise NotFound("There is no such service account.")
    if user.owner_id != actor.user_id or not allowed(actor, "people.manage_service_accounts"):
        require(actor, "people.change_user")
    if user.is_active:
        user.is_active = False
        user.save(update_fields=["is_active"])
    return user


def _sees_account(actor: Actor, user: User) -> bool:
    return actor.user_id in {user.pk, user.owner_id} or allowed(actor, "people.view_user")


def _token_account(user_id: int, actor: Actor) -> User:
    """The account that a token is wanted for, if `actor` may make tokens of it."""
    user = User.objects.filter(pk=user_id, is_active=True).exclude(kind=User.Kind.PORTAL).first()
    if user is None:
        raise NotFound("There is no such account.")
    if actor.is_system or user.pk == actor.user_id:
        return user
    if user.kind != User.Kind.SERVICE:
        raise Forbidden("Everybody makes their own tokens; nobody makes another person's.")
    doer = user_of(actor)
    if doer is None or not (doer.is_superuser or user.owner_id == doer.pk):
        raise Forbidden("Only the owner of a service account makes its tokens.")
    require(actor, "people.manage_service_accounts")
    _not_more_than(actor, user.get_all_permissions(), "a token of this account")
    return user


def _checked_scopes(scopes: Sequence[str], actor: Actor) -> list[str]:
    unknown = sorted(set(scopes) - SCOPES)
    if unknown or not scopes:
        sentence = f"Unknown scopes: {', '.join(unknown)}." if unknown else "Give at least one scope."
        raise Invalid("The scopes are not right.", fields={"scopes": [sentence]})
    if actor.kind == "link":
        raise Forbidden("A link in a page makes no tokens.")
    if actor.scopes is not None:
        wider = sorted(scope for scope in set(scopes) if not covers(actor.scopes, scope))
        if wider:
            raise Forbidden(f"A token can't make one with wider scopes than its own: {', '.join(wider)}.")
    return sorted(set(scopes))


@operation
def create_token(
    user_id: int, name: str, scopes: Sequence[str], expires_at: datetime | None = None, *, actor: Actor
) -> tuple[ApiToken, str]:
    """Make a bearer token and return it with its text, which is kept nowhere and never shown again.

    People make their own; the owner of a service account makes its. Each call makes another token. `scopes`
    are "<area>:read", "<area>:write" (which includes reading) or "*". Raises Invalid, NotFound, Forbidden.
    """
    user = _token_account(user_id, actor)
    checked = _checked_scopes(scopes, actor)
    if not name.strip() or len(name) > MAX_NAME_LENGTH:
        raise Invalid("The token needs a name.", fields={"name": ["Give 1 to 120 characters."]})
    if expires_at is not None and expires_at <= now():
        raise Invalid("The token would be dead already.", fields={"expires_at": ["This is in the past."]})
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user, name=name.strip(), prefix=text[:12], digest=digest(text), scopes=checked, expires_at=expires_at
    )
    made = TokenCreated(token_id=token.pk, user_id=user.pk, name=token.name)
    publish(made, subject=Subject("user", str(user.pk)), actor=actor)
    return token, text


@operation
def revoke_token(token_id: int, *, reason: str = "", actor: Actor) -> ApiToken:
    """Make a token useless from now on. For its account, the account's owner, or with `people.change_apitoken`.

    A repeat changes nothing. Raises NotFound also where the actor may not know of the token.
    """
    token = ApiToken.objects.select_for_update().filter(pk=token_id).first()
    own = token is not None and actor.user_id in {token.user_id, token.user.owner_id} - {None}
    if token is None or not (own or allowed(actor, "people.view_apitoken")):
        raise NotFound("There is no such token.")
    if not own:
        require(actor, "people.change_apitoken")
    if token.revoked_at is None:
        token.revoked_at = now()
        token.save(update_fields=["revoked_at"])
        gone = TokenRevoked(token_id=token.pk, user_id=token.user_id, name=token.name)
        publish(gone, subject=Subject("user", str(token.user_id)), actor=actor)
    return token


def _checked_address(kind: str, address: str) -> str:
    try:
        if kind == ContactPoint.Kind.EMAIL:
            validate_email(address)
        elif kind == ContactPoint.Kind.WEBHOOK:
            URLValidator(schemes=["https", "http"])(address)
        else:
            raise Invalid("There is no such kind of contact.", fields={"kind": [f"{kind!r} is unknown."]})
    except ValidationError as error:
        raise Invalid("The address is not right.", fields={"address": list(error.messages)}) from error
    if len(address) > MAX_ADDRESS_LENGTH:
        raise Invalid("The address is not right.", fields={"address": ["Give at most 500 characters."]})
    return address


@operation
def add_contact_point(
    user_id: int, kind: str, address: str, *, label: str = "", position: int | None = None, actor: Actor
) -> ContactPoint:
    """Give an account an address at which it is paged; it starts unverified and stands last unless told otherwise.

    For one's own account, or with `people.add_contactpoint`. The same address again returns the one that
    is there. Raises Invalid, NotFound, Forbidden.
    """
    if user_id != actor.user_id:
        require(actor, "people.add_contactpoint")
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such account.")
    checked = _checked_address(kind, address.strip())
    there = list(user.contact_points.all())
    for point in there:
        if (point.kind, point.address) == (kind, checked):
            return point
    if len(there) >= MAX_CONTACT_POINTS:
        raise Invalid(f"An account has at most {MAX_CONTACT_POINTS} contact points.", code="too_many_contact_points")
    last = max((point.position for point in there), default=-1)
    point = ContactPoint.objects.create(
        user=user, kind=kind, address=checked, label=label[:80], position=last + 1 if position is None else position
    )
    added = ContactPointAdded(contact_point_id=point.pk, user_id=user.pk)
    publish(added, subject=Subject("user", str(user.pk)), actor=actor)
    return point


def _own_contact_point(contact_point_id: int, permission: str, actor: Actor) -> ContactPoint:
    """The locked contact point, of the actor's own account or with `permission`."""
    point = ContactPoint.objects.select_for_update().filter(pk=contact_point_id).first()
    own = point is not None and point.user_id == actor.user_id
    if point is None or not (own or allowed(actor, "people.view_contactpoint") or allowed(actor, permission)):
        raise NotFound("There is no such contact point.")
    if not own:
        require(actor, permission)
    return point


@operation
def verify_contact_point(contact_point_id: int, *, code: str = "", actor: Actor) -> ContactPoint:
    """Record that an address reaches its person: by the code that was sent there, or as an administrator.

    Whoever has `people.change_contactpoint` needs no code. A repeat changes nothing. Raises Invalid for a
    wrong code, NotFound, Forbidden.
    """
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state == ContactPoint.State.VERIFIED:
        return point
    if not secrets.compare_digest(code.strip().lower().encode(), contact_code(point).encode()) and not allowed(
        actor, "people.change_contactpoint"
    ):
        raise Invalid("This is not the code that was sent.", code="wrong_code", fields={"code": ["Wrong code."]})
    point.state, point.verified_at = ContactPoint.State.VERIFIED, now()
    point.save(update_fields=["state", "verified_at"])
    return point


@operation
def disable_contact_point(contact_point_id: int, *, reason: str = "", actor: Actor) -> ContactPoint:
    """Stop paging at an address without forgetting it. A repeat changes nothing. Raises NotFound, Forbidden."""
    point = _own_contact_point(contact_point_id, "people.change_contactpoint", actor)
    if point.state != ContactPoint.State.DISABLED:
        point.state = ContactPoint.State.DISABLED
        point.save(update_fields=["state"])
    return point


@operation
def remove_contact_point(contact_point_id: int, *, reason: str = "", actor: Actor) -> None:
    """Forget an address; its history stays. Raises NotFound (also on a repeat), Forbidden."""
    _own_contact_point(contact_point_id, "people.delete_contactpoint", actor).delete()


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


def forget_old_answers(*, before: datetime | None = None, limit: int = 500) -> int:
    """Delete stored answers of POSTs from before an instant (a day ago), at most `limit`; returns how many."""
    old = IdempotencyRecord.objects.filter(created_at__lt=before or now() - ANSWERS_KEPT_FOR)
    keys = list(old.order_by("created_at").values_list("pk", flat=True)[:limit])
    return IdempotencyRecord.objects.filter(pk__in=keys).delete()[0] if keys else 0


def has_old_answers(at: datetime) -> bool:
    """Whether `forget_old_answers` has something to do; one look into an index."""
    return IdempotencyRecord.objects.filter(created_at__lt=at - ANSWERS_KEPT_FOR).exists()
