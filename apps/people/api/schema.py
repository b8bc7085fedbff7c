"""OpenAPI as the bases really behave: their headers, their problems, their ways to log in."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from apps.people.api.etags import EtagMixin
from apps.people.api.idempotency import HEADER, KEY_PATTERN, REPLAYED, IdempotencyMixin
from apps.people.api.problems import MEDIA_TYPE
from apps.people.api.serializers import InputSerializer, ProblemSerializer

_TEXTS = {
    "400": "The request is malformed, or a field is wrong.",
    "401": "No valid token or session.",
    "403": "The token lacks the scope, or the account the permission.",
    "404": "There is no such thing, or the caller may not know of it.",
    "409": "Its state does not allow this now, or a request with the same key is being worked on.",
    "412": "`If-Match` names a version that is no longer the current one.",
    "413": "The body is over 1 MiB.",
    "415": "The body is not `application/json`.",
    "422": "The `Idempotency-Key` was used with another request.",
    "429": "Too many requests; see `Retry-After`.",
}
_COMMON_NAMES = {"NothingInput", "ReasonInput", "SubjectSerializer"}
_UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


def _example(status: str) -> dict[str, Any]:
    code = {"401": "not_authenticated", "403": "permission_missing", "404": "not_found", "400": "invalid"}
    name = code.get(status, "conflict")
    return {
        "type": f"urn:incident-portal:problem:{name}",
        "title": HTTPStatus(int(status)).phrase,
        "status": int(status),
        "detail": _TEXTS[status],
        "code": name,
        "errors": [{"field": "title", "code": "required", "message": "This field is required."}]
        if status == "400"
        else [],
    }


class PortalAutoSchema(AutoSchema):
    """Adds to each operation what the bases of views give it, so that no app writes it again."""

    def get_override_parameters(self) -> list[Any]:
        found: list[Any] = list(super().get_override_parameters())
        header: Literal["header"] = "header"
        if self.method == "POST" and isinstance(self.view, IdempotencyMixin):
            known = {"type": "string", "pattern": KEY_PATTERN}
            text = "Sent again with the same body within 24 hours, the answer is the stored one; nothing happens twice."
            found.append(OpenApiParameter(HEADER, known, header, description=text))
            text = "`true` when this is the stored answer of an earlier request."
            found.append(OpenApiParameter(REPLAYED, str, header, response=[200, 201, 202], description=text))
        if self._has_etags():
            if self.method in _UNSAFE and self._is_detail():
                text = "Do it only if the thing still has this `ETag`."
                found.append(OpenApiParameter("If-Match", str, header, description=text))
            if self._is_retrieve():
                text = "Answer 304 if the thing still has this `ETag`."
                found.append(OpenApiParameter("If-None-Match", str, header, description=text))
                found.append(
                    OpenApiParameter("ETag", str, header, response=[200], description="the strong tag of this version")
                )
        return found

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Several apps call an input "NothingInput": theirs get the app's name in front."""
        name = str(super().get_serializer_name(serializer, direction))
        app = type(serializer).__module__.split(".")[1] if name in _COMMON_NAMES else "people"
        return name if app == "people" else f"{app.title()}{name}"

    def _has_etags(self) -> bool:
        return isinstance(self.view, EtagMixin)

    def _is_detail(self) -> bool:
        return "{" in self.path

    def _is_retrieve(self) -> bool:
        return self.method == "GET" and getattr(self.view, "action", "") == "retrieve"

    def _problem_statuses(self) -> list[str]:
        found = ["400", "401", "403"]
        if self._is_detail() or self.method in _UNSAFE:
            found.append("404")
        if self.method in _UNSAFE:
            found += ["409", "413", "415", "429"]
            if self.method == "POST" and isinstance(self.view, IdempotencyMixin):
                found.append("422")
            if self._has_etags() and self._is_detail():
                found.append("412")
        return sorted(found)

    def _get_response_bodies(self, direction: Any = "response") -> Any:
        found = super()._get_response_bodies(direction=direction)
        if direction != "response" or not hasattr(self.view, "scope_area"):
            return found
        component = self.resolve_serializer(ProblemSerializer, "response")
        for status in self._problem_statuses():
            body = {"schema": component.ref, "example": _example(status)}
            found.setdefault(status, {"description": _TEXTS[status], "content": {MEDIA_TYPE: body}})
        if self._has_etags() and self._is_retrieve():
            found.setdefault("304", {"description": "You have it already."})
        return found

    def _insert_field_validators(self, field: Any, schema: Any) -> None:
        super()._insert_field_validators(field, schema)  # type: ignore[no-untyped-call]  # untyped library
        if isinstance(field, serializers.EmailField | serializers.URLField) and (field.read_only or field.allow_blank):
            schema.pop("format", None)  # it may be empty, and nothing is no address

    def _postprocess_serializer_schema(self, schema: Any, serializer: Any, direction: Any) -> Any:
        found = super()._postprocess_serializer_schema(schema, serializer, direction)  # type: ignore[no-untyped-call]  # untyped library
        if isinstance(serializer, InputSerializer) and isinstance(found, dict):
            found["additionalProperties"] = False
        return found


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers by subclassing
    """How `/api/schema/` describes bearer tokens."""

    target_class = "apps.people.api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of yours, `ptk_…`, with the scope `<area>:read` or `<area>:write`, or `*`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # the same
    """How it describes the session of the pages."""

    target_class = "apps.people.api.authentication.PortalSessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": "The session of the pages."}
