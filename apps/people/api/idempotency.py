"""A POST with an `Idempotency-Key` happens once, however often it is sent."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connection, transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.clock import now
from apps.foundation.errors import Conflict, DomainError, Invalid
from apps.people.crypto import is_keyed_digest, keyed_digest, seal, unseal
from apps.people.models import IdempotencyRecord
from apps.people.operations import ANSWERS_KEPT_FOR

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY_PATTERN = "^[!-~]{1,200}$"
_KEPT_HEADERS = ("ETag", "Location")


class KeyReused(DomainError):
    """The key came with another request before."""

    code = "idempotency_key_reused"
    http_status = 422


def _checked_key(key: str) -> str:
    if re.fullmatch(KEY_PATTERN, key) is None:
        raise Invalid(f"`{HEADER}` must be 1 to 200 visible ASCII characters.", code="bad_idempotency_key")
    return key


def _told(request: Request) -> str:
    """All that makes a request the same one again. It may hold a secret: only its keyed digest is stored."""
    return json.dumps([request.method, request.get_full_path(), request.data], sort_keys=True, default=str)


def _claim(user_id: int, key: str, route: str) -> None:
    """Raise Conflict while another process works on this very key.

    PostgreSQL tells it by an advisory lock that ends with the transaction; SQLite lets one writer in at a
    time, so the second simply waits and then finds the answer.
    """
    if connection.vendor != "postgresql":
        return
    name = hashlib.sha256(f"{user_id} {route} {key}".encode()).digest()[:8]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name, "big", signed=True)])
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise Conflict(
            "A request with this Idempotency-Key is being worked on; try again in a moment.",
            code="idempotency_in_flight",
            extra={"retry_after_seconds": 1},
        )


def is_answered(request: Request, key: str) -> bool:
    """Whether the answer to this very key is kept, so that sending it again does nothing."""
    mine = IdempotencyRecord.objects.filter(user_id=request.user.pk or 0, key=key, route=request.path[:200])
    return mine.filter(created_at__gte=now() - ANSWERS_KEPT_FOR).exists()


class IdempotencyMixin:
    """Views with this answer a repeated POST with the stored answer of the first, and `Idempotency-Replayed: true`.

    The answer is stored, sealed, in the transaction of the operation, for 24 hours; errors are not stored, since
    nothing happened. The same key with another body is 422; a key that is being worked on is 409.
    """

    post: Callable[..., Response]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # of the APIView
        key = request.headers.get(HEADER)
        if request.method == "POST" and key is not None and hasattr(self, "post"):
            self.post = partial(self._once, self.post, _checked_key(key))

    def _once(
        self, handler: Callable[..., Response], key: str, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        user_id, route, told = request.user.pk or 0, request.path[:200], _told(request)
        with transaction.atomic():
            _claim(user_id, key, route)
            mine = IdempotencyRecord.objects.filter(user_id=user_id, key=key, route=route)
            mine.filter(created_at__lt=now() - ANSWERS_KEPT_FOR).delete()
            stored = mine.first()
            if stored is not None:
                return _replay(stored, told)
            response = handler(request, *args, **kwargs)
            if response.status_code < 400:  # noqa: PLR2004  # success
                _store(user_id, key, route, keyed_digest(told), response)
            return response


def _replay(stored: IdempotencyRecord, told: str) -> Response:
    if not is_keyed_digest(stored.request_digest, told):
        raise KeyReused("This Idempotency-Key was used with another request: take a new key for a new request.")
    answer = json.loads(unseal(stored.answer_encrypted))
    return Response(answer["data"], status=stored.status, headers={**answer["headers"], REPLAYED: "true"})


def _store(user_id: int, key: str, route: str, digest: str, response: Response) -> None:
    data = json.loads(JSONRenderer().render(response.data) or b"null")
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    IdempotencyRecord.objects.create(
        user_id=user_id,
        key=key,
        route=route,
        request_digest=digest,
        status=response.status_code,
        answer_encrypted=seal(json.dumps({"data": data, "headers": headers})),
    )
