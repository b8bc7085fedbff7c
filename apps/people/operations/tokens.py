"""Verbs on service accounts and bearer tokens."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError

from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.operations import operation
from apps.foundation.subjects import Subject
from apps.people.crypto import digest
from apps.people.events import TokenCreated, TokenRevoked
from apps.people.models import ApiToken, User
from apps.people.operations.accounts import groups_named, not_more_than, permissions_in
from apps.people.permissions import allowed, require
from apps.people.queries import SCOPES, covers, user_of

TOKEN_PREFIX = "ptk_"  # noqa: S105  # the public beginning of every token, not a secret
MAX_NAME_LENGTH = 120


@operation
def create_service_account(username: str, *, display_name: str = "", groups: Sequence[str] = (), actor: Actor) -> User:
    """Make an account for a program: no password, no admin, owned by the actor, who alone makes its tokens.

    One that a program makes is owned by the person who owns that program: somebody answers for each, at one remove.
    Needs `people.manage_service_accounts`; the groups may hold no permission that the actor has not. Raises
    Conflict when the name is taken, Invalid for a bad name or group.
    """
    require(actor, "people.manage_service_accounts")
    found = groups_named(groups)
    not_more_than(actor, permissions_in(found), "these groups")
    maker = user_of(actor)
    owner_id = (maker.owner_id or maker.pk) if maker else None
    user = User(username=username, display_name=display_name, kind=User.Kind.SERVICE, owner_id=owner_id)
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
    not_more_than(actor, user.get_all_permissions(), "a token of this account")
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
