"""Who calls the API: a program with a bearer token, or a person with the session of the pages."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.foundation.clock import now
from apps.people.models import ApiToken, User
from apps.people.queries import token_by_text

USE_IS_NOTED_EACH = timedelta(minutes=1)
MAX_TOKEN_LENGTH = 200


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer ptk_…`. A wrong, expired or revoked token is 401, never an anonymous call."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != b"bearer":
            return None
        if len(parts) != 2 or len(parts[1]) > MAX_TOKEN_LENGTH:  # noqa: PLR2004  # the scheme and the token
            raise AuthenticationFailed("The Authorization header must be: Bearer <token>.", code="invalid_token")
        token = token_by_text(parts[1].decode("latin-1"))
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked.", code="invalid_token")
        self._note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="incident portal"'

    def _note_use(self, token: ApiToken) -> None:
        """At most once a minute; update() is right here, since this column is not part of the history."""
        at = now()
        if token.last_used_at is None or at - token.last_used_at >= USE_IS_NOTED_EACH:
            stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=at - USE_IS_NOTED_EACH)
            ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=at)


class PortalSessionAuthentication(SessionAuthentication):
    """The session of the pages; writing needs the CSRF token, as there."""
