"""What the API says of flags."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.catalog.models import Service
from apps.flags.models import Flag
from apps.flags.previews import Example, Move, WhoChanges
from apps.flags.queries import KillPreview
from apps.flags.snapshot import Evaluation
from apps.flags.staleness import CONSTANT, EXPIRED, UNASKED, why_stale


class FlagSerializer(serializers.ModelSerializer[Flag]):
    """A flag in one environment.

    `about_…` and `state_reason` are empty also where the caller may not know what it was killed for.
    """

    environment = serializers.CharField(source="environment.slug", read_only=True)
    owner = serializers.IntegerField(source="owner_id", read_only=True)
    services = serializers.SerializerMethodField()
    state_changed_by = serializers.IntegerField(source="state_changed_by_id", read_only=True, allow_null=True)
    state_reason = serializers.SerializerMethodField()
    stale = serializers.SerializerMethodField()
    about_kind = serializers.SerializerMethodField()
    about_key = serializers.SerializerMethodField()

    class Meta:
        model = Flag
        fields = (
            "id",
            "key",
            "environment",
            "name",
            "description",
            "owner",
            "services",
            "blast_radius",
            "rollback_expectation",
            "kind",
            "type",
            "definition",
            "expires_on",
            "needs_approval",
            "stale",
            "state",
            "state_reason",
            "state_changed_at",
            "state_changed_by",
            "about_kind",
            "about_key",
            "version",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.ChoiceField([EXPIRED, CONSTANT, UNASKED])))
    def get_stale(self, flag: Flag) -> list[str]:
        return sorted(why_stale(flag))

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_services(self, flag: Flag) -> list[int]:
        return [service.pk for service in flag.services.all()]

    def get_state_reason(self, flag: Flag) -> str:
        return flag.state_reason if getattr(flag, "about_is_shown", False) else ""

    def get_about_kind(self, flag: Flag) -> str:
        return flag.about_kind if getattr(flag, "about_is_shown", False) else ""

    def get_about_key(self, flag: Flag) -> str:
        return flag.about_key if getattr(flag, "about_is_shown", False) else ""


class ServiceNameSerializer(serializers.Serializer[Service]):
    """A service, and the team that owns it."""

    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    owner = serializers.IntegerField(source="owner_id")


class KillPreviewSerializer(serializers.Serializer[KillPreview]):
    """What a kill would change. `before` and `after` are what programs get."""

    before = serializers.CharField()
    after = serializers.CharField()
    changes_anything = serializers.BooleanField()
    services = ServiceNameSerializer(many=True)
    dependants = ServiceNameSerializer(many=True, help_text="what needs the services, the nearest first")
    blast_radius = serializers.CharField()
    rollback_expectation = serializers.CharField()
    waits_seconds = serializers.IntegerField(help_text="after which every process answers so")


class TriedSerializer(serializers.Serializer[Evaluation]):
    """What programs would get. Without a value they use their own default; `error` says why they must."""

    value = serializers.JSONField(allow_null=True)
    variant = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    error = serializers.CharField(allow_blank=True)
    metadata = serializers.DictField()


class MoveSerializer(serializers.Serializer[Move]):
    """So many of those asked would get `after` where they get `before`."""

    before = serializers.CharField()
    after = serializers.CharField()
    count = serializers.IntegerField()


class ChangedExampleSerializer(serializers.Serializer[Example]):
    """One who would get another answer."""

    context = serializers.DictField()  # type: ignore[assignment]  # DRF's own `context` of a serializer
    before = TriedSerializer()
    after = TriedSerializer()


class WhoChangesSerializer(serializers.Serializer[WhoChanges]):
    """Who would get another answer: the moves with their numbers, and up to 20 examples."""

    asked = serializers.IntegerField()
    is_sample = serializers.BooleanField(help_text="the contexts were made up: they differ in `targetingKey` only")
    changed = serializers.IntegerField()
    percent = serializers.FloatField()
    moves = MoveSerializer(many=True)
    examples = ChangedExampleSerializer(many=True)
