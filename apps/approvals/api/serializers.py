"""Requests for approval as JSON, and what the verbs take."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations.changing import MOST_REASON
from apps.people.api.serializers import InputSerializer


class ApprovalSubjectSerializer(serializers.Serializer[Any]):
    """What it is about: an execution of a runbook, for example."""

    kind = serializers.CharField(source="subject_kind")
    key = serializers.CharField(source="subject_key")


class ApprovalSerializer(serializers.ModelSerializer[ApprovalRequest]):
    """Who asks for what exactly, until when, and what became of it."""

    subject = ApprovalSubjectSerializer(source="*", read_only=True)
    content = serializers.DictField(read_only=True, help_text="what exactly: version, parameters, targets")
    team = serializers.IntegerField(
        source="team_id", read_only=True, allow_null=True, help_text="its leads may decide besides the approvers"
    )
    answered_by = serializers.IntegerField(
        source="answered_by_id",
        read_only=True,
        allow_null=True,
        help_text="the one ahead of time that answered it",
    )
    requested_by = serializers.IntegerField(source="requested_by_id", read_only=True, allow_null=True)
    decided_by = serializers.IntegerField(source="decided_by_id", read_only=True, allow_null=True)

    class Meta:
        model = ApprovalRequest
        fields = (
            "id",
            "kind",
            "answered_by",
            "subject",
            "title",
            "content",
            "content_hash",
            "reason",
            "team",
            "requested_by",
            "requested_by_name",
            "requested_at",
            "expires_at",
            "state",
            "decided_by",
            "decided_by_name",
            "decided_at",
            "decision_reason",
        )
        read_only_fields = fields


class ApprovalNoteInput(InputSerializer):
    """Why, if there is anything to say."""

    reason = serializers.CharField(max_length=MOST_REASON, required=False, allow_blank=True)


class ApprovalReasonInput(InputSerializer):
    """Why, which must be said."""

    reason = serializers.CharField(max_length=MOST_REASON)
