"""What the verbs on flags take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.flags.operations.checking import MAX_REASON, MAX_TEXT
from apps.foundation.errors import Invalid
from apps.foundation.subjects import Subject
from apps.people.api.serializers import InputSerializer

_LARGEST_ID = 2**63 - 1
_KEY = r"^[A-Za-z0-9._-]{1,100}\Z"


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=_LARGEST_ID, **options)


def _text(**options: Any) -> serializers.CharField:
    return serializers.CharField(max_length=MAX_TEXT, **options)


@extend_schema_serializer(examples=[OpenApiExample("Rename", value={"name": "Card payments"})])
class FlagEditInput(InputSerializer):
    """What may change in a flag; what is not given stays."""

    name = serializers.CharField(max_length=120, required=False)
    description = _text(required=False, allow_blank=True)
    blast_radius = _text(required=False, help_text="who and what loses something when it is killed")
    rollback_expectation = _text(required=False, help_text="what happens after a kill, and how to undo it")
    owner = _id(required=False, source="owner_id", help_text="id of the team that answers for it")
    services = serializers.ListField(child=_id(), required=False, max_length=200, source="service_ids")
    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Payments",
            value={
                "key": "payments.checkout",
                "environment": 1,
                "owner": 1,
                "name": "Payments",
                "blast_radius": "Nobody can pay.",
                "rollback_expectation": "Carts stay; payments come back within seconds.",
                "services": [],
            },
        )
    ]
)
class FlagInput(FlagEditInput):
    """A new flag. Its key and its environment stay as they are."""

    key = serializers.RegexField(_KEY, max_length=100, help_text="what programs ask for")
    environment = _id(source="environment_id")
    name = serializers.CharField(max_length=120)
    blast_radius = _text(help_text="who and what loses something when it is killed")
    rollback_expectation = _text(help_text="what happens after a kill, and how to undo it")
    owner = _id(source="owner_id", help_text="id of the team that answers for it")


@extend_schema_serializer(examples=[OpenApiExample("Why", value={"reason": "it leaves the code"})])
class ReasonInput(InputSerializer):
    """Why, which must be said."""

    reason = serializers.CharField(max_length=MAX_REASON)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "For an incident", value={"reason": "double charges", "about_kind": "incident", "about_key": "7"}
        )
    ]
)
class KillInput(ReasonInput):
    """Why, and if wanted for what: a subject that you see, for example an incident by its id."""

    about_kind = serializers.CharField(max_length=40, required=False, allow_blank=True)
    about_key = serializers.CharField(max_length=64, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kind, key = attrs.pop("about_kind", ""), attrs.pop("about_key", "")
        if bool(kind) != bool(key):
            sentence = "`about_kind` and `about_key` come together."
            raise Invalid(sentence, fields={"about_key": [sentence]})
        return {**attrs, "about": Subject(kind, key) if kind else None}
