"""What the verbs take. Unknown fields are refused by name."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.people.api.serializers import InputSerializer
from apps.postmortems.operations.checking import MAX_LINK, MAX_REASON, MAX_SECTION, MAX_TEXT, MAX_TITLE

LARGEST_ID = 2**63 - 1


def _example(value: dict[str, Any], name: str = "Example") -> Any:
    return extend_schema_serializer(examples=[OpenApiExample(name, value=value)])


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST_ID, **options)


@_example({})
class NothingInput(InputSerializer):
    """No fields."""


@_example({"incident": 42})
class OpenInput(InputSerializer):
    """The resolved incident that is to be reviewed."""

    incident = _id()


@_example({"owner": 5, "reviewer": 8})
class PeopleInput(InputSerializer):
    """Who writes it and who is asked to review it; what is left out stays, null is nobody."""

    owner = _id(source="owner_id", required=False, allow_null=True)
    reviewer = _id(source="reviewer_id", required=False, allow_null=True)


@_example({"reason": "The root cause says who, not why."})
class WhyInput(InputSerializer):
    """Why."""

    reason = serializers.CharField(max_length=MAX_REASON)


@_example({"text": "The connection pool was empty for 29 minutes."})
class SectionInput(InputSerializer):
    """The whole text of the section, as Markdown."""

    text = serializers.CharField(max_length=MAX_SECTION, allow_blank=True)


class _ItemFields(InputSerializer):
    """What an action item says. It has an owner, a team, or both."""

    title = serializers.CharField(max_length=MAX_TITLE)
    owner = _id(source="owner_id", required=False, allow_null=True)
    team = _id(source="team_id", required=False, allow_null=True, help_text="its leads answer for it")
    priority = serializers.CharField(max_length=20, help_text="one of the pack's")
    due_at = serializers.DateTimeField(help_text="in the future")
    description = serializers.CharField(max_length=MAX_TEXT, required=False, allow_blank=True)
    link = serializers.CharField(max_length=MAX_LINK, required=False, allow_blank=True, help_text="http or https")


@_example(
    {"review": 4, "title": "Add connection pool alerts", "owner": 6, "priority": "P0", "due_at": "2027-11-13T17:00:00Z"}
)
class ItemInput(_ItemFields):
    """A new action item of a review."""

    review = _id()


@_example({"due_at": "2027-11-20T17:00:00Z"}, "Moved")
class ItemChangeInput(_ItemFields):
    """What changes; the rest stays."""


@_example({"outcome": "Alerts are live since release 2.4."})
class FinishInput(InputSerializer):
    """What was done."""

    outcome = serializers.CharField(max_length=MAX_TEXT)


@_example({"reason": "The pool is gone since the rewrite."})
class DropInput(InputSerializer):
    """Why it will not be done."""

    reason = serializers.CharField(max_length=MAX_TEXT)


@_example({"reason": "The alert never fired.", "due_at": "2027-12-01T17:00:00Z"})
class TakeUpInput(InputSerializer):
    """Why, and until when where the old due date has passed."""

    reason = serializers.CharField(max_length=MAX_REASON, required=False, allow_blank=True)
    due_at = serializers.DateTimeField(required=False, allow_null=True)
