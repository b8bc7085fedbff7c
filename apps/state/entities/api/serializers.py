"""How the API shows entities: documents never, differences with secrets masked."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.state.api.serializers import PlaceSerializer
from apps.state.entities.comparing import OPS
from apps.state.entities.models import EntityRestore, EntitySource, RestoreItem, Snapshot, SnapshotDiff

_VERSION = {"oneOf": [{"type": "integer"}, {"type": "string"}], "nullable": True}
_JOB = (
    "state",
    "percent",
    "done_count",
    "total_count",
    "error",
    "reason",
    "author",
    "author_name",
    "created_at",
    "started_at",
    "finished_at",
)


def _row(name: str, what: str) -> serializers.IntegerField:
    return serializers.IntegerField(source=f"{name}_id", read_only=True, allow_null=True, help_text=what)


class EntitySourceSerializer(serializers.ModelSerializer[EntitySource]):
    """A system that holds entities of one kind."""

    service = serializers.IntegerField(source="service_id", read_only=True, help_text="a service's id")
    environment = _row("environment", "an environment's id")

    class Meta:
        model = EntitySource
        fields: tuple[str, ...] = (
            "id",
            "slug",
            "name",
            "kind",
            "description",
            "service",
            "environment",
            "base_url",
            "snapshot_every_seconds",
            "next_snapshot_at",
            "keep_count",
            "keep_days",
            "revision",
        )
        read_only_fields: tuple[str, ...] = fields


class _JobSerializer(serializers.ModelSerializer[Any]):
    percent = serializers.IntegerField(read_only=True, allow_null=True, help_text="null: nobody knows yet")
    author = _row("author", "an account's id")


class SnapshotSerializer(_JobSerializer):
    """All entities of a source as they were read."""

    source = serializers.IntegerField(  # type: ignore[assignment]  # a name of DRF's own on instances
        source="source_id", read_only=True, help_text="an entity source's id"
    )

    class Meta:
        model = Snapshot
        fields: tuple[str, ...] = (
            "id",
            "source",
            "number",
            "origin",
            *_JOB,
            "raw_bytes",
            "stored_bytes",
            "checksum",
            "pinned",
            "pin_reason",
        )
        read_only_fields: tuple[str, ...] = fields


class SnapshotProblemsSerializer(serializers.Serializer[Any]):
    """Whether a snapshot verifies."""

    verifies = serializers.BooleanField()
    problems = serializers.ListField(child=serializers.CharField())


class SnapshotDiffSerializer(_JobSerializer):
    """How far the comparison is, and its scope."""

    before = serializers.IntegerField(source="before_id", read_only=True, help_text="a snapshot's id")
    after = serializers.IntegerField(source="after_id", read_only=True, help_text="a snapshot's id")
    fields_count = serializers.DictField(
        source="fields", child=serializers.IntegerField(), read_only=True, help_text="entities by place that differs"
    )

    class Meta:
        model = SnapshotDiff
        fields: tuple[str, ...] = (
            "id",
            "before",
            "after",
            *_JOB,
            "added_count",
            "removed_count",
            "changed_count",
            "fields_count",
        )
        read_only_fields: tuple[str, ...] = fields


class DiffEntrySerializer(serializers.Serializer[Any]):
    """One entity that differs; secrets are masked on both sides."""

    id = serializers.CharField()
    op = serializers.ChoiceField(choices=OPS)
    before_version = serializers.JSONField(allow_null=True)
    after_version = serializers.JSONField(allow_null=True)
    change_count = serializers.IntegerField(help_text="`changes` holds at most 100 of them")
    may_fit = serializers.SerializerMethodField(help_text="not all its places are kept, and none of those fits")
    changes = PlaceSerializer(many=True)

    def get_may_fit(self, entry: dict[str, Any]) -> bool:
        return bool(entry.get("may_fit"))


class DiffPageSerializer(serializers.Serializer[Any]):
    """A page of what a filter finds, and the scope of all of it."""

    total = serializers.IntegerField(help_text="entities that fit")
    may_fit = serializers.IntegerField(help_text="entities that may also fit: not all their places are kept")
    ops = serializers.DictField(child=serializers.IntegerField())
    fields_count = serializers.DictField(source="fields", child=serializers.IntegerField())
    entries = DiffEntrySerializer(many=True)
    next_after = serializers.CharField(allow_null=True, help_text="`after` of the next page; null: this is the last")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Of a dry run", value={"id": 7, "state": "ready", "checksum": "9f2c…", "refused_count": 0})
    ]
)
class EntityRestoreSerializer(_JobSerializer):
    """Entities on their way back. `ready`: the dry run is done, and waits to be confirmed."""

    source = serializers.IntegerField(  # type: ignore[assignment]  # a name of DRF's own on instances
        source="source_id", read_only=True, help_text="an entity source's id"
    )
    snapshot = _row("snapshot", "a snapshot's id; null: it undoes another restore")
    undoes = _row("undoes", "a restore's id")

    class Meta:
        model = EntityRestore
        fields: tuple[str, ...] = (
            "id",
            "source",
            "snapshot",
            "undoes",
            "chosen",
            *_JOB,
            "checksum",
            "confirmed_at",
            "confirmed_by_name",
            "restored_count",
            "refused_count",
        )
        read_only_fields: tuple[str, ...] = fields


class RestoreItemSerializer(serializers.ModelSerializer[RestoreItem]):
    """One entity of a restore: the difference against what was live, and what came of it."""

    id = serializers.CharField(source="entity_id", read_only=True, help_text="the entity's own id")
    live_version = serializers.SerializerMethodField(help_text="that the dry run saw; null: there was none")
    new_version = serializers.SerializerMethodField()
    changes = PlaceSerializer(many=True, read_only=True)

    class Meta:
        model = RestoreItem
        fields: tuple[str, ...] = ("id", "state", "live_version", "new_version", "changes", "note", "finished_at")
        read_only_fields: tuple[str, ...] = fields

    @extend_schema_field(_VERSION)
    def get_live_version(self, item: RestoreItem) -> Any:
        return item.expected_version

    @extend_schema_field(_VERSION)
    def get_new_version(self, item: RestoreItem) -> Any:
        return item.new_version


class RestoreItemsSerializer(serializers.Serializer[Any]):
    """A page of a restore's entities."""

    total = serializers.IntegerField()
    items = RestoreItemSerializer(many=True)
    next_after = serializers.CharField(allow_null=True, help_text="`after` of the next page; null: this is the last")
