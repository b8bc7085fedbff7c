"""What the API says about messages and endpoints, and what it takes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from apps.foundation.subjects import Subject, subject_title, subject_url
from apps.messaging import connections, endpoints, operations
from apps.messaging.models import Attempt, Connection, Destination, Message, WebhookEndpoint
from apps.messaging.queries import may_read_text
from apps.people.api.serializers import InputSerializer

LARGEST_ID = 2**63 - 1


def row_ids(most: int) -> serializers.ListField:
    """Ids of rows, at least one."""
    one = serializers.IntegerField(min_value=1, max_value=LARGEST_ID)
    return serializers.ListField(child=one, min_length=1, max_length=most)


class SubjectSerializer(serializers.Serializer[Any]):
    """What a message is about."""

    kind = serializers.CharField(help_text='for example "incident"; empty: nothing in particular')
    key = serializers.CharField()
    title = serializers.CharField()
    url = serializers.CharField(help_text="its page, from the portal's root")


def _about(message: Message) -> dict[str, str]:
    subject = Subject(message.subject_kind, message.subject_key)
    if not subject.kind:
        return {"kind": "", "key": "", "title": "", "url": ""}
    return {
        "kind": subject.kind,
        "key": subject.key,
        "title": subject_title(subject),
        "url": subject_url(subject),
    }


class InboxSerializer(serializers.ModelSerializer[Message]):
    """An in-app message of the caller."""

    subject_kind = serializers.CharField(read_only=True, help_text="what it is about, for example `incident`")
    subject_key = serializers.CharField(read_only=True)
    url = serializers.SerializerMethodField(help_text="where to go; may be empty")

    class Meta:
        model = Message
        fields = ("id", "title", "body", "url", "subject_kind", "subject_key", "created_at", "read_at")
        read_only_fields = fields

    def get_url(self, message: Message) -> str:
        return str(message.payload.get("url", ""))


class UnreadSerializer(serializers.Serializer[Any]):
    """How many in-app messages are unread, or were."""

    unread = serializers.IntegerField()


class MessageSerializer(serializers.ModelSerializer[Message]):
    """A message on its way. Its address and text are told to its recipient, or its endpoint's owner, only."""

    recipient = serializers.IntegerField(source="recipient_id", read_only=True, allow_null=True)
    endpoint = serializers.IntegerField(source="endpoint_id", read_only=True, allow_null=True)
    destination = serializers.IntegerField(source="destination_id", read_only=True, allow_null=True)
    replay_of = serializers.IntegerField(source="replay_of_id", read_only=True, allow_null=True)
    address = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields: tuple[str, ...] = (
            "id",
            "channel",
            "state",
            "title",
            "recipient",
            "endpoint",
            "destination",
            "address",
            "subject_kind",
            "subject_key",
            "priority",
            "attempts",
            "created_at",
            "due_at",
            "last_look_at",
            "maybe_sent_at",
            "sent_at",
            "delivered_at",
            "fallback_at",
            "provider_id",
            "last_error",
            "replay_of",
        )
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"]})
    def get_address(self, message: Message) -> str | None:
        return message.address if self._reads(message) else None

    def _reads(self, message: Message) -> bool:
        return may_read_text(self.context["request"].user, message)


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One try."""

    class Meta:
        model = Attempt
        fields = ("number", "started_at", "finished_at", "outcome", "detail")
        read_only_fields = fields


class MessageDetailSerializer(MessageSerializer):
    """The same with its text, its attempts and what it is about."""

    body = serializers.SerializerMethodField()
    payload = serializers.SerializerMethodField()
    subject = serializers.SerializerMethodField()
    attempt_log = AttemptSerializer(many=True, read_only=True)

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "subject", "body", "payload", "attempt_log")
        read_only_fields = fields

    @extend_schema_field({"type": ["string", "null"]})
    def get_body(self, message: Message) -> str | None:
        return message.body if self._reads(message) else None

    @extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
    def get_payload(self, message: Message) -> dict[str, Any] | None:
        return message.payload if self._reads(message) else None

    @extend_schema_field(SubjectSerializer)
    def get_subject(self, message: Message) -> dict[str, str]:
        return _about(message)


class EndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """An address that hears of events, without its signing secret."""

    owner = serializers.IntegerField(source="owner_id", read_only=True)
    event_kinds = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = WebhookEndpoint
        fields: tuple[str, ...] = ("id", "name", "url", "event_kinds", "state", "owner", "created_at")
        read_only_fields = fields


class NewEndpointSerializer(EndpointSerializer):
    """An endpoint whose secret was just made: the one time that it is shown."""

    secret = serializers.SerializerMethodField(help_text="signs every request; keep it now")

    class Meta(EndpointSerializer.Meta):
        fields = (*EndpointSerializer.Meta.fields, "secret")
        read_only_fields = fields

    def get_secret(self, endpoint: WebhookEndpoint) -> str:
        return str(self.context["secret"])


@extend_schema_serializer(examples=[OpenApiExample("Two", value={"message_ids": [17, 18]})])
class ReadInput(InputSerializer):
    """Which messages were read."""

    message_ids = row_ids(operations.MOST_AT_ONCE)


@extend_schema_serializer(examples=[OpenApiExample("All that was shown", value={"up_to": 18})])
class ReadAllInput(InputSerializer):
    """Up to which message; without it, all."""

    up_to = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Incidents",
            value={"name": "status board", "url": "https://example.com/hook", "event_kinds": ["incidents.*"]},
        )
    ]
)
class EndpointInput(InputSerializer):
    """A new endpoint."""

    name = serializers.CharField(max_length=120)
    url = serializers.CharField(max_length=500)
    event_kinds = serializers.ListField(
        child=serializers.CharField(max_length=80),
        required=False,
        max_length=endpoints.MOST_KINDS,
        help_text='kinds such as "incidents.declared" or "incidents.*"; none: all',
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Pause", value={"state": "paused"}), OpenApiExample("Rename", value={"name": "board"})]
)
class EndpointChangeInput(InputSerializer):
    """What changes."""

    name = serializers.CharField(max_length=120, required=False)
    url = serializers.CharField(max_length=500, required=False)
    event_kinds = serializers.ListField(
        child=serializers.CharField(max_length=80), required=False, max_length=endpoints.MOST_KINDS
    )
    state = serializers.ChoiceField(choices=WebhookEndpoint.State.choices, required=False)


@extend_schema_serializer(examples=[OpenApiExample("Two", value={"message_ids": [17, 18]})])
class ReplayInput(InputSerializer):
    """Which messages of the endpoint go once more."""

    message_ids = row_ids(endpoints.MOST_REPLAYS)


@extend_schema_serializer(many=False)
class PushKeySerializer(serializers.Serializer[Any]):
    """What a browser subscribes with."""

    public_key = serializers.CharField(help_text="uncompressed P-256 point, base64url")


class ConnectionSerializer(serializers.ModelSerializer[Connection]):
    """An account of the portal's at a provider, without its secrets."""

    callback_url = serializers.SerializerMethodField(help_text="where the provider calls back; empty: it never does")

    class Meta:
        model = Connection
        fields = (
            "id",
            "name",
            "kind",
            "base_url",
            "account",
            "sender",
            "callback_url",
            "state",
            "broken_at",
            "broken_detail",
            "created_at",
        )
        read_only_fields = fields

    def get_callback_url(self, connection: Connection) -> str:
        return connections.callback_address(connection)


class ConnectionFields(InputSerializer):
    """What may be given of a connection."""

    base_url = serializers.CharField(max_length=300, required=False, allow_blank=True)
    account = serializers.CharField(max_length=80, required=False, allow_blank=True)
    sender = serializers.CharField(max_length=80, required=False, allow_blank=True)
    token = serializers.CharField(max_length=500, required=False, allow_blank=True, write_only=True)
    signing_secret = serializers.CharField(max_length=2000, required=False, allow_blank=True, write_only=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Slack", value={"name": "Slack", "kind": "slack", "token": "xoxb-1", "signing_secret": "8f742231b10e"}
        )
    ]
)
class ConnectionInput(ConnectionFields):
    """A new connection."""

    name = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(choices=sorted(connections.NEEDED))


@extend_schema_serializer(examples=[OpenApiExample("Pause", value={"state": "paused"})])
class ConnectionChangeInput(ConnectionFields):
    """What changes; empty secrets stay as they are."""

    name = serializers.CharField(max_length=120, required=False)
    state = serializers.ChoiceField(choices=Connection.State.choices, required=False)


@extend_schema_serializer(examples=[OpenApiExample("A channel", value={"address": "#incidents"})])
class TestInput(InputSerializer):
    """Where the test goes."""

    address = serializers.CharField(max_length=500)


class DestinationSerializer(serializers.ModelSerializer[Destination]):
    """A place of a team; of a target that is a secret, what may be shown."""

    connection = serializers.IntegerField(source="connection_id", read_only=True, allow_null=True)

    class Meta:
        model = Destination
        fields = ("id", "kind", "name", "target", "connection", "broken_at", "broken_detail", "created_at")
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("A channel", value={"kind": "slack", "name": "#alerts", "target": "#alerts"})]
)
class DestinationInput(InputSerializer):
    """A new destination."""

    kind = serializers.ChoiceField(choices=Destination.Kind.choices)
    name = serializers.CharField(max_length=120)
    target = serializers.CharField(max_length=2000)
    connection_id = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)


@extend_schema_serializer(examples=[OpenApiExample("Rename", value={"name": "#alerts-economy"})])
class DestinationChangeInput(InputSerializer):
    """What changes."""

    name = serializers.CharField(max_length=120, required=False)
    target = serializers.CharField(max_length=2000, required=False)
