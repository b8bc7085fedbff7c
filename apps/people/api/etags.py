"""Strong entity tags: read what you have only once, and never overwrite what you have not seen."""

from __future__ import annotations

import hashlib
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.foundation.errors import Invalid, PreconditionFailed


def etag_of(obj: Any, data: Any = None) -> str:
    """The strong tag of `obj`: from its `version` where it has one, else a hash of its representation `data`."""
    version = getattr(obj, "version", None)
    if isinstance(version, int):
        return f'"{obj._meta.model_name}-{obj.pk}-v{version}"'
    return f'"{hashlib.sha256(JSONRenderer().render(data)).hexdigest()[:32]}"'


def _tags(header: str) -> list[str]:
    return [tag.strip() for tag in header.split(",") if tag.strip()]


def if_none_match(request: Request, etag: str) -> bool:
    """Whether the caller has this very representation already."""
    tags = [tag.removeprefix("W/") for tag in _tags(request.headers.get("If-None-Match", ""))]
    return "*" in tags or etag in tags


class EtagMixin:
    """The tag of a row, and `If-Match` for the verbs."""

    def representation_etag(self, obj: Any) -> str:
        """The tag that `retrieve` gives `obj`."""
        if isinstance(getattr(obj, "version", None), int):
            return etag_of(obj)
        return etag_of(obj, self.get_serializer(obj).data)  # type: ignore[attr-defined]  # of the GenericViewSet

    def expected_version(self, obj: Any) -> int | None:
        """The version that the caller's `If-Match` speaks of, for the operation to check again under its lock.

        None without the header, or with `*`. Raises PreconditionFailed when the tag is not the current one.
        """
        request: Request = self.request  # type: ignore[attr-defined]  # of the GenericViewSet
        header = request.headers.get("If-Match")
        if header is None or header.strip() == "*":
            return None
        tags = _tags(header)
        if not tags:
            raise Invalid("`If-Match` is empty.", code="bad_if_match")
        current = self.representation_etag(obj)
        if current not in tags:
            raise PreconditionFailed("It has changed since you read it: read it again.", extra={"etag": current})
        version = getattr(obj, "version", None)
        return version if isinstance(version, int) else None


class EtagRetrieveMixin(EtagMixin):
    """`retrieve` with `ETag`, and 304 for who has it already."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        obj = self.get_object()  # type: ignore[attr-defined]  # of the GenericViewSet
        data = self.get_serializer(obj).data  # type: ignore[attr-defined]  # the same
        etag = etag_of(obj, data)
        if if_none_match(request, etag):
            return Response(status=304, headers={"ETag": etag})
        return Response(data, headers={"ETag": etag})
