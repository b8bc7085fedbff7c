"""Experiments over the API: each verb calls one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from apps.flags import operations
from apps.flags.api.experiment_inputs import (
    ExperimentEditInput,
    ExperimentEndInput,
    ExperimentInput,
    ExperimentStartInput,
    ExposuresInput,
    GuardrailInput,
    GuardrailSamplesInput,
    KillVariantInput,
    ReallocationInput,
)
from apps.flags.experiment_queries import (
    MODES,
    TO_FALLBACK,
    Enrolled,
    RatioFigures,
    VariantKillPreview,
    enrolled,
    epochs_of,
    epochs_shown_to,
    preview_variant_kill,
    ratio_figures,
    visible_experiments,
)
from apps.flags.models import AllocationEpoch, Experiment, Guardrail, GuardrailTotal
from apps.flags.permissions import CHANGE, KILL, RECORD, VIEW, authorize, may_change_any
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import allowed

# What an action on one experiment needs of its flag, asked before the body is looked at.
_NEEDS = {
    "partial_update": CHANGE,
    "start": CHANGE,
    "allocate": CHANGE,
    "end": CHANGE,
    "guardrails": CHANGE,
    "kill": KILL,
    "preview": VIEW,
    "figures": VIEW,
}
_REPORTS = ("exposures", "guardrail_samples")


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
        fields = ("id", "metric", "kind", "worse", "against", "threshold", "sensitivity", "alpha", "totals")
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


class ExperimentFilter(django_filters.FilterSet):
    """By key, state, flag, and the slug of an environment."""

    environment = django_filters.CharFilter(field_name="flag__environment__slug", label="slug of an environment")

    class Meta:
        model = Experiment
        fields = ("key", "state", "flag")


class ExperimentViewSet(PortalReadOnlyViewSet):
    """Experiments on flags: allocation, exposures, guardrails, and the kill of a variant."""

    scope_area = "flags"
    # Grants on a flag and leading its team allow what groups don't: `inputs` and the operations decide.
    action_permissions = dict.fromkeys(["list", "retrieve", "create", *_NEEDS, *_REPORTS])
    row_grants = True
    queryset = Experiment.objects.all()
    serializer_class = ExperimentSerializer
    filterset_class = ExperimentFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.action in _REPORTS and allowed(self.actor, RECORD):
            return queryset.select_related("flag__environment", "flag__owner")
        return visible_experiments(self.request.user).prefetch_related(epochs_shown_to(self.request.user))

    @cached_property
    def row(self) -> Experiment:
        """The experiment in the address; 404 where it is hidden."""
        found: Experiment = self.get_object()
        return found

    def inputs(self, serializer_class: type[BaseSerializer[Any]], *, partial: bool = False) -> dict[str, Any]:
        if self.action in _REPORTS:
            if not allowed(self.actor, RECORD):
                authorize(self.actor, self.row.flag, CHANGE)
        elif self.detail:
            authorize(self.actor, self.row.flag, _NEEDS[self.action])
        return super().inputs(serializer_class, partial=partial)

    def _run(self, verb: Callable[..., Experiment], *args: Any, **given: Any) -> Response:
        """One operation on the experiment in the address, under the caller's If-Match."""
        version = self.expected_version(self.row)
        self.perform(verb, self.row.pk, *args, **given, expected_version=version)
        return self.answer(Experiment.objects.prefetch_related(epochs_shown_to(self.request.user)).get(pk=self.row.pk))

    @extend_schema(request=ExperimentInput, responses={201: ExperimentSerializer})
    def create(self, request: Request) -> Response:
        """Plan an experiment; nobody gets anything else before it is started."""
        may_change_any(self.actor)
        given = self.inputs(ExperimentInput)
        made = self.perform(operations.create_experiment, given.pop("key"), **given)
        return self.answer(made, status=201)

    @extend_schema(request=ExperimentEditInput(partial=True), responses=ExperimentSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what is named; who gets what has verbs of its own."""
        return self._run(operations.edit_experiment, **self.inputs(ExperimentEditInput, partial=True))

    @extend_schema(request=ExperimentStartInput, responses=ExperimentSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Have the flag answer by it, in every process within 2 seconds. A repeat changes nothing."""
        return self._run(operations.start_experiment, **self.inputs(ExperimentStartInput))

    @extend_schema(request=ReallocationInput, responses=ExperimentSerializer)
    @action(detail=True, methods=["post"])
    def allocate(self, request: Request, pk: str) -> Response:
        """Give newcomers other shares; whoever is enrolled keeps their variant."""
        given = self.inputs(ReallocationInput)
        return self._run(operations.reallocate, given.pop("percents"), **given)

    @extend_schema(request=KillVariantInput, responses=ExperimentSerializer)
    @action(detail=True, methods=["post"])
    def kill(self, request: Request, pk: str) -> Response:
        """Have nobody get a variant any more, in every process within 2 seconds. A repeat changes nothing."""
        given = self.inputs(KillVariantInput)
        return self._run(operations.kill_variant, given.pop("variant"), **given)

    @extend_schema(
        responses=VariantKillPreviewSerializer,
        parameters=[OpenApiParameter("variant", str, required=True), OpenApiParameter("mode", str, enum=MODES)],
    )
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, pk: str) -> Response:
        """What killing a variant would change, counted. Nothing is changed."""
        query = request.query_params
        found = preview_variant_kill(self.row, query.get("variant", ""), query.get("mode", TO_FALLBACK))
        return Response(VariantKillPreviewSerializer(found).data)

    @extend_schema(responses=FiguresSerializer)
    @action(detail=True, methods=["get"])
    def figures(self, request: Request, pk: str) -> Response:
        """Who is enrolled, the sample ratio, and the guardrails."""
        epochs = epochs_of(self.row)
        found = {
            "enrolled": enrolled(self.row, epochs),
            "sample_ratio": ratio_figures(self.row, epochs),
            "guardrails": self.row.guardrails.prefetch_related("totals"),
        }
        return Response(FiguresSerializer(found).data)

    @extend_schema(request=ExperimentEndInput, responses=ExperimentSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """Have the flag answer by its definition again; with a winner, that variant. A repeat changes nothing."""
        return self._run(operations.end_experiment, **self.inputs(ExperimentEndInput))

    @extend_schema(request=GuardrailInput, responses={201: GuardrailSerializer})
    @action(detail=True, methods=["post"])
    def guardrails(self, request: Request, pk: str) -> Response:
        """Watch a metric."""
        given = self.inputs(GuardrailInput)
        made = self.perform(operations.add_guardrail, self.row.pk, given.pop("metric"), **given)
        return Response(GuardrailSerializer(made).data, status=201)

    @extend_schema(request=ExposuresInput, responses=TakenSerializer)
    @action(detail=True, methods=["post"])
    def exposures(self, request: Request, pk: str) -> Response:
        """Enrol those who saw their variant, up to 1,000 at once. Somebody who was sent before changes nothing."""
        given = self.inputs(ExposuresInput)
        return Response({"taken": self.perform(operations.record_exposures, self.row.pk, given["exposures"])})

    @extend_schema(request=GuardrailSamplesInput, responses=TakenSerializer)
    @action(detail=True, methods=["post"], url_path="guardrail-samples")
    def guardrail_samples(self, request: Request, pk: str) -> Response:
        """Add what was measured, up to 200 samples at once. Send an `Idempotency-Key`: a repeat would count again."""
        given = self.inputs(GuardrailSamplesInput)
        return Response({"taken": self.perform(operations.push_samples, self.row.pk, given["samples"])})
