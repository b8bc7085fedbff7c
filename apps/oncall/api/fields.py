"""Fields of this app's inputs."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from apps.foundation.errors import Invalid
from apps.oncall.operations import check_instant

LARGEST_ID = 2**63 - 1
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?\Z"


@extend_schema_field({"type": "string", "pattern": r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"})
class WallClockField(serializers.RegexField):
    """A wall-clock time without a zone: 09:00 or 09:00:30."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(_CLOCK, **kwargs)

    def to_representation(self, value: Any) -> str:
        return f"{value:%H:%M:%S}" if isinstance(value, time) else str(value)


class RestrictionField(serializers.Serializer[Any]):
    """When a layer works: from `starts` until before `ends` on these weekdays, on clocks in its zone."""

    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=6), min_length=1, max_length=7, help_text="0 is Monday"
    )
    starts = WallClockField()
    ends = WallClockField(help_text="not after `starts`: on the next day")


def row_id(**kwargs: Any) -> serializers.IntegerField:
    """The id of a row."""
    return serializers.IntegerField(min_value=1, max_value=LARGEST_ID, **kwargs)


def instant_of(request: Request, name: str) -> datetime | None:
    """An instant of the query. Raises Invalid for what is none, or lies beyond what calendars can hold."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        found: datetime = serializers.DateTimeField(default_timezone=UTC).to_internal_value(given)
    except serializers.ValidationError as error:
        raise Invalid(f"`{name}` is no instant.", fields={name: [str(error.detail[0])]}) from error  # type: ignore[index]  # a list here
    check_instant(found, name)
    return found
