"""Experiments over the API: each verb calls one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.functional import cached_property
from drf_spectacular.utils import OpenApiParameter, extend_schema
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
    GuardrailEditInput,
    GuardrailInput,
    GuardrailRemovalInput,
    GuardrailSamplesInput,
    KillVariantInput,
    ReallocationInput,
)
from apps.flags.api.experiment_serializers import (
    ExperimentReviewSerializer,
    ExperimentSerializer,
    FiguresSerializer,
    GuardrailSerializer,
    TakenSerializer,
    VariantKillPreviewSerializer,
)
from apps.flags.experiment_queries import (
    MODES,
    TO_FALLBACK,
    enrolled,
    epochs_of,
    epochs_shown_to,
    preview_variant_kill,
    ratio_figures,
    visible_experiments,
)
from apps.flags.experiment_review import review_experiment
from apps.flags.models import Experiment, Guardrail
from apps.flags.permissions import CHANGE, KILL, RECORD, VIEW, authorize, may_change_any
from apps.people.api.etags import etag_of
from apps.people.api.viewsets import PortalReadOnlyViewSet
from apps.people.permissions import allowed

# What an action on one experiment needs of its flag, asked before the body is looked at.
_NEEDS = {
    "partial_update": CHANGE,
    "start": CHANGE,
    "allocate": CHANGE,
    "end": CHANGE,
    "guardrails": CHANGE,
    "edit_guardrail": CHANGE,
    "remove_guardrail": CHANGE,
    "kill": KILL,
    "review": VIEW,
    "preview": VIEW,
    "figures": VIEW,
}
_REPORTS = ("exposures", "guardrail_samples")
_ONE_GUARDRAIL = r"guardrails/(?P<guardrail_id>[0-9]{1,18})"
_GUARDRAIL_ID = OpenApiParameter("guardrail_id", int, OpenApiParameter.PATH)


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

    @extend_schema(responses=ExperimentReviewSerializer)
    @action(detail=True, methods=["get"])
    def review(self, request: Request, pk: str) -> Response:
        """What exactly would start, who would get another answer, and what became of the question for approval."""
        return Response(ExperimentReviewSerializer(review_experiment(self.row)).data)

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
        return self._guardrail(made, 201)

    @extend_schema(request=GuardrailEditInput(partial=True), responses=GuardrailSerializer, parameters=[_GUARDRAIL_ID])
    @action(detail=True, methods=["patch"], url_path=_ONE_GUARDRAIL)
    def edit_guardrail(self, request: Request, pk: str, guardrail_id: str) -> Response:
        """Watch a metric otherwise: all that was measured is judged anew. What is not given stays."""
        given = self.inputs(GuardrailEditInput, partial=True)
        given["expected_version"] = self._guardrail_version(guardrail_id)
        return self._guardrail(self.perform(operations.edit_guardrail, self.row.pk, int(guardrail_id), **given), 200)

    @extend_schema(request=GuardrailRemovalInput, responses={204: None}, parameters=[_GUARDRAIL_ID])
    @action(detail=True, methods=["post"], url_path=f"{_ONE_GUARDRAIL}/remove")
    def remove_guardrail(self, request: Request, pk: str, guardrail_id: str) -> Response:
        """Watch a metric no more. What was measured goes with it; its history stays."""
        given = self.inputs(GuardrailRemovalInput)
        given["expected_version"] = self._guardrail_version(guardrail_id)
        self.perform(operations.remove_guardrail, self.row.pk, int(guardrail_id), **given)
        return Response(status=204)

    def _guardrail_version(self, guardrail_id: str) -> int | None:
        row = Guardrail.objects.filter(experiment=self.row, pk=int(guardrail_id)).first()
        return self.expected_version(row) if row is not None else None

    def _guardrail(self, row: Guardrail, status: int) -> Response:
        shown = Guardrail.objects.prefetch_related("totals").get(pk=row.pk)
        return Response(GuardrailSerializer(shown).data, status=status, headers={"ETag": etag_of(shown)})

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
