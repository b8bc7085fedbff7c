"""What the verbs on experiments take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.flags.api.inputs import KillInput
from apps.flags.experiment_queries import MODES
from apps.flags.models import Guardrail
from apps.flags.operations import Sample, Seen
from apps.flags.operations.checking import MAX_REASON, MAX_TEXT
from apps.flags.operations.exposing import LONGEST_KEY, MOST_AT_ONCE
from apps.flags.operations.guarding import MOST_SAMPLES
from apps.foundation.errors import Invalid
from apps.people.api.serializers import InputSerializer

_LARGEST = 2**63 - 1
_KEY = r"^[A-Za-z0-9._-]{1,100}\Z"
_THIRDS = {"control": 33.34, "a": 33.33, "b": 33.33}


def _reason(**options: Any) -> serializers.CharField:
    return serializers.CharField(max_length=MAX_REASON, **options)


@extend_schema_serializer(examples=[OpenApiExample("By itself", value={"auto_kill": True})])
class ExperimentEditInput(InputSerializer):
    """What may change in an experiment; what is not given stays."""

    name = serializers.CharField(max_length=120, required=False)
    hypothesis = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True)
    auto_kill = serializers.BooleanField(required=False, help_text="a breached guardrail kills the variant by itself")
    reason = _reason(required=False, allow_blank=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "In thirds",
            value={
                "key": "abx-storm-reward",
                "flag": 1,
                "name": "Storm reward",
                "fallback": "control",
                "percents": _THIRDS,
            },
        )
    ]
)
class ExperimentInput(ExperimentEditInput):
    """A plan for a flag of the kind experiment. It changes nothing before it is started."""

    key = serializers.RegexField(_KEY, max_length=100)
    flag = serializers.IntegerField(min_value=1, max_value=_LARGEST, source="flag_id")
    name = serializers.CharField(max_length=120)
    fallback = serializers.CharField(max_length=100, help_text="what the others are compared with, and fall to")
    percents = serializers.DictField(child=serializers.FloatField(), help_text="of each variant; together 100")
    traffic = serializers.FloatField(required=False, help_text="percent of all who take part; by default 100")
    salt = serializers.CharField(max_length=100, required=False, help_text="by default its key")


@extend_schema_serializer(examples=[OpenApiExample("Now", value={"reason": "reviewed"})])
class ExperimentStartInput(InputSerializer):
    """Why, if wanted."""

    reason = _reason(required=False, allow_blank=True)


@extend_schema_serializer(examples=[OpenApiExample("B", value={"variant": "b", "reason": "inflation 1.11"})])
class KillVariantInput(KillInput):
    """Which variant, why, and how its enrolled go on: to the fallback, or split like newcomers."""

    variant = serializers.CharField(max_length=100)
    mode = serializers.ChoiceField(MODES, required=False)


@extend_schema_serializer(
    examples=[OpenApiExample("Half and half", value={"percents": {"control": 50, "a": 50}, "reason": "b is gone"})]
)
class ReallocationInput(InputSerializer):
    """Other shares for newcomers."""

    percents = serializers.DictField(child=serializers.FloatField())
    traffic = serializers.FloatField(required=False)
    reason = _reason()


@extend_schema_serializer(examples=[OpenApiExample("A wins", value={"winner": "a", "reason": "12 % more retention"})])
class ExperimentEndInput(InputSerializer):
    """Why, and if wanted which variant everybody is to get."""

    winner = serializers.CharField(max_length=100, required=False, allow_blank=True)
    reason = _reason()


class SeenInput(InputSerializer):
    """Somebody, and the variant that they saw."""

    key = serializers.CharField(max_length=LONGEST_KEY, trim_whitespace=False, help_text="their targetingKey")
    variant = serializers.CharField(max_length=100)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Two", value={"exposures": [{"key": "u-1", "variant": "a"}, {"key": "u-2", "variant": "b"}]})
    ]
)
class ExposuresInput(InputSerializer):
    """Who saw which variant. Sending somebody again changes nothing."""

    exposures = SeenInput(many=True, allow_empty=False, max_length=MOST_AT_ONCE)  # type: ignore[call-arg]  # the list

    def validate_exposures(self, given: list[dict[str, str]]) -> list[Seen]:
        return [Seen(**each) for each in given]


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Inflation",
            value={
                "metric": "inflation",
                "kind": "mean",
                "worse": "higher",
                "against": "limit",
                "threshold": 1.08,
                "sensitivity": 0.03,
            },
        )
    ]
)
class GuardrailInput(InputSerializer):
    """A metric that no variant may worsen."""

    metric = serializers.RegexField(_KEY, max_length=100)
    kind = serializers.ChoiceField(Guardrail.Kind.choices)
    worse = serializers.ChoiceField(Guardrail.Worse.choices)
    against = serializers.ChoiceField(Guardrail.Against.choices)
    threshold = serializers.FloatField(help_text="the limit, or by how much it may be worse than the fallback")
    sensitivity = serializers.FloatField(help_text="a harm of this size beyond the threshold is found soonest")
    alpha = serializers.FloatField(required=False, help_text="how likely a false alarm may be; by default 0.01")
    reason = _reason(required=False, allow_blank=True)


@extend_schema_serializer(
    examples=[OpenApiExample("A narrower limit", value={"threshold": 1.05, "reason": "reviewed"})]
)
class GuardrailEditInput(InputSerializer):
    """What of a guardrail may change, and why; what is not given stays. Metric and kind stay as they are."""

    worse = serializers.ChoiceField(Guardrail.Worse.choices, required=False)
    against = serializers.ChoiceField(Guardrail.Against.choices, required=False)
    threshold = serializers.FloatField(required=False)
    sensitivity = serializers.FloatField(required=False)
    alpha = serializers.FloatField(required=False)
    reason = _reason(required=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "reason" not in attrs:  # a partial serializer asks for nothing by itself
            raise Invalid("Say why.", fields={"reason": ["This field is required."]})
        return attrs


@extend_schema_serializer(examples=[OpenApiExample("Wrong metric", value={"reason": "it counts retries"})])
class GuardrailRemovalInput(InputSerializer):
    """Why it is watched no more."""

    reason = _reason()


class GuardrailSampleInput(InputSerializer):
    """Of a mean `count`, `sum` and `sum_squares`; of a rate `trials` and `successes`."""

    metric = serializers.CharField(max_length=100)
    variant = serializers.CharField(max_length=100)
    count = serializers.IntegerField(min_value=1, max_value=10**12, required=False)
    sum = serializers.FloatField(required=False)
    sum_squares = serializers.FloatField(required=False, min_value=0)
    trials = serializers.IntegerField(min_value=1, max_value=10**12, required=False)
    successes = serializers.IntegerField(min_value=0, max_value=10**12, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        named = attrs.keys() - {"metric", "variant"}
        if named == {"trials", "successes"}:
            numbers = (attrs["trials"], float(attrs["successes"]), float(attrs["successes"]))
        elif named == {"count", "sum", "sum_squares"}:
            numbers = (attrs["count"], attrs["sum"], attrs["sum_squares"])
        else:
            raise Invalid("Give either `count`, `sum` and `sum_squares`, or `trials` and `successes`.")
        return {"sample": Sample(attrs["metric"], attrs["variant"], *numbers)}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A mean and a rate",
            value={
                "samples": [
                    {"metric": "inflation", "variant": "b", "count": 200, "sum": 222, "sum_squares": 246.6},
                    {"metric": "crashes", "variant": "b", "trials": 1000, "successes": 3},
                ]
            },
        )
    ]
)
class GuardrailSamplesInput(InputSerializer):
    """What was measured since the last call; it is added to what was."""

    samples = GuardrailSampleInput(many=True, allow_empty=False, max_length=MOST_SAMPLES)  # type: ignore[call-arg]  # so

    def validate_samples(self, given: list[dict[str, Sample]]) -> list[Sample]:
        return [each["sample"] for each in given]
