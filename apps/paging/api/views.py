"""Pages and escalation over the API: reading only; the verbs are those of the incident."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.paging.models import EscalationRun, Page
from apps.paging.queries import Upcoming, upcoming_of, visible_pages, visible_runs
from apps.people.api.viewsets import PortalReadOnlyViewSet


class SubjectSerializer(serializers.Serializer[Any]):
    """What people were paged for: an incident by its id."""

    kind = serializers.CharField(source="subject_kind")
    key = serializers.CharField(source="subject_key")


class PageSerializer(serializers.ModelSerializer[Page]):
    """One person called for one thing."""

    subject = SubjectSerializer(source="*", read_only=True)
    escalation = serializers.IntegerField(
        source="escalation_id", read_only=True, allow_null=True, help_text="null when a person paged somebody in"
    )
    track = serializers.CharField(source="escalation.track", read_only=True, default="")
    user = serializers.IntegerField(source="user_id", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)

    class Meta:
        model = Page
        fields = (
            "id",
            "subject",
            "escalation",
            "track",
            "run",
            "step",
            "level",
            "role",
            "user",
            "name",
            "reason",
            "state",
            "due_at",
            "created_at",
            "acknowledged_at",
        )
        read_only_fields = fields


class UpcomingSerializer(serializers.Serializer[Upcoming]):
    """A step to come and whom it reaches as the rotations stand now."""

    step = serializers.IntegerField()
    level = serializers.IntegerField(help_text="0 for the last call, which ends the track")
    name = serializers.CharField()
    repeat = serializers.IntegerField(help_text="0 for a level's own time, else which repeat it is")
    due_at = serializers.DateTimeField()
    user_ids = serializers.ListField(child=serializers.IntegerField())
    names = serializers.ListField(child=serializers.CharField())
    roles = serializers.ListField(child=serializers.CharField())
    last_call = serializers.BooleanField()
    why = serializers.CharField(help_text="the trigger that brings it about; empty for its own time")


class EscalationSerializer(serializers.ModelSerializer[EscalationRun]):
    """One track of escalation."""

    subject = SubjectSerializer(source="*", read_only=True)
    team = serializers.IntegerField(source="team_id", read_only=True, allow_null=True)
    policy_version = serializers.IntegerField(source="policy_version_id", read_only=True)

    class Meta:
        model = EscalationRun
        fields = (
            "id",
            "subject",
            "track",
            "state",
            "severity",
            "title",
            "team",
            "policy_version",
            "run",
            "step",
            "level",
            "detected_at",
            "started_at",
            "next_due_at",
            "ended_at",
        )
        read_only_fields = fields


class EscalationDetailSerializer(EscalationSerializer):
    """The same with the steps to come."""

    upcoming = serializers.SerializerMethodField()

    class Meta(EscalationSerializer.Meta):
        fields = (*EscalationSerializer.Meta.fields, "upcoming")  # type: ignore[assignment]  # longer than its parent's
        read_only_fields = fields  # type: ignore[assignment]  # the same

    @extend_schema_field(UpcomingSerializer(many=True))
    def get_upcoming(self, run: EscalationRun) -> Any:
        return [UpcomingSerializer(step).data for step in upcoming_of([run])[run.pk]]


class PageFilter(django_filters.FilterSet):
    """By person, state and subject; `mine` gives one's own."""

    mine = django_filters.BooleanFilter(method="own", label="only one's own, or only the others'")

    class Meta:
        model = Page
        fields = ("mine", "user", "state", "escalation", "subject_kind", "subject_key")

    def own(self, queryset: QuerySet[Page], name: str, value: bool) -> QuerySet[Page]:
        own = Q(user=self.request.user) if self.request is not None else Q()
        return queryset.filter(own) if value else queryset.exclude(own)


class PageViewSet(PortalReadOnlyViewSet):
    """Pages of what the caller may see, newest first."""

    scope_area = "incidents"
    queryset = Page.objects.all()
    serializer_class = PageSerializer
    filterset_class = PageFilter

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_pages(self.request.user)


class EscalationViewSet(PortalReadOnlyViewSet):
    """Escalation of what the caller may see: where each track stands and, for one, what comes next."""

    scope_area = "incidents"
    queryset = EscalationRun.objects.all()
    serializer_class = EscalationSerializer
    filterset_fields = ("track", "state", "severity", "team", "subject_kind", "subject_key")

    def visible(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return visible_runs(self.request.user)

    def get_serializer_class(self) -> Any:
        return EscalationDetailSerializer if self.action == "retrieve" else EscalationSerializer
