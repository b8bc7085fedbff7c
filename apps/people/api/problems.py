"""Every error of the API is an RFC 9457 problem: one shape, one clear sentence, one stable code."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.defaults import server_error
from rest_framework import exceptions
from rest_framework.response import Response

from apps.foundation.errors import DomainError

MEDIA_TYPE = "application/problem+json"
_NOT_FOUND = "There is no such thing, or you may not know of it."
_PLAIN: tuple[tuple[type[Exception], int, str, str], ...] = (
    (Http404, 404, _NOT_FOUND, "not_found"),
    (PermissionDenied, 403, "You may not do this.", "forbidden"),
    (RequestDataTooBig, 413, "The body is over 1 MiB.", "too_large"),
    (SuspiciousOperation, 400, "The request can't be read.", "malformed"),
    (UnreadablePostError, 400, "The request can't be read.", "malformed"),
)
logger = logging.getLogger(__name__)


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    errors: list[dict[str, str]] | None = None,
    extra: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem document: `type`, `title`, `status`, `detail`, `code`, and `errors` naming the fields at fault."""
    body: dict[str, Any] = {
        **(extra or {}),
        "type": f"urn:incident-portal:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": errors or [],
    }
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """DRF's nested error details as a flat list of field, code and message."""
    if isinstance(detail, dict):
        for name, entry in detail.items():
            inner = "" if name == "non_field_errors" else str(name)
            yield from _flatten(entry, ".".join(part for part in (path, inner) if part))
    elif isinstance(detail, list):
        for index, entry in enumerate(detail):
            yield from _flatten(entry, f"{path}.{index}" if isinstance(entry, dict | list) and entry else path)
    else:
        yield {"field": path, "code": str(getattr(detail, "code", None) or "invalid"), "message": str(detail)}


def _of_domain(error: DomainError) -> Response:
    errors = [
        {"field": name, "code": error.code, "message": line} for name, lines in error.fields.items() for line in lines
    ]
    wait = error.extra.get("retry_after_seconds")
    headers = {"Retry-After": str(int(wait))} if wait is not None else None
    return problem(error.http_status, error.message, code=error.code, errors=errors, extra=error.extra, headers=headers)


def _of_drf(error: exceptions.APIException) -> Response:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        bad = isinstance(error, exceptions.AuthenticationFailed)
        headers["WWW-Authenticate"] = f'{challenge}, error="invalid_token"' if bad else challenge
    if (wait := getattr(error, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    if isinstance(error.detail, dict | list):
        errors = list(_flatten(error.detail))
        first = errors[0] if errors else {"field": "", "message": "The input is wrong."}
        detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
        return problem(error.status_code, detail, code="invalid", errors=errors, headers=headers)
    code = str(error.detail.code or error.default_code)
    return problem(error.status_code, str(error.detail), code=code, headers=headers)


def _of_validation(error: DjangoValidationError) -> Response:
    fields = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    errors = [{"field": name, "code": "invalid", "message": line} for name, ls in fields.items() for line in ls]
    return problem(400, errors[0]["message"], code="invalid", errors=errors)


def _of_database(error: Exception, context: dict[str, Any]) -> Response:
    if isinstance(error, IntegrityError):
        logger.warning("a constraint refused a write", exc_info=error)
        return problem(409, "This contradicts what is stored already; read it again.", code="conflict")
    # A number or text that no column holds: in the address it names nothing, in the body it is wrong.
    if context.get("kwargs"):
        return problem(404, _NOT_FOUND, code="not_found")
    return problem(400, "A value is too large to be stored.", code="out_of_range")


def _of_django(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, DjangoValidationError):
        return _of_validation(error)
    if isinstance(error, OverflowError | DataError | IntegrityError):
        return _of_database(error, context)
    for kind, status, detail, code in _PLAIN:
        if isinstance(error, kind):
            return problem(status, detail, code=code)
    return None


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None, for what is our own fault, lets it surface as a 500."""
    if isinstance(error, DomainError):
        return _of_domain(error)
    if isinstance(error, exceptions.APIException):
        return _of_drf(error)
    return _of_django(error, context)


def crashed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`: a fault of ours is a problem document too, for programs; a page for people."""
    if not request.path.startswith("/api/"):
        return server_error(request)
    detail = "The portal failed at this. It is in its log; trying again with the same Idempotency-Key is safe."
    body = {"type": "urn:incident-portal:problem:crashed", "title": "Internal Server Error", "status": 500}
    return JsonResponse(
        {**body, "detail": detail, "code": "crashed", "errors": []}, status=500, content_type=MEDIA_TYPE
    )
