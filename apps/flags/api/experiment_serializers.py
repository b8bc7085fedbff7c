"""How experiments, their epochs, guardrails and figures are shown over the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.flags.api.serializers import WhoChangesSerializer
from apps.flags.experiment_queries import Enrolled, RatioFigures, VariantKillPreview
from apps.flags.experiment_review import ExperimentReview
from apps.flags.models import AllocationEpoch, Experiment, FlagChange, Guardrail, GuardrailTotal


class EpochSerializer(serializers.ModelSerializer[AllocationEpoch]):
    """Which slots newcomers had from an instant on. `moves`: where a killed one's people went."""

    created_by = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)
    ranges = serializers.DictField(read_only=True)
    moves = serializers.DictField(child=serializers.CharField(), read_only=True)
    cause = serializers.CharField(read_only=True, help_text="start, kill or shares")
    reason = serializers.SerializerMethodField(help_text="empty where it is about something that you may not see")

    class Meta:
        model = AllocationEpoch
        fields = ("number", "ranges", "moves", "cause", "reason", "created_at", "created_by")
        read_only_fields = fields

    def get_reason(self, epoch: AllocationEpoch) -> str:
        return epoch.reason if getattr(epoch, "reason_is_shown", False) else ""


class ExperimentSerializer(serializers.ModelSerializer[Experiment]):
    """A comparison of a flag's variants, with its epochs."""

    flag = serializers.IntegerField(source="flag_id", read_only=True)
    percents = serializers.DictField(child=serializers.FloatField(), read_only=True)
    epochs = EpochSerializer(many=True, read_only=True)

    class Meta:
        model = Experiment
        fields = (
            "id",
            "key",
            "flag",
            "name",
            "hypothesis",
            "fallback",
            "percents",
            "traffic",
            "salt",
            "auto_kill",
            "state",
            "started_at",
            "ended_at",
            "epochs",
            "version",
        )
        read_only_fields = fields


class VariantKillPreviewSerializer(serializers.Serializer[VariantKillPreview]):
    """What killing a variant would change. `before` and `after` are what newcomers get, in percent of all."""

    variant = serializers.CharField()
    mode = serializers.CharField()
    is_killed = serializers.BooleanField()
    moves = serializers.DictField(child=serializers.IntegerField(), help_text="who leaves it, by where they go")
    moved = serializers.IntegerField()
    stays = serializers.DictField(child=serializers.IntegerField(), help_text="who stays, by variant")
    before = serializers.DictField(child=serializers.FloatField())
    after = serializers.DictField(child=serializers.FloatField())
    sentence = serializers.CharField()
    waits_seconds = serializers.IntegerField(help_text="after which every process answers so")


class GuardrailTotalSerializer(serializers.ModelSerializer[GuardrailTotal]):
    """What was measured of one variant. `p_value` is valid at any time."""

    class Meta:
        model = GuardrailTotal
        fields = ("variant", "sample_count", "total", "squares", "p_value", "pushed_at", "breached_at")
        read_only_fields = fields


class GuardrailSerializer(serializers.ModelSerializer[Guardrail]):
    """A metric that no variant may worsen, and what was measured."""

    totals = GuardrailTotalSerializer(many=True, read_only=True)

    class Meta:
        model = Guardrail
        fields = ("id", "metric", "kind", "worse", "against", "threshold", "sensitivity", "alpha", "version", "totals")
        read_only_fields = fields


class EnrolledSerializer(serializers.Serializer[Enrolled]):
    """Who is with which variant now."""

    by_variant = serializers.DictField(child=serializers.IntegerField())
    total = serializers.IntegerField()
    unplanned = serializers.IntegerField(help_text="saw a variant that no epoch gave them")


class RatioSerializer(serializers.Serializer[RatioFigures]):
    """First exposures against slots, by Pearson's chi-squared."""

    count = serializers.IntegerField()
    statistic = serializers.FloatField()
    freedom = serializers.IntegerField()
    p_value = serializers.FloatField()
    is_mismatch = serializers.BooleanField()


class FiguresSerializer(serializers.Serializer[Any]):
    """Who is enrolled, whether their proportions are as planned, and what the guardrails say."""

    enrolled = EnrolledSerializer()
    sample_ratio = RatioSerializer()
    guardrails = GuardrailSerializer(many=True)


class TakenSerializer(serializers.Serializer[Any]):
    """How many were taken in."""

    taken = serializers.IntegerField()


class StartProposalSerializer(serializers.ModelSerializer[FlagChange]):
    """The newest change that starts it, and what became of the question for approval."""

    approval = serializers.IntegerField(source="approval_id", read_only=True, allow_null=True)
    approval_state = serializers.CharField(source="approval.state", read_only=True, default=None, allow_null=True)
    created_by = serializers.IntegerField(source="created_by_id", read_only=True, allow_null=True)

    class Meta:
        model = FlagChange
        fields = ("id", "state", "due_at", "detail", "approval", "approval_state", "created_by", "created_at")
        read_only_fields = fields


class ExperimentReviewSerializer(serializers.Serializer[ExperimentReview]):
    """What a second person reads before it starts. `change` is what they approve, to the letter."""

    state = serializers.CharField(source="experiment.state")
    needs_approval = serializers.BooleanField()
    change = serializers.DictField()
    who_changes = WhoChangesSerializer(source="who", allow_null=True, help_text="null once it has started")
    fault = serializers.CharField(help_text="why nobody can say who would change")
    warnings = serializers.ListField(child=serializers.CharField())
    proposal = StartProposalSerializer(allow_null=True)
    is_current = serializers.BooleanField(help_text="whether the proposal is exactly what would start now")
