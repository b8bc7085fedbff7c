"""Executions as the API shows them, and what their verbs take. Secrets are masked where things are stored."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.people.api.serializers import InputSerializer
from apps.runbooks.models import Execution, LogLine, StepRun
from apps.runbooks.operations.starting import MAX_REASON


def _example(value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value)])


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1, **options)


class StepRunSerializer(serializers.ModelSerializer[StepRun]):
    """One step of an execution, or the undoing of one (`direction` compensate)."""

    intent = serializers.JSONField(read_only=True, allow_null=True, help_text="what was about to be done")
    outcome = serializers.JSONField(read_only=True, allow_null=True, help_text="what came of it")
    took_seconds = serializers.FloatField(
        read_only=True, allow_null=True, help_text="with every attempt and wait; null until it is over"
    )
    pace = serializers.ChoiceField(
        StepRun.Pace.choices, read_only=True, help_text="how it kept its target; empty: it has none, or is not over"
    )

    class Meta:
        model = StepRun
        fields = (
            "id",
            "position",
            "direction",
            "order",
            "slug",
            "name",
            "kind",
            "state",
            "idempotency_key",
            "attempts",
            "failures",
            "progress",
            "intent",
            "intent_at",
            "outcome",
            "outcome_at",
            "due_at",
            "error",
            "started_at",
            "finished_at",
            "took_seconds",
            "target_seconds",
            "pace",
        )
        read_only_fields = fields


class LogLineSerializer(serializers.ModelSerializer[LogLine]):
    """One line of the log."""

    step = serializers.IntegerField(source="step_id", read_only=True, allow_null=True)

    class Meta:
        model = LogLine
        fields = ("id", "at", "level", "step", "text")
        read_only_fields = fields


_COLUMNS: tuple[str, ...] = (
    "id",
    "key",
    "runbook",
    "runbook_version",
    "incident",
    "dry_run",
    "approval",
    "parameters",
    "targets",
    "content_hash",
    "state",
    "state_detail",
    "reason",
    "requested_by",
    "requested_by_name",
    "requested_at",
    "started_by",
    "started_at",
    "finished_at",
    "cancel_requested_at",
    "version",
)


class ExecutionSerializer(serializers.ModelSerializer[Execution]):
    """A runbook at work, or asked for."""

    runbook = serializers.IntegerField(source="runbook_id", read_only=True)
    runbook_version = serializers.IntegerField(source="runbook_version_id", read_only=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)
    dry_run = serializers.IntegerField(source="dry_run_id", read_only=True)
    approval = serializers.IntegerField(source="approval_id", read_only=True, allow_null=True)
    requested_by = serializers.IntegerField(source="requested_by_id", read_only=True, allow_null=True)
    started_by = serializers.IntegerField(source="started_by_id", read_only=True, allow_null=True)
    parameters = serializers.DictField(read_only=True)
    targets = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = Execution
        fields = _COLUMNS
        read_only_fields = fields


class ExecutionDetailSerializer(ExecutionSerializer):
    """The same with its steps, in the order in which they run; those that undo come last."""

    steps = StepRunSerializer(many=True, read_only=True)

    class Meta(ExecutionSerializer.Meta):
        fields = (*_COLUMNS, "steps")
        read_only_fields = fields


@_example({"dry_run": 12, "reason": "Players drop nothing since 14:02"})
class StartInput(InputSerializer):
    """A dry run without problems, not older than DRY_RUN_MINUTES."""

    dry_run = _id()
    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


@_example({})
class ExecuteInput(InputSerializer):
    """No fields."""


@_example({"reason": "Nobody who may approve answers, and players lose items"})
class ExecutionReasonInput(InputSerializer):
    """Why."""

    reason = serializers.CharField(max_length=MAX_REASON)


@_example({"step": 31, "happened": True, "reason": "The receiver's log has the request"})
class SettleInput(InputSerializer):
    """Which step of unknown outcome, whether it has happened, and how that is known."""

    step = _id()
    happened = serializers.BooleanField()
    reason = serializers.CharField(max_length=MAX_REASON)


@_example({"step": 32, "done": True, "note": "Checked three worlds"})
class FinishManualInput(InputSerializer):
    """Which step, and whether it is done; one that can't be done has failed."""

    step = _id()
    done = serializers.BooleanField()
    note = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)
