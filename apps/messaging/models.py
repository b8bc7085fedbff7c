"""The send queue: one row for each message to one address over one channel."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class WebhookEndpoint(models.Model):
    """A program that wants to hear of events: signed POSTs, retried, replayable."""

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        PAUSED = "paused", "paused"

    name = models.CharField(max_length=120)
    url = models.URLField(max_length=500)
    secret_encrypted = models.TextField(editable=False)
    event_kinds = models.JSONField(
        default=list, blank=True, help_text='kinds such as "incidents.declared" or "incidents.*"; empty: all kinds'
    )
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="webhook_endpoints",
        help_text="events are sent only of what this account may see",
    )
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["secret_encrypted"])

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def wants(self, kind: str) -> bool:
        """Whether it subscribed to events of this kind."""
        wanted: list[str] = self.event_kinds
        return not wanted or any(
            kind.startswith(pattern[:-1]) if pattern.endswith(".*") else kind == pattern for pattern in wanted
        )


class Connection(models.Model):
    """The portal's account at a provider. The first active one of a kind is used where a message names none.

    `callback_key` is part of the address at which the provider calls back; what arrives there is believed only
    with the right signature. `account`: Twilio's account SID, Discord's application id; `sender`: the phone number or
    messaging service that text messages come from.
    """

    class Kind(models.TextChoices):
        SLACK = "slack", "Slack"
        PAGERDUTY = "pagerduty", "PagerDuty"
        DISCORD = "discord", "Discord"
        SMS = "sms", "Twilio (text messages)"
        PUSH = "push", "web push (made by the portal)"

    class State(models.TextChoices):
        ACTIVE = "active", "active"
        PAUSED = "paused", "paused"

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=Kind)
    base_url = models.URLField(
        "base address", max_length=300, blank=True, help_text="empty: the provider's own; a proxy or a stand-in else"
    )
    account = models.CharField(max_length=80, blank=True)
    sender = models.CharField(max_length=80, blank=True)
    token_encrypted = models.TextField(blank=True, editable=False)
    signing_encrypted = models.TextField(blank=True, editable=False)
    callback_key = models.CharField(max_length=40, unique=True, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    broken_at = models.DateTimeField("refused since", null=True, blank=True)
    broken_detail = models.CharField("why", max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["token_encrypted", "signing_encrypted", "callback_key"])

    class Meta:
        ordering: ClassVar = ["kind", "id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_kind_display()})"


class Destination(models.Model):
    """A place that a whole team reads or is called by, under the name that policy packs give it.

    Where its target is a secret (an integration key, a webhook's address), `target_encrypted` holds it and `target`
    is what may be shown of it.
    """

    class Kind(models.TextChoices):
        SLACK = "slack", "Slack channel"
        PAGERDUTY = "pagerduty", "PagerDuty service"
        DISCORD = "discord", "Discord channel"
        EMAIL = "email", "mailing list"
        APPRISE = "apprise", "another service (Apprise)"

    kind = models.CharField(max_length=20, choices=Kind)
    name = models.CharField(max_length=120, help_text="as in the pack, for example #alerts-economy")
    target = models.CharField(max_length=500)
    target_encrypted = models.TextField(blank=True, editable=False)
    connection = models.ForeignKey(
        Connection, on_delete=models.SET_NULL, null=True, blank=True, related_name="destinations"
    )
    broken_at = models.DateTimeField("refused since", null=True, blank=True)
    broken_detail = models.CharField("why", max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)

    history = TrackedHistory(excluded_fields=["target_encrypted"])

    class Meta:
        ordering: ClassVar = ["kind", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "name"], name="destination_name_is_given_once_per_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name}"


class Message(models.Model):
    """One message to one address. Hot table: no history; its own columns tell its story.

    `guard_*` names a run that must still be current at the last look before sending, or the message is
    void. `last_look_at` is that look of the running or last attempt. `maybe_sent_at` is set, before a repeat,
    when an earlier attempt ended without a certain outcome. `planned_at` is when it fell due first, and stays when
    `due_at` moves with the attempts; `fallback_at` is when its person's other ways were called upon;
    `delivered_at` is when the provider said that it reached the device, `undelivered` what it said when it could not
    deliver what the running attempt gave it, before that attempt's own outcome was written down.
    """

    class Channel(models.TextChoices):
        INBOX = "inbox", "in-app inbox"
        EMAIL = "email", "email"
        WEBHOOK = "webhook", "webhook"
        SLACK = "slack", "Slack"
        PAGERDUTY = "pagerduty", "PagerDuty"
        DISCORD = "discord", "Discord"
        SMS = "sms", "text message"
        PUSH = "push", "push to a browser"
        APPRISE = "apprise", "another service (Apprise)"

    class State(models.TextChoices):
        QUEUED = "queued", "queued"
        SENDING = "sending", "sending"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"
        VOID = "void", "void"

    dedupe_key = models.CharField(max_length=200, unique=True)
    channel = models.CharField(max_length=20, choices=Channel)
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="messages"
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="messages"
    )
    destination = models.ForeignKey(
        Destination, on_delete=models.SET_NULL, null=True, blank=True, related_name="messages"
    )
    contact_point = models.ForeignKey(
        "people.ContactPoint", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    address = models.CharField(max_length=500, blank=True)
    lane = models.CharField(
        max_length=300, blank=True, help_text="messages of one lane share a provider, and wait for each other only"
    )
    subject_kind = models.CharField(max_length=40, blank=True)
    subject_key = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=300)
    body = models.TextField(blank=True)
    payload = models.JSONField(default=dict, help_text="links, buttons, or the body of a webhook")
    replay_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replays")
    priority = models.PositiveSmallIntegerField(default=5, help_text="0 goes first")
    guard_kind = models.CharField(max_length=40, blank=True)
    guard_key = models.CharField(max_length=64, blank=True)
    guard_run = models.PositiveIntegerField(null=True, blank=True)

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=now)
    planned_at = models.DateTimeField(default=now, null=True, blank=True)
    fallback_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=36, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    last_look_at = models.DateTimeField(null=True, blank=True)
    maybe_sent_at = models.DateTimeField(null=True, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)
    last_error = models.TextField(blank=True)
    undelivered = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=now)
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [("replay_message", "Can send a message once more")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False) | (~Q(state="sent") & Q(sent_at__isnull=True)),
                name="message_sent_iff_sent_at",
            ),
            models.CheckConstraint(
                condition=~Q(state="sending") | Q(lease_until__isnull=False), name="message_sending_has_a_lease"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["priority", "due_at", "id"], name="message_due", condition=Q(state="queued")),
            models.Index(fields=["lease_until"], name="message_leased", condition=Q(state="sending")),
            models.Index(
                fields=["planned_at"],
                name="message_late",
                condition=Q(state__in=["queued", "sending"], recipient__isnull=False, fallback_at__isnull=True),
            ),
            models.Index(fields=["recipient", "channel", "-id"], name="message_inbox"),
            models.Index(fields=["subject_kind", "subject_key", "-id"], name="message_by_subject"),
            models.Index(
                fields=["channel", "provider_id"],
                name="message_by_provider_id",
                condition=Q(channel__in=["pagerduty", "sms"]) & ~Q(provider_id=""),
            ),
            models.Index(fields=["endpoint", "-id"], name="message_by_endpoint", condition=Q(endpoint__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.title}"


class Attempt(models.Model):
    """One try of sending one message, with what the provider said. Append-only."""

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        RETRY = "retry", "to be tried again"
        REFUSED = "refused", "refused for good"
        VOID = "void", "void at the last look"
        UNKNOWN = "unknown", "maybe sent"

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attempt_log")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    detail = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["message_id", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "number"], name="attempt_number_is_unique_per_message"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of message {self.message_id}"
