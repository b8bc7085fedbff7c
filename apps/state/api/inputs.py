"""What the verbs take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.people.api.serializers import InputSerializer
from apps.state.operations.authoring import LONGEST_PAUSE_SECONDS
from apps.state.operations.recording import NOTE_LENGTH

LARGEST_ID = 2**63 - 1
_LARGEST_REVISION = 2**31 - 1


def _example(value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value)])


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST_ID, **options)


def _reason() -> serializers.CharField:
    return serializers.CharField(max_length=NOTE_LENGTH)


@_example({"name": "Economy config", "capture_every_seconds": 60})
class ConfigFieldsInput(InputSerializer):
    """What may change about a document; what is not named stays."""

    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60, required=False)
    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    service = _id(source="service_id", required=False)
    environment = _id(source="environment_id", required=False, allow_null=True)
    schema = serializers.DictField(required=False, help_text="JSON Schema, draft 2020-12; {} allows everything")
    source_url = serializers.CharField(
        max_length=500, required=False, allow_blank=True, help_text="http or https; empty: the portal holds it"
    )
    capture_every_seconds = serializers.IntegerField(
        min_value=0, max_value=LONGEST_PAUSE_SECONDS, required=False, help_text="0, or at least 10"
    )
    reason = serializers.CharField(max_length=NOTE_LENGTH, required=False, allow_blank=True)


@_example({"slug": "economy", "name": "Economy config", "service": 3, "content": {"economy": {"drop_rate": 0.05}}})
class ConfigInput(ConfigFieldsInput):
    """A new document. `content` is the first version of one that the portal holds."""

    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    name = serializers.CharField(max_length=120)
    service = _id(source="service_id")
    content = serializers.DictField(required=False)
    reason = None  # type: ignore[assignment]  # how DRF takes an inherited field away


@_example({"content": {"economy": {"drop_rate": 0.05}}, "expected_revision": 4, "note": "halved again"})
class EditConfigInput(InputSerializer):
    """The whole new content, and which revision it was made from (here, or as `If-Match`)."""

    content = serializers.DictField(help_text="a mask left where a secret stands means the present value")
    expected_revision = serializers.IntegerField(min_value=1, max_value=_LARGEST_REVISION, required=False)
    note = serializers.CharField(max_length=NOTE_LENGTH, required=False, allow_blank=True)


class ConfigNothingInput(InputSerializer):
    """Nothing."""


@_example({"version": 7, "reason": "ran well for a week"})
class BaselineInput(InputSerializer):
    """Which version is known to be good, and why."""

    version = _id(help_text="a config version's id")
    reason = _reason()


@_example({"reason": "drop rate of 500 %", "expected_checksum": "9f2c" + "0" * 60})
class RestoreInput(InputSerializer):
    """What to put back (the baseline unless a version is named), and why."""

    version = _id(required=False, allow_null=True, help_text="a config version's id; null: the baseline")
    expected_checksum = serializers.RegexField(
        r"^[0-9a-f]{64}\Z", required=False, allow_null=True, help_text="of what is live, as the diff told it"
    )
    reason = _reason()
