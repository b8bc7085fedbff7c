"""What the verbs on entities take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from apps.people.api.serializers import InputSerializer
from apps.state.entities.comparing import OPS
from apps.state.entities.models import LONGEST_ID
from apps.state.entities.operations.authoring import LONGEST_PAUSE_SECONDS
from apps.state.entities.operations.restoring import MOST_RESTORED
from apps.state.operations.recording import NOTE_LENGTH

_LARGEST_ID = 2**63 - 1
_SLUG = r"^[-a-zA-Z0-9_]+\Z"


def _example(value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample("Example", value=value)])


def _id(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=_LARGEST_ID, **options)


def _reason(**options: Any) -> serializers.CharField:
    return serializers.CharField(max_length=NOTE_LENGTH, **options)


@_example({"keep_count": 28, "reason": "four weeks"})
class EntitySourceFieldsInput(InputSerializer):
    """What may change about a source; what is not named stays."""

    slug = serializers.RegexField(_SLUG, max_length=60, required=False)
    name = serializers.CharField(max_length=120, required=False)
    kind = serializers.RegexField(_SLUG, max_length=40, required=False, help_text="player, account, village")
    description = serializers.CharField(max_length=10_000, required=False, allow_blank=True)
    service = _id(source="service_id", required=False)
    environment = _id(source="environment_id", required=False, allow_null=True)
    base_url = serializers.CharField(max_length=500, required=False, help_text="its pages are at <address>/entities")
    snapshot_every_seconds = serializers.IntegerField(
        min_value=0, max_value=LONGEST_PAUSE_SECONDS, required=False, help_text="0, or at least 60"
    )
    keep_count = serializers.IntegerField(min_value=1, max_value=1000, required=False)
    keep_days = serializers.IntegerField(min_value=0, max_value=3650, required=False, help_text="0: no limit")
    reason = _reason(required=False, allow_blank=True)


@_example(
    {"slug": "players", "name": "Players", "kind": "player", "service": 3, "base_url": "https://game.example.com/p"}
)
class EntitySourceInput(EntitySourceFieldsInput):
    """A new source."""

    slug = serializers.RegexField(_SLUG, max_length=60)
    name = serializers.CharField(max_length=120)
    kind = serializers.RegexField(_SLUG, max_length=40)
    service = _id(source="service_id")
    base_url = serializers.CharField(max_length=500)
    reason = None  # type: ignore[assignment]  # how DRF takes an inherited field away


@_example({"reason": "before deployment 7"})
class TakeSnapshotInput(InputSerializer):
    """Why a snapshot is taken."""

    reason = _reason(required=False, allow_blank=True)


@_example({"reason": "the game is too busy"})
class StopSnapshotInput(InputSerializer):
    """Why a snapshot is stopped."""

    reason = _reason(required=False, allow_blank=True)


@_example({"pinned": True, "reason": "before the exploit"})
class PinSnapshotInput(InputSerializer):
    """Whether retention leaves it alone."""

    pinned = serializers.BooleanField()
    reason = _reason(required=False, allow_blank=True)


@_example({"before": 12, "after": 13})
class CompareSnapshotsInput(InputSerializer):
    """Two snapshots of one source."""

    before = _id(help_text="a snapshot's id")
    after = _id(help_text="a snapshot's id")


class EntityFilterInput(InputSerializer):
    """Which entities of a diff: all that is given must hold."""

    op = serializers.ChoiceField(choices=OPS, required=False)
    path = serializers.CharField(max_length=200, required=False, help_text="`inventory[*].count`; * is anything")
    id = serializers.CharField(max_length=LONGEST_ID, required=False, help_text="an id; * is anything")
    delta = serializers.FloatField(min_value=0, required=False, help_text="a number there moved by more than this")


@_example({"snapshot": 12, "ids": ["p-17", "p-20"], "reason": "duped gold"})
class PlanRestoreInput(InputSerializer):
    """What goes back: ids of a snapshot, or what a filter finds in a diff, or what another restore replaced."""

    snapshot = _id(required=False, help_text="a snapshot's id, with `ids`")
    ids = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_ID), max_length=MOST_RESTORED, required=False
    )
    diff = _id(required=False, help_text="a diff's id, with `filter`: back to its first snapshot")
    filter = EntityFilterInput(required=False)
    undoes = _id(required=False, help_text="a restore's id")
    reason = _reason(required=False, allow_blank=True)


@_example({"expected_checksum": "9f2c" + "0" * 60, "reason": "duped gold"})
class ConfirmRestoreInput(InputSerializer):
    """Which dry run was looked at, and why it is carried out."""

    expected_checksum = serializers.RegexField(r"^[0-9a-f]{64}\Z", help_text="the restore's `checksum`")
    reason = _reason()


class EntityNothingInput(InputSerializer):
    """Nothing."""
