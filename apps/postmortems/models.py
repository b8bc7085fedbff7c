"""Reviews of resolved incidents, their sections, and what was promised in them."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Review(models.Model):
    """The postmortem of one incident. Its figures and timeline are computed, and frozen once it is reviewed."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        IN_REVIEW = "in_review", "In review"
        REVIEWED = "reviewed", "Reviewed"
        CLOSED = "closed", "Closed"

    incident = models.OneToOneField("incidents.Incident", on_delete=models.PROTECT, related_name="review")
    policy_version = models.ForeignKey("policies.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    title = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    required_because = models.CharField(max_length=300, blank=True, help_text="the pack's rule; empty: voluntary")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="owned_reviews",
        help_text="who writes it",
    )  # fmt: skip
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="reviews_to_do",
        help_text="who is asked to review it; nobody reviews what they own",
    )  # fmt: skip
    opened_at = models.DateTimeField(default=now)
    due_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="never its reviewer",
    )  # fmt: skip
    reviewed_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    frozen = models.JSONField(null=True, blank=True, help_text="computed parts as they were when it was reviewed")
    run = models.PositiveIntegerField(default=1, help_text="raised when its reminders change")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["frozen", "run", "version"])

    class Meta:
        ordering: ClassVar = ["-opened_at", "-id"]
        permissions: ClassVar = [
            ("write_review", "Can open reviews, write their sections and submit them"),
            ("review_review", "Can review what others wrote, send it back and close it"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["reviewed", "closed"], reviewed_at__isnull=False)
                | (Q(state__in=["draft", "in_review"]) & Q(reviewed_at__isnull=True)),
                name="review_is_reviewed_iff_reviewed_at",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Section(models.Model):
    """A written part of a review, named by the pack. Computed parts have no row: they are read from the incident."""

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="sections")
    slug = models.SlugField(max_length=40)
    title = models.CharField(max_length=120)
    hint = models.TextField(blank=True)
    required = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField(default=0)
    text = models.TextField(blank=True, help_text="Markdown")
    edited_at = models.DateTimeField(null=True, blank=True)
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    version = models.PositiveIntegerField(default=1)

    history = TrackedHistory(excluded_fields=["version"])

    class Meta:
        ordering: ClassVar = ["review_id", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["review", "slug"], name="section_is_once_in_its_review"),
        ]

    def __str__(self) -> str:
        return self.title


class ActionItem(models.Model):
    """Something promised in a review, with an owner and a due date, followed until done."""

    class State(models.TextChoices):
        OPEN = "open", "To do"
        IN_PROGRESS = "in_progress", "In progress"
        DONE = "done", "Done"
        DROPPED = "dropped", "Dropped"

    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="items")
    title = models.CharField(max_length=300)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="action_items"
    )
    team = models.ForeignKey("catalog.Team", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    priority = models.CharField(max_length=20, help_text="one of the pack's severities or its own scale")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(default=now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.TextField(blank=True, help_text="what was done, or why it was dropped")
    link = models.URLField(max_length=500, blank=True, help_text="the ticket elsewhere")
    overdue_told_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True, help_text="when the owner's manager was told")
    run = models.PositiveIntegerField(default=1, help_text="raised when owner, due date or state change")
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["run", "version"])

    class Meta:
        ordering: ClassVar = ["due_at", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["done", "dropped"], finished_at__isnull=False)
                | (Q(state__in=["open", "in_progress"]) & Q(finished_at__isnull=True)),
                name="action_item_is_finished_iff_finished_at",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="action_item_open", condition=Q(state__in=["open", "in_progress"])),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_open(self) -> bool:
        return self.state in {self.State.OPEN, self.State.IN_PROGRESS}
