"""How the API shows reviews, their sections and computed parts, and action items."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.foundation.clock import now
from apps.postmortems.figures import Computed
from apps.postmortems.models import ActionItem, Review, Section

SECTION_EXAMPLE: dict[str, Any] = {
    "id": 11,
    "review": 4,
    "slug": "summary",
    "title": "Summary",
    "hint": "Brief description of what happened and its impact.",
    "required": True,
    "text": "The connection pool was empty for 29 minutes.",
    "edited_at": "2025-11-11T09:12:00Z",
    "edited_by": {"id": 5, "name": "Ana"},
    "version": 2,
}
REVIEW_EXAMPLE: dict[str, Any] = {
    "id": 4,
    "incident": {"id": 42, "number": "INC-2025-11-10-001", "title": "Nobody can log in", "is_open": False},
    "title": "Nobody can log in",
    "state": "draft",
    "required_because": "The pack demands a review of P0, P1, P2, P3.",
    "owner": {"id": 5, "name": "Ana"},
    "reviewer": {"id": 8, "name": "Mona"},
    "opened_at": "2025-11-10T14:52:01Z",
    "due_at": "2025-11-12T14:52:00Z",
    "submitted_at": None,
    "reviewed_at": None,
    "reviewed_by": None,
    "closed_at": None,
    "version": 3,
}
ITEM_EXAMPLE: dict[str, Any] = {
    "id": 9,
    "review": 4,
    "incident": {"id": 42, "number": "INC-2025-11-10-001", "title": "Nobody can log in", "is_open": False},
    "title": "Add connection pool alerts",
    "description": "",
    "owner": {"id": 6, "name": "Ben"},
    "team": None,
    "priority": "P0",
    "due_at": "2025-11-13T17:00:00Z",
    "is_overdue": False,
    "state": "open",
    "created_at": "2025-11-11T09:20:00Z",
    "created_by": {"id": 5, "name": "Ana"},
    "finished_at": None,
    "outcome": "",
    "link": "",
    "overdue_told_at": None,
    "escalated_at": None,
    "version": 1,
}


class NamedSerializer(serializers.Serializer[Any]):
    """Something by its id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class ReviewedIncidentSerializer(serializers.Serializer[Any]):
    """The incident, briefly."""

    id = serializers.IntegerField()
    number = serializers.CharField()
    title = serializers.CharField()
    is_open = serializers.BooleanField(help_text="true: it was reopened")


@extend_schema_serializer(examples=[OpenApiExample("A section", value=SECTION_EXAMPLE)])
class SectionSerializer(serializers.ModelSerializer[Section]):
    """A written part of a review."""

    review = serializers.IntegerField(source="review_id")
    edited_by = NamedSerializer(allow_null=True)

    class Meta:
        model = Section
        fields = tuple(SECTION_EXAMPLE)
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("A draft", value=REVIEW_EXAMPLE)])
class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A review in a list."""

    incident = ReviewedIncidentSerializer()
    owner = NamedSerializer(allow_null=True)
    reviewer = NamedSerializer(allow_null=True)
    reviewed_by = NamedSerializer(allow_null=True)

    class Meta:
        model = Review
        fields: tuple[str, ...] = tuple(REVIEW_EXAMPLE)
        read_only_fields: tuple[str, ...] = fields


@extend_schema_serializer(examples=[OpenApiExample("A draft", value={**REVIEW_EXAMPLE, "sections": [SECTION_EXAMPLE]})])
class ReviewDetailSerializer(ReviewSerializer):
    """A review with what was written. Its computed parts and its action items have addresses of their own."""

    sections = SectionSerializer(many=True)

    class Meta(ReviewSerializer.Meta):
        fields = (*ReviewSerializer.Meta.fields, "sections")
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("An action item", value=ITEM_EXAMPLE)])
class ActionItemSerializer(serializers.ModelSerializer[ActionItem]):
    """Something promised in a review."""

    review = serializers.IntegerField(source="review_id")
    incident = ReviewedIncidentSerializer(source="review.incident")
    owner = NamedSerializer(allow_null=True)
    team = NamedSerializer(allow_null=True)
    created_by = NamedSerializer(allow_null=True)
    is_overdue = serializers.SerializerMethodField()

    class Meta:
        model = ActionItem
        fields = tuple(ITEM_EXAMPLE)
        read_only_fields = fields

    def get_is_overdue(self, item: ActionItem) -> bool:
        return item.is_open and item.due_at <= now()


# --- computed parts -----------------------------------------------------------------------------------------------


class FactSerializer(serializers.Serializer[Any]):
    """A line of Metadata, Impact or Detection."""

    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes fields out of the class
    value = serializers.CharField()


class FigureSerializer(serializers.Serializer[Any]):
    """A measured time against the pack's limit; exactly on the limit has missed it."""

    slug = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF takes fields out of the class
    seconds = serializers.FloatField(allow_null=True, help_text="null: not reached")
    text = serializers.CharField()
    limit_seconds = serializers.IntegerField(allow_null=True, help_text="null: the pack sets none")
    limit_text = serializers.CharField()
    met = serializers.BooleanField(allow_null=True)


class CycleSerializer(serializers.Serializer[Any]):
    """One time that the incident was open."""

    number = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    resolved_at = serializers.DateTimeField(allow_null=True)
    figures = FigureSerializer(many=True)


class LineSerializer(serializers.Serializer[Any]):
    """A line of the timeline."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    text = serializers.CharField()
    author = serializers.CharField()
    author_id = serializers.IntegerField(allow_null=True)


class HolderSerializer(serializers.Serializer[Any]):
    """Who held a role from when until when."""

    role = serializers.CharField()
    name = serializers.CharField(help_text="as the pack calls the role")
    user_id = serializers.IntegerField()
    user = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)


class ParticipantSerializer(serializers.Serializer[Any]):
    """Somebody who took part."""

    user_id = serializers.IntegerField()
    name = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())
    pages = serializers.IntegerField(help_text="how often they were paged")
    lines = serializers.IntegerField(help_text="how many lines of the timeline are theirs")


class ExecutedSerializer(serializers.Serializer[Any]):
    """An execution of a runbook, or a dry run."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    state = serializers.CharField()
    state_label = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    approval = serializers.CharField()
    steps_done = serializers.IntegerField()
    steps = serializers.IntegerField()


class TouchedSerializer(serializers.Serializer[Any]):
    """A flag, a config, or something else that was changed."""

    kind = serializers.CharField()
    title = serializers.CharField()
    at = serializers.DateTimeField()
    by = serializers.CharField()
    detail = serializers.CharField()


class ComputedSerializer(serializers.Serializer[Computed]):
    """What the portal fills in; frozen once the review is reviewed."""

    incident_id = serializers.IntegerField()
    number = serializers.CharField()
    title = serializers.CharField()
    severity = serializers.CharField()
    is_open = serializers.BooleanField()
    reopened_count = serializers.IntegerField()
    frozen_at = serializers.DateTimeField(allow_null=True, help_text="null: computed now")
    metadata = FactSerializer(many=True)
    impact = FactSerializer(many=True)
    detection = FactSerializer(many=True)
    figures = FigureSerializer(many=True, help_text="of the present cycle")
    cycles = CycleSerializer(many=True)
    timeline = LineSerializer(many=True)
    roles = HolderSerializer(many=True)
    participants = ParticipantSerializer(many=True)
    pages_sent = serializers.IntegerField()
    people_paged = serializers.IntegerField()
    alerts = LineSerializer(many=True)
    executions = ExecutedSerializer(many=True)
    dry_runs = ExecutedSerializer(many=True)
    flags = TouchedSerializer(many=True)
    configs = TouchedSerializer(many=True)
    changes = TouchedSerializer(many=True)
