"""Errors that an operation raises and every edge translates: one code, one HTTP status, one clear sentence."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """Something the caller can understand and act on.

    `code` is stable and machine-readable, `message` says what is wrong and what to do, `fields` names the
    offending inputs, `http_status` is what an HTTP edge answers.
    """

    code = "domain_error"
    http_status = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        fields: dict[str, list[str]] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.fields = fields or {}
        self.extra = extra or {}


class Invalid(DomainError):
    """The input is wrong; `fields` says where."""

    code = "invalid"
    http_status = 400


class Forbidden(DomainError):
    """The actor may see the thing but not do this to it."""

    code = "forbidden"
    http_status = 403


class NotFound(DomainError):
    """No such thing, or the actor may not know of it: both read the same."""

    code = "not_found"
    http_status = 404


class Conflict(DomainError):
    """The thing is in a state in which this can't be done, or somebody was faster."""

    code = "conflict"
    http_status = 409


class PreconditionFailed(DomainError):
    """`If-Match` names a version that is no longer the current one."""

    code = "precondition_failed"
    http_status = 412


class TooLarge(DomainError):
    """The payload is over the limit."""

    code = "too_large"
    http_status = 413


class TooMany(DomainError):
    """A rate limit; `extra["retry_after_seconds"]` is a whole number."""

    code = "too_many_requests"
    http_status = 429
