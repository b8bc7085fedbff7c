"""What the verbs take. Unknown fields are refused by name."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.incidents.models import Incident
from apps.incidents.operations.checking import MAX_POST, MAX_REASON, MAX_SUMMARY, MAX_TITLE
from apps.paging.conditions import CHOICES
from apps.people.api.serializers import InputSerializer


def _example(value: dict[str, Any], name: str = "Example") -> Any:
    return extend_schema_serializer(examples=[OpenApiExample(name, value=value)])


def _reason() -> serializers.CharField:
    return serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=2**63 - 1, **options)


@_example({"title": "Nobody can log in", "severity": "P0", "services": [7]})
class DeclareInput(InputSerializer):
    """Title and severity are enough; the pack of the service or team says which severities there are."""

    title = serializers.CharField(max_length=MAX_TITLE)
    severity = serializers.CharField(max_length=20)
    summary = serializers.CharField(max_length=MAX_SUMMARY, required=False, allow_blank=True)
    team = _id(required=False, allow_null=True, help_text="default: the owner of the first service, else your team")
    services = serializers.ListField(child=_id(), required=False, max_length=50)
    environment = _id(required=False, allow_null=True)
    visibility = serializers.ChoiceField(choices=Incident.Visibility.choices, required=False)
    kind = serializers.ChoiceField(choices=Incident.Kind.choices, required=False)
    type = serializers.CharField(max_length=40, required=False, allow_blank=True, help_text="of the pack's types")
    subtype = serializers.CharField(max_length=120, required=False, allow_blank=True)
    stop_milestone = serializers.CharField(
        max_length=40, required=False, allow_blank=True, help_text="where the clock of its target stops"
    )
    page = serializers.BooleanField(required=False, help_text="false opens it without paging anybody")
    detected_at = serializers.DateTimeField(required=False, allow_null=True)


@_example({})
class NothingInput(InputSerializer):
    """No fields."""


@_example({"text": "Connection pool is exhausted; resetting it.", "client_key": "b4c0"})
class PostInput(InputSerializer):
    """A note, as Markdown. With a `client_key` of your own a repeat returns the first note."""

    text = serializers.CharField(max_length=MAX_POST)
    client_key = serializers.CharField(max_length=64, required=False, allow_blank=True)


@_example({"role": "commander"}, "Take command")
class TakeRoleInput(InputSerializer):
    """Take a role, or give it to `user`."""

    role = serializers.CharField(max_length=40)
    user = _id(required=False, allow_null=True, help_text="default: yourself")


@_example({"role": "commander", "user": 6})
class HandOverInput(InputSerializer):
    """To whom the role goes."""

    role = serializers.CharField(max_length=40)
    user = _id()


@_example({"role": "commander"})
class ReleaseRoleInput(InputSerializer):
    """Which role is laid down."""

    role = serializers.CharField(max_length=40)


@_example({"severity": "P1", "reason": "only half of the users"})
class SeverityInput(InputSerializer):
    """The severity, of the incident's pack."""

    severity = serializers.CharField(max_length=20)
    reason = _reason()


@_example({"type": "data", "subtype": "Replication lag"})
class TypeInput(InputSerializer):
    """What kind of incident it is, of the types of its pack; an empty type takes it back."""

    type = serializers.CharField(max_length=40, allow_blank=True)
    subtype = serializers.CharField(max_length=120, required=False, allow_blank=True)


@_example({"milestone": "hotfix_ready", "reason": "the fix ships tomorrow"})
class ClockStopInput(InputSerializer):
    """A milestone of those that the pack lets one choose; an empty one is that of the severity again."""

    milestone = serializers.CharField(max_length=40, allow_blank=True)
    reason = _reason()


@_example({"phase": "mitigating"})
class PhaseInput(InputSerializer):
    """How far the work has come; `resolved` is reached by `resolve`."""

    phase = serializers.ChoiceField(choices=[c for c in Incident.Phase.choices if c[0] != Incident.Phase.RESOLVED])


@_example({"milestone": "mitigated", "at": "2025-11-10T14:42:00Z"})
class MilestoneInput(InputSerializer):
    """A milestone of the incident's pack, reached now or `at` an earlier instant."""

    milestone = serializers.CharField(max_length=40)
    at = serializers.DateTimeField(required=False, allow_null=True)


@_example({"role": "secondary", "reason": "needs a database person"})
class PageInInput(InputSerializer):
    """Exactly one of: a `user`; a `role` (of `team`, else of the incident's team); a `team`."""

    user = _id(required=False, allow_null=True)
    role = serializers.CharField(max_length=60, required=False, allow_blank=True)
    team = _id(required=False, allow_null=True)
    reason = _reason()


@_example({"summary": "Pool size raised; logins are back to normal."})
class ResolveInput(InputSerializer):
    """What ended it, if there is something to say."""

    summary = serializers.CharField(max_length=MAX_POST, required=False, allow_blank=True)


@_example({"reason": "the error is back"})
class ReopenInput(InputSerializer):
    """Why."""

    reason = _reason()


@_example({"visibility": "private", "reason": "security"})
class VisibilityInput(InputSerializer):
    """Who sees it."""

    visibility = serializers.ChoiceField(choices=Incident.Visibility.choices)
    reason = _reason()


@_example({"user": 6})
class AccessInput(InputSerializer):
    """Whom it concerns."""

    user = _id()


@_example({"condition": "revenue", "amount": 12000, "note": "an hour without payments"})
class ConditionInput(InputSerializer):
    """What holds. `amount` is for revenue, in whole units."""

    condition = serializers.ChoiceField(choices=CHOICES)
    amount = serializers.IntegerField(min_value=0, max_value=10**12, required=False, allow_null=True)
    note = _reason()


@_example({"condition": "security"})
class ClearConditionInput(InputSerializer):
    """What holds no longer."""

    condition = serializers.ChoiceField(choices=CHOICES)


@_example({"until": "2025-11-11T08:00:00Z", "reason": "the vendor works on it"})
class SnoozeInput(InputSerializer):
    """Until an instant, or until your next working hours; exactly one of the two."""

    until = serializers.DateTimeField(required=False, allow_null=True)
    working_hours = serializers.BooleanField(required=False)
    reason = _reason()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("until") is None) == (not attrs.get("working_hours")):
            raise serializers.ValidationError({"until": "Give `until`, or `working_hours: true`."})
        return attrs


@_example({"level": 3, "reason": "we need a decision"})
class EscalateInput(InputSerializer):
    """Without a level the next step is taken. With `step`, the escalation's as you saw it, a repeat changes nothing."""

    level = serializers.IntegerField(min_value=1, max_value=50, required=False, allow_null=True)
    step = serializers.IntegerField(min_value=0, max_value=2**31 - 1, required=False, allow_null=True)
    reason = _reason()


@_example({"reason": "I have to catch a train"})
class UnacknowledgeInput(InputSerializer):
    """Why."""

    reason = _reason()
