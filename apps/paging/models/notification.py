"""How a person wants to be notified, and what makes one message of many pages."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory
from apps.paging.models.escalation import Page


class NotificationPreference(models.Model):
    """The rules of one person; without a row, or with an empty list, the default rules hold.

    `high` and `low` are lists of `{"after_minutes", "contact_point"}` or `{"after_minutes", "channel"}`, `quiet` of
    `{"days", "from", "to"}` on the person's own clocks; `apps.paging.rules.document` knows their shape. A contact
    point that is removed leaves its rule behind, which then reaches nothing: the linter says so.
    """

    class WhenQuiet(models.TextChoices):
        WAIT = "wait", "waits until they end"
        INBOX = "inbox", "goes to the inbox only"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notification_preference"
    )
    high = models.JSONField(default=list, blank=True)
    low = models.JSONField(default=list, blank=True)
    quiet = models.JSONField(default=list, blank=True)
    when_quiet = models.CharField(max_length=10, choices=WhenQuiet, default=WhenQuiet.WAIT)
    bundle_seconds = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="how long further pages are gathered; empty: PAGE_BUNDLE_SECONDS"
    )
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField(default=now)

    history = TrackedHistory()

    class Meta:
        verbose_name = "notification rules"
        verbose_name_plural = "notification rules"
        ordering: ClassVar = ["user_id"]

    def __str__(self) -> str:
        return f"notification rules of {self.user}"


class PageWindow(models.Model):
    """The bundle window of one person: what comes before `until` is gathered. Locked before that person is paged.

    `rank` is the worst that was told in it (low numbers are worse); `told` are the subjects whose pages went at
    once in it; `gathered` says that a message will be sent at `until`, which opens the next window. Hot row.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField(null=True, blank=True)
    rank = models.PositiveSmallIntegerField(null=True, blank=True)
    gathered_rank = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="the worst of what is sent when it ends; empty: nothing is"
    )
    told = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"bundle window of {self.user_id}"


class PageBundle(models.Model):
    """Pages of one person and one urgency that are told in one message for each address. Append-only.

    Its text is written when it is sent, of what is open then; with nothing open left it is void.
    """

    class Reason(models.TextChoices):
        STORM = "storm", "several within the bundle window"
        QUIET = "quiet", "held until quiet hours end"
        LIMIT = "limit", "over the limit of a channel"

    class Urgency(models.TextChoices):
        HIGH = "high", "high"
        LOW = "low", "low"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="page_bundles")
    urgency = models.CharField(max_length=4, choices=Urgency)
    reason = models.CharField(max_length=5, choices=Reason)
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(default=now)
    pages: models.ManyToManyField[Page, BundledPage] = models.ManyToManyField(
        Page, through="paging.BundledPage", related_name="bundles"
    )

    class Meta:
        ordering: ClassVar = ["-due_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "urgency", "reason", "due_at"], name="person_is_told_once_per_urgency_and_instant"
            ),
        ]

    def __str__(self) -> str:
        return f"pages of {self.user} that were {self.get_reason_display()}"


class BundledPage(models.Model):
    """One page in a bundle."""

    bundle = models.ForeignKey(PageBundle, on_delete=models.CASCADE, related_name="items")
    page = models.ForeignKey(Page, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["bundle", "page"], name="page_is_once_in_a_bundle"),
        ]

    def __str__(self) -> str:
        return f"page {self.page_id} in bundle {self.bundle_id}"


class PageTest(models.Model):
    """Somebody asked to be paged as a test. No incident, no escalation."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="page_tests")
    asked_by = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=now)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["user", "-created_at"], name="page_test_by_user")]

    def __str__(self) -> str:
        return f"test page to {self.user}"


class PageTestCall(models.Model):
    """One address of a test page. The message knows when it was taken; the tap on its link says that it arrived."""

    test = models.ForeignKey(PageTest, on_delete=models.CASCADE, related_name="calls")
    contact_point = models.ForeignKey(
        "people.ContactPoint", on_delete=models.CASCADE, related_name="page_tests", null=True, blank=True
    )
    channel = models.CharField(max_length=20)
    address = models.CharField(max_length=500, blank=True)
    after_minutes = models.PositiveSmallIntegerField(default=0, help_text="when the rules would call it")
    message_key = models.CharField(max_length=200, unique=True, help_text="the message's dedupe key")
    queued_at = models.DateTimeField(default=now)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["test_id", "after_minutes", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(confirmed_at__isnull=True) | Q(confirmed_at__gte=F("queued_at")),
                name="page_test_is_confirmed_after_it_was_queued",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} of test {self.test_id}"
