"""How the API shows config documents and their versions: secrets always masked."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.state.contents import shown
from apps.state.models import ConfigDocument, ConfigVersion, SourceState

ANY_OBJECT = {"type": "object", "additionalProperties": {}}
_CONTENT: dict[str, Any] = {"economy": {"drop_rate": 0.05, "gold_per_kill": 12}}
CONFIG_EXAMPLE: dict[str, Any] = {
    "id": 1,
    "slug": "economy",
    "name": "Economy config",
    "description": "",
    "service": 3,
    "environment": 1,
    "source_url": "https://config.example.com/economy",
    "held_here": False,
    "capture_every_seconds": 60,
    "last_captured_at": "2025-11-10T14:23:00Z",
    "capture_error": "",
    "source_state": "read",
    "unreachable_since": None,
    "head": 12,
    "head_checksum": "9f2c…",
    "baseline": 7,
    "baseline_checksum": "9f2c…",
    "drifted": False,
    "revision": 4,
}


@extend_schema_serializer(examples=[OpenApiExample("At a source", value=CONFIG_EXAMPLE)])
class ConfigSerializer(serializers.ModelSerializer[ConfigDocument]):
    """A document that a running system obeys, in a list."""

    service = serializers.IntegerField(source="service_id", read_only=True, help_text="a service's id")
    environment = serializers.IntegerField(
        source="environment_id", read_only=True, allow_null=True, help_text="an environment's id"
    )
    held_here = serializers.BooleanField(source="is_held_here", read_only=True, help_text="no source: the head is live")
    source_state = serializers.ChoiceField(
        choices=SourceState.choices,
        read_only=True,
        help_text="`unreachable`: the source can't be read, and the head is what was live when it last could",
    )
    head = serializers.IntegerField(
        source="head_id", read_only=True, allow_null=True, help_text="the newest version known to be live"
    )
    head_checksum = serializers.CharField(source="head.checksum", read_only=True, default="")
    baseline = serializers.IntegerField(
        source="baseline_id", read_only=True, allow_null=True, help_text="the version known to be good"
    )
    baseline_checksum = serializers.CharField(source="baseline.checksum", read_only=True, default="")
    drifted = serializers.SerializerMethodField(help_text="the head differs from the baseline")

    class Meta:
        model = ConfigDocument
        fields: tuple[str, ...] = tuple(CONFIG_EXAMPLE)
        read_only_fields: tuple[str, ...] = fields

    def get_drifted(self, document: ConfigDocument) -> bool:
        head, baseline = document.head, document.baseline
        return head is not None and baseline is not None and head.checksum != baseline.checksum


@extend_schema_serializer(
    examples=[OpenApiExample("At a source", value={**CONFIG_EXAMPLE, "schema": {}, "content": _CONTENT})]
)
class ConfigDetailSerializer(ConfigSerializer):
    """The same with its schema and the content of its head, secrets masked."""

    schema = serializers.SerializerMethodField(help_text="JSON Schema, draft 2020-12")
    content = serializers.SerializerMethodField(help_text="of the head; null while it has none")

    class Meta(ConfigSerializer.Meta):
        fields = (*ConfigSerializer.Meta.fields, "schema", "content")
        read_only_fields = fields

    @extend_schema_field(ANY_OBJECT)
    def get_schema(self, document: ConfigDocument) -> Any:
        return document.schema

    @extend_schema_field({**ANY_OBJECT, "nullable": True})
    def get_content(self, document: ConfigDocument) -> Any:
        return shown(document.head.content) if document.head else None


class ConfigVersionSerializer(serializers.ModelSerializer[ConfigVersion]):
    """One state of a document, without its content."""

    document = serializers.IntegerField(source="document_id", read_only=True, help_text="a config's id")
    restores = serializers.IntegerField(
        source="restores_id", read_only=True, allow_null=True, help_text="the version that it put back"
    )
    author = serializers.IntegerField(source="author_id", read_only=True, allow_null=True, help_text="an account's id")

    class Meta:
        model = ConfigVersion
        fields: tuple[str, ...] = (
            "id",
            "document",
            "number",
            "checksum",
            "source_version",
            "source_author",
            "origin",
            "restores",
            "note",
            "author",
            "author_name",
            "created_at",
        )
        read_only_fields: tuple[str, ...] = fields


class ConfigVersionDetailSerializer(ConfigVersionSerializer):
    """The same with its content, secrets masked."""

    content = serializers.SerializerMethodField()

    class Meta(ConfigVersionSerializer.Meta):
        fields = (*ConfigVersionSerializer.Meta.fields, "content")
        read_only_fields = fields

    @extend_schema_field(ANY_OBJECT)
    def get_content(self, version: ConfigVersion) -> Any:
        return shown(version.content)


OPS = ["added", "removed", "changed"]


class PlaceSerializer(serializers.Serializer[Any]):
    """One place that differs; secrets are masked on both sides."""

    path = serializers.CharField(allow_blank=True, help_text="`economy.drop_rate`, `items[0]`; empty for the whole")
    op = serializers.ChoiceField(choices=OPS)
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ConfigDiffSerializer(serializers.Serializer[Any]):
    """What differs between two states of one document."""

    before_checksum = serializers.CharField(help_text="of the older side; what a restore takes as `expected_checksum`")
    after_checksum = serializers.CharField()
    changes = PlaceSerializer(many=True)
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="why the newer side could not be made live"
    )


class CanarySerializer(serializers.Serializer[Any]):
    """A document that a source gives to a share of all."""

    percentage = serializers.IntegerField(min_value=1, max_value=99)
    checksum = serializers.CharField()
    changes = PlaceSerializer(many=True, help_text="how it differs from what is live")


class LiveDiffSerializer(ConfigDiffSerializer):
    """The same where a side may be what is live. A source that can't be read is told, and the head stands for it."""

    source_state = serializers.ChoiceField(choices=SourceState.choices, help_text="as it is found by this request")
    source_problem = serializers.CharField(allow_blank=True, help_text="why the source can't be read")
    unreachable_since = serializers.DateTimeField(allow_null=True, help_text="of the first capture that failed")
    canary = CanarySerializer(
        allow_null=True, help_text="what a share has beside what is live; only if `live` is asked"
    )


class RestoredSerializer(serializers.Serializer[Any]):
    """What was live before, and what is live now."""

    backup = serializers.IntegerField(source="backup.pk", help_text="the version that keeps what was live before")
    version = serializers.IntegerField(source="version.pk", help_text="the version that is live now, read back")
    changed = serializers.BooleanField(help_text="false: it was live already")
