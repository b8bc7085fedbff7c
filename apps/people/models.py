"""Accounts, how to reach them, and the tokens of programs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class User(AbstractUser):
    """A person, a program's service account, or the portal itself."""

    class Kind(models.TextChoices):
        PERSON = "person", "person"
        SERVICE = "service", "service account"
        PORTAL = "portal", "the portal itself"

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PERSON)
    display_name = models.CharField(max_length=120, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC", help_text="IANA name, for example Europe/Berlin")
    owner = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="service_accounts",
        help_text="the person who answers for a service account and makes its tokens",
    )
    manager = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="reports",
        limit_choices_to={"kind": "person"},
        help_text="who hears of it when an action item of this person stays overdue",
    )

    closed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="since when it is not active")

    history = TrackedHistory(excluded_fields=["password", "last_login"], m2m_fields=["groups"])

    class Meta(AbstractUser.Meta):
        permissions: ClassVar = [
            ("manage_service_accounts", "Can create service accounts and make tokens for those they own"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(manager__isnull=True) | ~Q(manager=models.F("pk")),
                name="nobody_is_their_own_manager",
                violation_error_message="Nobody is their own manager.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **options: Any) -> None:
        """Keep since when an account is closed, whoever closes it: covers of its person count until then."""
        closed_at = None if self.is_active else self.closed_at or now()
        fields = options.get("update_fields")
        if closed_at != self.closed_at:
            self.closed_at = closed_at
            if fields is not None and "is_active" in fields:
                options["update_fields"] = {*fields, "closed_at"}
        super().save(*args, **options)

    @property
    def name(self) -> str:
        """How the portal calls this account everywhere."""
        return self.display_name or self.get_full_name() or self.username


class ContactPoint(models.Model):
    """An address at which a person can be paged, in the order of `position`.

    Where the address is itself a secret, `secret_encrypted` holds it and `address` is what may be shown of it.
    `external_id` is who the person is at the provider, proved by a press there. `confirmed_at` is when the person
    last showed that it reaches them; `reminded_at` is set while an answer to a reminder is awaited. `broken_at` is
    since when the provider refuses it for good.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", "email"
        WEBHOOK = "webhook", "webhook"
        SLACK = "slack", "Slack"
        PAGERDUTY = "pagerduty", "PagerDuty"
        DISCORD = "discord", "Discord"
        SMS = "sms", "text message"
        PUSH = "push", "push to a browser"
        APPRISE = "apprise", "another service (Apprise)"

    class State(models.TextChoices):
        UNVERIFIED = "unverified", "not verified"
        VERIFIED = "verified", "verified"
        DISABLED = "disabled", "disabled"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="contact_points")
    kind = models.CharField(max_length=20, choices=Kind)
    address = models.CharField(max_length=500)
    label = models.CharField(max_length=80, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=12, choices=State, default=State.UNVERIFIED)
    verified_at = models.DateTimeField("verified on", null=True, blank=True)
    secret_encrypted = models.TextField(blank=True, editable=False)
    external_id = models.CharField("account there", max_length=80, blank=True)
    confirmed_at = models.DateTimeField("acknowledged on", null=True, blank=True)
    reminded_at = models.DateTimeField(null=True, blank=True)
    broken_at = models.DateTimeField("refused since", null=True, blank=True)
    broken_detail = models.CharField("why", max_length=300, blank=True)

    history = TrackedHistory(excluded_fields=["secret_encrypted"])

    class Meta:
        ordering: ClassVar = ["user_id", "position", "id"]
        indexes: ClassVar = [
            models.Index(
                fields=["confirmed_at"],
                name="contact_to_be_reminded",
                condition=Q(state="verified", reminded_at__isnull=True),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "kind", "address"], name="contact_address_is_given_once_per_user"),
            models.CheckConstraint(
                condition=~Q(state="verified") | Q(verified_at__isnull=False),
                name="contact_verified_needs_verified_at",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.address}"


class ApiToken(models.Model):
    """A bearer token of an account. Only its digest is kept; the text is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=12, help_text="the first characters, to recognise it by")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory(excluded_fields=["digest", "last_used_at"])

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotencyRecord(models.Model):
    """The answer that a POST with an `Idempotency-Key` got, so that its repeat gets the same one."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    route = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer_encrypted = models.TextField(blank=True, help_text="it may hold a token's text")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key", "route"], name="idempotency_key_is_used_once_per_route"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_by_age")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"
