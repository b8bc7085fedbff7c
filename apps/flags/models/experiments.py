"""Experiments: who gets which variant since when, who has seen it, and what guards against harm."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.flags.models.flags import Flag
from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory


class Experiment(models.Model):
    """A comparison of a flag's variants. While it runs it takes the place of what the flag serves by default."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        RUNNING = "running", "running"
        ENDED = "ended", "ended"

    key = models.CharField(max_length=100, unique=True, help_text="for example abx-storm-reward")
    flag = models.ForeignKey(Flag, on_delete=models.PROTECT, related_name="experiments")
    name = models.CharField(max_length=120)
    hypothesis = models.TextField(blank=True, help_text="what it is to find out")
    fallback = models.CharField(max_length=100, help_text="the variant that the others are compared with, and fall to")
    percents = models.JSONField(help_text="each variant with its share in percent; together 100")
    traffic = models.FloatField(default=100, help_text="percent of all who take part")
    salt = models.CharField(max_length=100, help_text="experiments with the same salt place people alike")
    auto_kill = models.BooleanField(default=False, help_text="a breached guardrail kills the variant by itself")
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=now)
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory(excluded_fields=["version"])

    class Meta:
        ordering: ClassVar = ["-id"]
        permissions: ClassVar = [("record_exposure", "Can record exposures and samples of guardrails")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(key=""), name="experiment_has_a_key"),
            models.UniqueConstraint(
                fields=["flag"], condition=Q(state="running"), name="one_experiment_of_a_flag_runs_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state="draft", started_at__isnull=True, ended_at__isnull=True)
                | Q(state="running", started_at__isnull=False, ended_at__isnull=True)
                | Q(state="ended", ended_at__isnull=False),
                name="experiment_has_the_instants_of_its_state",
            ),
        ]

    def __str__(self) -> str:
        return self.key


class AllocationEpoch(models.Model):
    """Which slots which variant has from here on, for newcomers; `moves` where the enrolled of a killed one go.

    Written once. The variant "" in `moves` means that they are placed like newcomers.
    """

    class Cause(models.TextChoices):
        START = "start", "started"
        KILL = "kill", "a variant was killed"
        SHARES = "shares", "other shares"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="epochs")
    number = models.PositiveSmallIntegerField()
    ranges = models.JSONField(help_text="each variant with its slots, as half-open intervals of 0 to 10,000")
    moves = models.JSONField(default=dict)
    cause = models.CharField(max_length=6, choices=Cause)
    reason = models.CharField(max_length=300, blank=True)
    about_kind = models.CharField(
        max_length=40, blank=True, help_text="why a variant was killed: the kind of a subject"
    )
    about_key = models.CharField(max_length=64, blank=True, help_text="and its key, for example an incident's id")
    created_at = models.DateTimeField(default=now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar = ["experiment_id", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "number"], name="epoch_number_is_unique_in_its_experiment")
        ]

    def __str__(self) -> str:
        return f"{self.experiment} epoch {self.number}"


class HeldUnits(models.Model):
    """The enrolled who are with `variant` though the epoch gives their slot another: worked out from the ledger."""

    epoch = models.ForeignKey(AllocationEpoch, on_delete=models.CASCADE, related_name="held")
    variant = models.CharField(max_length=100)
    packed = models.BinaryField(help_text="their numbers in ascending order, eight bytes each, little end first")
    unit_count = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["epoch", "variant"], name="held_once_per_variant")]

    def __str__(self) -> str:
        return f"{self.unit_count} held with {self.variant}"


class Exposure(models.Model):
    """The first time that somebody saw their variant. They are a number; nothing here names them. Append-only."""

    id = models.BigAutoField(primary_key=True)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="exposures", db_index=False)
    unit = models.BigIntegerField(help_text="the first 63 bits of SHA-256 over <salt>/<targetingKey>")
    variant = models.CharField(max_length=100)
    epoch = models.PositiveSmallIntegerField(help_text="the epoch that gave it to them; 0 where none did")
    seen_at = models.DateTimeField(default=now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "unit"], name="exposure_counts_once_per_unit")
        ]
        # Counting, and reading the enrolled of one variant, need only this index.
        indexes: ClassVar = [
            models.Index(fields=["experiment", "variant", "epoch", "unit"], name="exposure_by_variant")
        ]

    def __str__(self) -> str:
        return f"{self.unit} saw {self.variant}"


class Guardrail(models.Model):
    """A metric that no variant may worsen: beyond a limit, or beyond the fallback by more than is tolerated."""

    class Kind(models.TextChoices):
        MEAN = "mean", "mean of values"
        RATE = "rate", "rate of successes"

    class Worse(models.TextChoices):
        HIGHER = "higher", "higher is worse"
        LOWER = "lower", "lower is worse"

    class Against(models.TextChoices):
        FALLBACK = "fallback", "the fallback, plus what is tolerated"
        LIMIT = "limit", "a fixed limit"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="guardrails")
    metric = models.CharField(max_length=100)
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.MEAN)
    worse = models.CharField(max_length=6, choices=Worse, default=Worse.HIGHER)
    against = models.CharField(max_length=8, choices=Against, default=Against.FALLBACK)
    threshold = models.FloatField(help_text="the limit, or by how much it may be worse than the fallback")
    sensitivity = models.FloatField(help_text="a harm of this size beyond the threshold is to be found soonest")
    alpha = models.FloatField(default=0.01, help_text="how likely a false alarm may be over the whole experiment")
    created_at = models.DateTimeField(default=now)
    version = models.PositiveIntegerField(default=1, help_text="raised by every change; the ETag")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["experiment_id", "metric"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["experiment", "metric"], name="guardrail_metric_is_unique_in_its_experiment"
            ),
            models.CheckConstraint(condition=Q(alpha__gt=0, alpha__lt=1), name="guardrail_alpha_is_a_probability"),
            models.CheckConstraint(condition=Q(sensitivity__gt=0), name="guardrail_sensitivity_is_above_nothing"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} of {self.experiment}"


class GuardrailTotal(models.Model):
    """All samples of a guardrail for one variant, added up, and the least p that they have ever given. No history."""

    guardrail = models.ForeignKey(Guardrail, on_delete=models.CASCADE, related_name="totals")
    variant = models.CharField(max_length=100)
    sample_count = models.BigIntegerField(default=0)
    total = models.FloatField(default=0)
    squares = models.FloatField(default=0)
    p_value = models.FloatField(default=1)
    pushed_at = models.DateTimeField(default=now)
    breached_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["guardrail_id", "variant"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["guardrail", "variant"], name="guardrail_total_is_one_per_variant")
        ]

    def __str__(self) -> str:
        return f"{self.guardrail}: {self.variant}"


class SampleRatio(models.Model):
    """What the last look at the numbers of the enrolled said. It looks again once they have grown by a quarter."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="sample_ratio")
    exposure_count = models.PositiveIntegerField(default=0)
    p_value = models.FloatField(default=1)
    looked_at = models.DateTimeField(default=now)
    mismatch_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.experiment}: p = {self.p_value:.4f}"


class LedgerSummary(models.Model):
    """What is kept of the ledger of an experiment that ended long ago: counts, and what they said. Written once."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="summary", primary_key=True)
    counts = models.JSONField(help_text="how many saw which `variant` in which `epoch`; 0 where none gave it to them")
    enrolled = models.JSONField(help_text="how many were with each variant in the end")
    unplanned = models.PositiveIntegerField()
    ratio_count = models.PositiveIntegerField()
    ratio_statistic = models.FloatField()
    ratio_freedom = models.PositiveIntegerField()
    ratio_p_value = models.FloatField()
    made_at = models.DateTimeField(default=now)

    class Meta:
        verbose_name_plural = "ledger summaries"

    def __str__(self) -> str:
        return f"what is left of {self.experiment}"
