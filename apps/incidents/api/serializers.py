"""How the API shows incidents."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.incidents.loose_ends import loose_ends
from apps.incidents.metrics import times
from apps.incidents.models import Incident, Milestone, RoleAssignment, TimelineEntry
from apps.incidents.policy import lifecycle, roles

INCIDENT_EXAMPLE: dict[str, Any] = {
    "id": 42,
    "number": "INC-2025-11-10-001",
    "title": "Nobody can log in",
    "summary": "",
    "kind": "real",
    "severity": "P0",
    "type": "application",
    "subtype": "Deadlocks",
    "metric": "",
    "stop_milestone": "",
    "phase": "triage",
    "phase_label": "Triage",
    "visibility": "open",
    "team": {"id": 1, "name": "Accounts"},
    "services": [{"id": 7, "name": "Login"}],
    "environment": None,
    "policy": {"pack": "novacron-v2", "version": 1},
    "source": "alertmanager",
    "declared_by": None,
    "detected_at": "2025-11-10T14:23:00Z",
    "declared_at": "2025-11-10T14:23:01Z",
    "acknowledged_at": "2025-11-10T14:24:10Z",
    "resolve_proposed_at": None,
    "resolved_at": None,
    "reopened_count": 0,
    "version": 3,
}
_DETAILS: dict[str, Any] = {
    "roles": [
        {"role": "commander", "name": "Commander", "user": {"id": 5, "name": "Ana"}, "since": "2025-11-10T14:25:00Z"}
    ],
    "milestones": [{"name": "detected", "at": "2025-11-10T14:23:00Z", "cycle": 0}],
    "times": {
        "to_declare": 1.0,
        "to_acknowledge": 70.0,
        "to_triage": None,
        "to_mitigate": None,
        "to_resolve": None,
    },
}


class ThingSerializer(serializers.Serializer[Any]):
    """Something by its id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class PolicySerializer(serializers.Serializer[Any]):
    """The policy version that the incident was declared under."""

    pack = serializers.CharField(source="pack.slug")
    version = serializers.IntegerField(source="number")


class TimesSerializer(serializers.Serializer[Any]):
    """Seconds since `detected`, of the present cycle; null while not reached."""

    to_declare = serializers.FloatField(allow_null=True)
    to_acknowledge = serializers.FloatField(allow_null=True)
    to_triage = serializers.FloatField(allow_null=True)
    to_mitigate = serializers.FloatField(allow_null=True)
    to_resolve = serializers.FloatField(allow_null=True)


class RoleSerializer(serializers.ModelSerializer[RoleAssignment]):
    """Who holds a role now."""

    name = serializers.SerializerMethodField(help_text="as the pack calls the role")
    user = ThingSerializer()

    class Meta:
        model = RoleAssignment
        fields = ("role", "name", "user", "since")

    def get_name(self, assignment: RoleAssignment) -> str:
        found = roles(assignment.incident.policy_version_id).find(assignment.role)
        return found.name if found else assignment.role


class MilestoneSerializer(serializers.ModelSerializer[Milestone]):
    """An instant that metrics are computed from."""

    class Meta:
        model = Milestone
        fields = ("name", "at", "cycle")


@extend_schema_serializer(examples=[OpenApiExample("An outage", value=INCIDENT_EXAMPLE)])
class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """An incident in a list."""

    phase_label = serializers.SerializerMethodField(help_text="as the pack calls the phase")
    team = ThingSerializer(allow_null=True)
    services = ThingSerializer(many=True)
    environment = ThingSerializer(allow_null=True)
    policy = PolicySerializer(source="policy_version")
    declared_by = ThingSerializer(allow_null=True)

    class Meta:
        model = Incident
        fields: tuple[str, ...] = tuple(INCIDENT_EXAMPLE)
        read_only_fields: tuple[str, ...] = fields

    def get_phase_label(self, incident: Incident) -> str:
        return lifecycle(incident.policy_version_id).labels[incident.phase]


@extend_schema_serializer(examples=[OpenApiExample("An outage", value={**INCIDENT_EXAMPLE, **_DETAILS})])
class IncidentDetailSerializer(IncidentSerializer):
    """An incident with its roles, milestones and times. The ETag covers all of it."""

    roles = serializers.SerializerMethodField()
    milestones = serializers.SerializerMethodField()
    times = serializers.SerializerMethodField()

    class Meta(IncidentSerializer.Meta):
        fields = (*IncidentSerializer.Meta.fields, *_DETAILS)
        read_only_fields = fields

    @extend_schema_field(RoleSerializer(many=True))
    def get_roles(self, incident: Incident) -> Any:
        held = [row for row in incident.roles.all() if row.until is None]
        for row in held:
            row.incident = incident
        return RoleSerializer(held, many=True).data

    @extend_schema_field(MilestoneSerializer(many=True))
    def get_milestones(self, incident: Incident) -> Any:
        return MilestoneSerializer(incident.milestones.all(), many=True).data

    @extend_schema_field(TimesSerializer())
    def get_times(self, incident: Incident) -> Any:
        return TimesSerializer(times(incident.milestones.all(), incident.reopened_count)).data


class WhoToCallSerializer(serializers.Serializer[Any]):
    """Somebody to call, of the incident's pack. `people` are the names of those who answer for the role now."""

    name = serializers.CharField(source="contact.name")
    kind = serializers.ChoiceField(choices=["internal", "external"], source="contact.kind")
    role = serializers.CharField(source="contact.role", allow_null=True)
    people = serializers.ListField(child=serializers.CharField())
    phone = serializers.CharField(source="contact.phone", allow_null=True)
    email = serializers.CharField(source="contact.email", allow_null=True)
    chat = serializers.CharField(source="contact.chat", allow_null=True)
    backup = serializers.CharField(source="contact.backup", allow_null=True)
    schedule = serializers.CharField(source="contact.schedule", allow_null=True)
    note = serializers.CharField(source="contact.note", allow_null=True)


class LooseEndSerializer(serializers.Serializer[Any]):
    """Something about an incident that resolving it does not end."""

    kind = serializers.CharField(help_text="`flag`: a kill switch still off; `execution`: one that has not ended")
    id = serializers.IntegerField(help_text="of the flag or the execution")
    title = serializers.CharField()
    state = serializers.CharField(help_text="for people")


_LOOSE_ENDS = [{"kind": "flag", "id": 3, "title": "Checkout in Production", "state": "still killed"}]


@extend_schema_serializer(
    examples=[
        OpenApiExample("Ended", value={**INCIDENT_EXAMPLE, **_DETAILS, "loose_ends": _LOOSE_ENDS}),
    ]
)
class ResolvedIncidentSerializer(IncidentDetailSerializer):
    """The incident after `resolve`, with what the caller may see of what still goes on about it."""

    loose_ends = serializers.SerializerMethodField()

    class Meta(IncidentDetailSerializer.Meta):
        fields = (*IncidentDetailSerializer.Meta.fields, "loose_ends")
        read_only_fields = fields

    @extend_schema_field(LooseEndSerializer(many=True))
    def get_loose_ends(self, incident: Incident) -> Any:
        return LooseEndSerializer(loose_ends(incident, self.context["request"].user), many=True).data


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A page",
            value={
                "seq": 2,
                "kind": "paged",
                "text": "Paged Ana (level 1, primary)",
                "author": {"id": None, "name": "portal"},
                "at": "2025-11-10T14:23:01Z",
                "recorded_at": "2025-11-10T14:23:01Z",
                "data": {"track": "page", "level": 1, "user_ids": [5]},
            },
        )
    ]
)
class TimelineEntrySerializer(serializers.ModelSerializer[TimelineEntry]):
    """One line of a timeline; `seq` counts from 1 without gaps and is the id in the event stream."""

    author = serializers.SerializerMethodField()
    data = serializers.JSONField(  # type: ignore[assignment]  # a field of this name hides Serializer.data, which we don't use here
        help_text="facts of the line for programs; what it holds depends on `kind`"
    )

    class Meta:
        model = TimelineEntry
        fields = ("seq", "kind", "text", "author", "at", "recorded_at", "data")
        read_only_fields = fields

    @extend_schema_field(
        {
            "type": "object",
            "required": ["id", "name"],
            "properties": {"id": {"type": ["integer", "null"]}, "name": {"type": "string"}},
        }
    )
    def get_author(self, entry: TimelineEntry) -> dict[str, Any]:
        return {"id": entry.author_id, "name": entry.author_name}
