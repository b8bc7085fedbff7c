"""Runbooks, versions, dry runs and secrets as the API shows them, and what their verbs take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.people.api.serializers import InputSerializer
from apps.policies.documents import MOST_CHARACTERS
from apps.runbooks.models import DryRun, Runbook, RunbookVersion, Secret
from apps.runbooks.operations.authoring import NOTE_LENGTH
from apps.runbooks.secrets import LONGEST, SHORTEST

LARGEST_ID = 2**63 - 1
_TEXT = """title: Restart the shop
steps:
  - slug: restart
    name: Restart it
    kind: http_request
    with: {method: PUT, url: "https://shop.example.com/restart"}
"""


def _example(value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value)])


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST_ID, **options)


class RunbookSerializer(serializers.ModelSerializer[Runbook]):
    """A prepared way to do something about an incident."""

    owner = serializers.IntegerField(source="owner_id", read_only=True)
    services: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    active_version = serializers.IntegerField(source="active_version_id", read_only=True, allow_null=True)
    active_number = serializers.IntegerField(source="active_version.number", read_only=True, allow_null=True)
    parameters = serializers.SerializerMethodField(help_text="JSON Schema of what a dry run takes; of the active text")

    class Meta:
        model = Runbook
        fields = (
            "id",
            "slug",
            "name",
            "description",
            "category",
            "owner",
            "services",
            "state",
            "active_version",
            "active_number",
            "parameters",
            "version",
        )
        read_only_fields = fields

    def get_parameters(self, runbook: Runbook) -> dict[str, Any]:
        found = runbook.active_version.content.get("parameters") if runbook.active_version else None
        return found or {}


class RunbookVersionSerializer(serializers.ModelSerializer[RunbookVersion]):
    """One saved text of a runbook. It never changes."""

    runbook = serializers.IntegerField(source="runbook_id", read_only=True)
    author = serializers.CharField(source="author_name", read_only=True)
    is_active = serializers.BooleanField(read_only=True, help_text="dry runs and executions follow it")

    class Meta:
        model = RunbookVersion
        fields: tuple[str, ...] = ("id", "runbook", "number", "checksum", "note", "author", "created_at", "is_active")
        read_only_fields = fields


class RunbookVersionDetailSerializer(RunbookVersionSerializer):
    """The same, with its text."""

    content = serializers.DictField(read_only=True, help_text="the text, read and checked")

    class Meta(RunbookVersionSerializer.Meta):
        fields = (*RunbookVersionSerializer.Meta.fields, "text", "content")
        read_only_fields = fields


class PlannedTargetSerializer(serializers.Serializer[Any]):
    """Something that would change. Checksums are empty where nothing can be read before."""

    kind = serializers.CharField()
    key = serializers.CharField()
    before = serializers.CharField(allow_blank=True)
    after = serializers.CharField(allow_blank=True)
    version = serializers.CharField(allow_blank=True)


class DryRunSerializer(serializers.ModelSerializer[DryRun]):
    """What an execution would do, as it was seen; its steps stand in the single dry run."""

    runbook = serializers.IntegerField(source="runbook_id", read_only=True)
    runbook_version = serializers.IntegerField(source="runbook_version_id", read_only=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)
    requested_by = serializers.IntegerField(source="requested_by_id", read_only=True, allow_null=True)
    parameters = serializers.DictField(read_only=True)
    problems = serializers.ListField(
        child=serializers.CharField(), read_only=True, help_text="why it can't be executed; empty: it can"
    )
    targets = PlannedTargetSerializer(many=True, read_only=True)

    class Meta:
        model = DryRun
        fields: tuple[str, ...] = (
            "id",
            "runbook",
            "runbook_version",
            "incident",
            "parameters",
            "targets",
            "problems",
            "content_hash",
            "estimate_seconds",
            "took_milliseconds",
            "requested_by",
            "requested_by_name",
            "made_at",
        )
        read_only_fields = fields


class DryRunDetailSerializer(DryRunSerializer):
    """The same, with every step: text, request, diff, problems, and what undoes it."""

    steps = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta(DryRunSerializer.Meta):
        fields = (*DryRunSerializer.Meta.fields, "steps")
        read_only_fields = fields


class SecretSerializer(serializers.ModelSerializer[Secret]):
    """A secret's name. Its value is never shown."""

    class Meta:
        model = Secret
        fields = ("id", "name", "note", "changed_at")
        read_only_fields = fields


class RunbookFields(InputSerializer):
    """What may change about a runbook; what is not named stays."""

    name = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    category = serializers.CharField(max_length=60, required=False, allow_blank=True)
    owner = _id(source="owner_id", required=False, help_text="the team's id")
    services = serializers.ListField(child=_id(), source="service_ids", required=False, max_length=500)


@_example({"description": "Puts the shop back on its feet."})
class RunbookEditInput(RunbookFields):
    """Changes to a runbook."""


@_example({"slug": "restart-shop", "name": "Restart the shop", "owner": 1})
class RunbookInput(RunbookFields):
    """A new runbook; its text comes with its first version."""

    slug = serializers.RegexField(r"^[-a-zA-Z0-9_]+\Z", max_length=60)
    name = serializers.CharField(max_length=120)
    owner = _id(source="owner_id", help_text="the team's id")


@_example({"text": _TEXT, "note": "restarts gently", "activate": False})
class RunbookVersionInput(InputSerializer):
    """A text as YAML, and what it changes."""

    text = serializers.CharField(trim_whitespace=False, max_length=MOST_CHARACTERS)
    note = serializers.CharField(max_length=NOTE_LENGTH, required=False, allow_blank=True)
    activate = serializers.BooleanField(required=False, help_text="let dry runs and executions follow it at once")


@_example({"text": _TEXT})
class RunbookTextInput(InputSerializer):
    """A text as YAML."""

    text = serializers.CharField(trim_whitespace=False, max_length=MOST_CHARACTERS)


@_example({"reason": "reviewed by the economy team"})
class RunbookReasonInput(InputSerializer):
    """Why, if that needs saying."""

    reason = serializers.CharField(max_length=300, required=False, allow_blank=True)


@_example({"reason": "reviewed with the economy team; canary first"})
class ApproveAheadInput(InputSerializer):
    """Why, and until when (default: 90 days)."""

    reason = serializers.CharField(max_length=2000)
    until = serializers.DateTimeField(required=False, help_text="at most 366 days from now")


@_example({"reason": "the shop restarts by itself now"})
class RetireInput(InputSerializer):
    """Why it is taken out of use."""

    reason = serializers.CharField(max_length=300)


@_example({"parameters": {"watch": 10}, "incident": 7})
class DryRunInput(InputSerializer):
    """Parameters by name, and for which incident; defaults are filled in."""

    parameters = serializers.DictField(required=False)
    incident = _id(source="incident_id", required=False, allow_null=True)
    version = _id(source="version_id", required=False, help_text="another version than the active one, to try it")


@_example({"name": "SHOP_TOKEN", "value": "correct-horse-battery-staple", "note": "may restart the shop"})
class SecretInput(InputSerializer):
    """A name and a value, in place of the one that the name had."""

    name = serializers.RegexField(r"^[a-zA-Z0-9_][-a-zA-Z0-9_]*\Z", max_length=60)
    value = serializers.CharField(min_length=SHORTEST, max_length=LONGEST, trim_whitespace=False, write_only=True)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)


class TextProblemSerializer(serializers.Serializer[Any]):
    """One thing that is wrong, and where."""

    line = serializers.IntegerField(help_text="from 1; 0 for the text as a whole")
    column = serializers.IntegerField()
    path = serializers.CharField(allow_blank=True)
    message = serializers.CharField()


class TextCheckSerializer(serializers.Serializer[Any]):
    """What a check found."""

    valid = serializers.BooleanField()
    problems = TextProblemSerializer(many=True)
