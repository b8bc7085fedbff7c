"""Who opens a stream: the session cookie of a browser, or the bearer token of a program. Synchronous; see hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Literal

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from apps.people.models import User
from apps.people.queries import covers, token_by_text

SCOPE = "incidents:read"


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented. Kept while the stream is open, so that it can be checked again."""

    kind: Literal["session", "token"]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a stream is not opened, or ends."""

    status: int
    code: str
    detail: str


SIGNED_OUT = Refusal(401, "not_authenticated", "Log in, or send a valid token as `Authorization: Bearer`.")
WRONG_SCOPE = Refusal(403, "insufficient_scope", f"This token lacks the scope {SCOPE}.")


def credential_of(headers: Iterable[tuple[bytes, bytes]]) -> Credential | None:
    """The token of the Authorization header, else the session cookie; None when there is neither."""
    known = {name.lower(): value.decode("latin-1") for name, value in headers}
    authorization = known.get(b"authorization", "")
    if authorization:
        scheme, _, text = authorization.partition(" ")
        return Credential("token", text.strip()) if scheme.lower() == "bearer" else None
    try:
        cookies = SimpleCookie(known.get(b"cookie", ""))
    except CookieError:
        return None
    found = cookies.get(settings.SESSION_COOKIE_NAME)
    return Credential("session", found.value) if found and found.value else None


def user_for(credential: Credential | None) -> User | Refusal:
    """The active account behind a credential, read afresh, or why there is none."""
    if credential is None:
        return SIGNED_OUT
    if credential.kind == "session":
        return _user_of_session(credential.text) or SIGNED_OUT
    token = token_by_text(credential.text)
    if token is None:
        return SIGNED_OUT
    return token.user if covers(token.scopes, SCOPE) else WRONG_SCOPE


def _user_of_session(key: str) -> User | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
