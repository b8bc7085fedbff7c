"""What the verbs on flags take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.flags.models import Flag
from apps.flags.operations import Step
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
    kind = serializers.ChoiceField(Flag.Kind.choices, required=False)
    definition = serializers.JSONField(
        required=False, help_text="`variants`, `off`, `serve`, `rules`, `prerequisites`: see the documentation of flags"
    )
    expires_on = serializers.DateField(required=False, allow_null=True, help_text="when the code should be rid of it")
    needs_approval = serializers.BooleanField(
        required=False, help_text="whether a second person must approve changes of what it answers"
    )
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
    """A new flag. Its key, its environment and its type stay as they are."""

    type = serializers.ChoiceField(Flag.Type.choices, required=False, source="value_type")
    key = serializers.RegexField(_KEY, max_length=100, help_text="what programs ask for")
    environment = _id(source="environment_id")
    name = serializers.CharField(max_length=120)
    blast_radius = _text(help_text="who and what loses something when it is killed")
    rollback_expectation = _text(help_text="what happens after a kill, and how to undo it")
    owner = _id(source="owner_id", help_text="id of the team that answers for it")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Somebody in Germany", value={"context": {"targetingKey": "user-1", "country": "DE"}}),
    ]
)
class TryInput(InputSerializer):
    """Who would ask, and if wanted by which definition instead of the present one."""

    context = serializers.DictField(  # type: ignore[assignment]  # DRF's own `context` of a serializer
        default=dict, help_text="as OpenFeature has it, with `targetingKey`"
    )
    definition = serializers.JSONField(required=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Off at night",
            value={"at": "2026-12-01T22:00:00Z", "change": {"state": "disabled"}, "reason": "maintenance of the bank"},
        ),
        OpenApiExample(
            "Half of all",
            value={
                "at": "2026-12-01T09:00:00Z",
                "change": {"serve": {"split": [{"variant": "on", "weight": 1}, {"variant": "off", "weight": 1}]}},
                "reason": "second step",
            },
        ),
    ]
)
class ScheduleInput(InputSerializer):
    """A change at an instant: one of `serve`, `definition`, `state`, `needs_approval`, `start` and `shares`."""

    at = serializers.DateTimeField(
        required=False,
        default=None,
        allow_null=True,
        help_text="in the next 366 days; left out: at once, when a second person has approved it",
    )
    change = serializers.JSONField()
    reason = serializers.CharField(max_length=MAX_REASON)


@extend_schema_serializer(
    examples=[OpenApiExample("On for all", value={"change": {"serve": "on"}, "contexts": [{"targetingKey": "user-1"}]})]
)
class WhoChangesInput(InputSerializer):
    """A change as `schedule` takes it, and who would ask; without contexts a sample of made-up people."""

    change = serializers.JSONField()
    contexts = serializers.ListField(child=serializers.DictField(), required=False, default=list, max_length=1000)


class StepInput(InputSerializer):
    """From this instant on, this part of all gets the variant."""

    at = serializers.DateTimeField()
    percent = serializers.FloatField(min_value=0, max_value=100)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "In two steps",
            value={
                "variant": "on",
                "steps": [
                    {"at": "2026-12-01T09:00:00Z", "percent": 5},
                    {"at": "2026-12-02T09:00:00Z", "percent": 100},
                ],
                "reason": "new checkout",
            },
        )
    ]
)
class RolloutInput(InputSerializer):
    """A gradual rollout: ever more of those whom no rule meets get the variant."""

    variant = serializers.CharField(max_length=100)
    otherwise = serializers.CharField(max_length=100, required=False, help_text="for the rest; by default `off`")
    steps = StepInput(many=True, allow_empty=False)
    reason = serializers.CharField(max_length=MAX_REASON)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "steps": [Step(**step) for step in attrs["steps"]]}


_DE = {"when": [{"attribute": "country", "operator": "in", "values": ["DE", "AT"]}]}


@extend_schema_serializer(examples=[OpenApiExample("Rename", value={"name": "Testers at home"})])
class SegmentEditInput(InputSerializer):
    """What may change in a segment; what is not given stays."""

    name = serializers.CharField(max_length=120, required=False)
    description = _text(required=False, allow_blank=True)
    definition = serializers.JSONField(required=False, help_text="`when`: conditions that all hold")
    owner = _id(required=False, source="owner_id", help_text="id of the team that answers for it")
    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


@extend_schema_serializer(
    examples=[OpenApiExample("Home", value={"key": "home", "name": "At home", "owner": 1, "definition": _DE})]
)
class SegmentInput(SegmentEditInput):
    """A new segment. Its key stays as it is."""

    key = serializers.RegexField(_KEY, max_length=100, help_text="what rules call it")
    name = serializers.CharField(max_length=120)
    definition = serializers.JSONField(help_text="`when`: conditions that all hold")
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


@extend_schema_serializer(examples=[OpenApiExample("Later", value={"reason": "the bank moved it"})])
class WithdrawInput(InputSerializer):
    """Why, if wanted."""

    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)
