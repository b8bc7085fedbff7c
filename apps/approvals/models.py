"""Who asked for what exactly, and who allowed it."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class ApprovalRequest(models.Model):
    """One question to a second person. It holds for exactly the content whose hash it names, and only for a while."""

    class State(models.TextChoices):
        PENDING = "pending", "waits for a decision"
        APPROVED = "approved", "approved"
        REFUSED = "refused", "refused"
        EXPIRED = "expired", "expired"
        VOID = "void", "void: what was asked for has changed"
        WITHDRAWN = "withdrawn", "withdrawn"
        BYPASSED = "bypassed", "emergency bypass"

    class Kind(models.TextChoices):
        QUESTION = "question", "asked for"
        AHEAD = "ahead", "approved ahead of time"

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.QUESTION)
    answered_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="what was approved ahead of time and answered it",
    )  # fmt: skip
    subject_kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=64)
    title = models.CharField(max_length=300)
    content = models.JSONField(default=dict, help_text="what exactly: version, parameters, targets; without secrets")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the content in canonical JSON")
    reason = models.TextField(blank=True, help_text="why it is asked for")
    team = models.ForeignKey(
        "catalog.Team", on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="its leads may decide besides the approvers",
    )  # fmt: skip
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="approval_requests"
    )
    requested_by_name = models.CharField(max_length=120)
    requested_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_by_name = models.CharField(max_length=120, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True)
    run = models.PositiveIntegerField(default=1, help_text="raised by every decision; stale timers know by it")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-requested_at", "-id"]
        permissions: ClassVar = [
            ("decide_approvalrequest", "Can approve or refuse what others ask for"),
            ("bypass_approvalrequest", "Can go on without an approval in an emergency, audited"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_key"],
                condition=Q(state="pending"),
                name="approval_is_asked_for_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state="pending", decided_at__isnull=True)
                | (~Q(state="pending") & Q(decided_at__isnull=False)),
                name="approval_is_decided_iff_decided_at",
            ),
            # The last line of defence: whatever the code above does, nobody approves their own request.
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(requested_by__isnull=True) | ~Q(decided_by=F("requested_by")),
                name="approval_is_never_ones_own",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["subject_kind", "subject_key", "-id"], name="approval_by_subject"),
        ]

    def __str__(self) -> str:
        return self.title
