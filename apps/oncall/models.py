"""Rotations, who takes turns in them, who covers for whom, and what roles mean."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from apps.foundation.clock import now
from apps.foundation.history import TrackedHistory

_ENDS_LATER = Q(ends_at__gt=F("starts_at"))
_HAS_TAKER = Q(state__in=["to_approve", "taken"])


class HolidayCalendar(models.Model):
    """The public holidays of a country or a part of it, and days of one's own, for layers to skip or to work on."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    country = models.CharField(
        max_length=2, blank=True, help_text="ISO 3166 code, for example DE; empty: own days only"
    )
    subdivision = models.CharField(max_length=20, blank=True, help_text="a part of the country, for example BE")
    own_days = models.JSONField(default=list, blank=True, help_text="dates as YYYY-MM-DD, besides the public ones")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Rotation(models.Model):
    """People who take turns, in one layer or several."""

    team = models.ForeignKey("catalog.Team", on_delete=models.CASCADE, related_name="rotations")
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    swaps_need_approval = models.BooleanField(
        default=False, help_text="a manager or the team's lead must approve before a swap holds"
    )

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["team_id", "name"]

    def __str__(self) -> str:
        return self.name


class Layer(models.Model):
    """One order of people, with a cadence and a zone of its own. A higher layer wins where it has somebody."""

    class Cadence(models.TextChoices):
        HOURLY = "hourly", "hourly"
        DAILY = "daily", "daily"
        WEEKLY = "weekly", "weekly"
        MONTHLY = "monthly", "monthly"

    class HolidayRule(models.TextChoices):
        IGNORE = "ignore", "works on holidays too"
        SKIP = "skip", "rests on holidays"
        ONLY = "only", "works on holidays only"

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="layers")
    name = models.CharField(max_length=60, default="Main")
    priority = models.PositiveSmallIntegerField(default=0, help_text="the highest that has somebody wins")
    cadence = models.CharField(max_length=10, choices=Cadence, default=Cadence.WEEKLY)
    every = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="2 with weekly: every other week",
    )
    time_zone = models.CharField(max_length=64, default="UTC", help_text="IANA name, for example America/Chicago")
    handoff_weekday = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(6)], help_text="of weekly layers; 0 is Monday, 6 is Sunday"
    )
    handoff_day = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text="of monthly layers; in shorter months the last day",
    )
    handoff_time = models.TimeField(default="09:00", help_text="wall-clock time in the layer's zone")
    starts_on = models.DateField(help_text="the first handoff is on or after this day")
    restrictions = models.JSONField(
        default=list, blank=True, help_text="when the layer works: weekdays, starts and ends; empty: always"
    )
    holiday_calendar = models.ForeignKey(
        HolidayCalendar, on_delete=models.PROTECT, null=True, blank=True, related_name="layers"
    )
    holiday_rule = models.CharField(max_length=6, choices=HolidayRule, default=HolidayRule.IGNORE)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["rotation_id", "-priority", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["rotation", "name"], name="layer_is_named_once_per_rotation"),
            models.CheckConstraint(
                condition=Q(holiday_rule="ignore") | Q(holiday_calendar__isnull=False),
                name="layer_that_heeds_holidays_has_a_calendar",
                violation_error_message="Say which holiday calendar.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rotation}, {self.name}"


class RotationMember(models.Model):
    """A person's place in the order of a layer, from and until an instant (half-open)."""

    layer = models.ForeignKey(Layer, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="rotation_memberships")
    position = models.PositiveSmallIntegerField(default=0)
    effective_from = models.DateTimeField(default=now)
    effective_until = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["layer_id", "position", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(effective_until__isnull=True) | Q(effective_until__gt=F("effective_from")),
                name="rotation_member_ends_after_the_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.layer}"


class Pause(models.Model):
    """A person, or without one the whole rotation, takes no turns for a while. The order stays as it is."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="pauses")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="rotation_pauses"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | _ENDS_LATER, name="rotation_pause_ends_after_its_start"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or 'everybody'} pauses in {self.rotation}"


class Override(models.Model):
    """`user` is on call instead, from `starts_at` until before `ends_at`.

    Instead of whoever has the duty; with `replaces` only where that person would be on.
    """

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="overrides")
    replaces = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="replaced_in"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=now)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        indexes: ClassVar = [models.Index(fields=["rotation", "ends_at"], name="override_by_rotation_and_end")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_ENDS_LATER, name="override_ends_after_its_start"),
            models.CheckConstraint(
                condition=Q(replaces__isnull=True) | ~Q(replaces=F("user")), name="nobody_covers_for_themselves"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} covers {self.rotation}"


class Coverage(models.Model):
    """`user` is on call besides whoever has the duty, for a launch say, from `starts_at` until before `ends_at`."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="coverages")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="coverages")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=now)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        indexes: ClassVar = [models.Index(fields=["rotation", "ends_at"], name="coverage_by_rotation_and_end")]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_ENDS_LATER, name="coverage_ends_after_its_start"),
        ]

    def __str__(self) -> str:
        return f"{self.user} helps in {self.rotation}"


class Swap(models.Model):
    """A person offers time of theirs to somebody, or to anybody; whoever takes it is on call instead.

    What is taken is an override. `state` says how far it came; whether its time is over, only the clock.
    """

    class State(models.TextChoices):
        OPEN = "open", "open"
        TO_APPROVE = "to_approve", "taken, to be approved"
        TAKEN = "taken", "taken"
        DECLINED = "declined", "declined"
        WITHDRAWN = "withdrawn", "withdrawn"

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="swaps")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="offered_swaps", help_text="whose time it is"
    )
    asked = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="swaps_asked_for",
        help_text="who should take it; empty: anybody",
    )
    taker = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="taken_swaps"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(default=now)
    taken_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="approved_swaps"
    )
    override = models.OneToOneField(Override, on_delete=models.RESTRICT, null=True, blank=True, related_name="swap")

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["-starts_at"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=_ENDS_LATER, name="swap_ends_after_its_start"),
            models.CheckConstraint(
                condition=(_HAS_TAKER & Q(taker__isnull=False)) | (~_HAS_TAKER & Q(taker__isnull=True)),
                name="swap_has_a_taker_iff_it_is_taken",
            ),
            models.CheckConstraint(
                condition=Q(state="taken", override__isnull=False) | (~Q(state="taken") & Q(override__isnull=True)),
                name="swap_is_an_override_iff_it_holds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} offers time in {self.rotation}"


class RoleBinding(models.Model):
    """What a role of a pack (primary, secondary, manager …) means: a rotation or a person.

    A binding without a team holds for every team that has none of its own.
    """

    role = models.SlugField(max_length=60)
    team = models.ForeignKey(
        "catalog.Team", on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )
    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, null=True, blank=True, related_name="bindings")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )

    history = TrackedHistory()

    class Meta:
        ordering: ClassVar = ["team_id", "role"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["role", "team"], name="role_is_bound_once_per_team"),
            models.UniqueConstraint(fields=["role"], condition=Q(team__isnull=True), name="role_is_bound_once_for_all"),
            models.CheckConstraint(
                condition=Q(rotation__isnull=False, user__isnull=True) | Q(rotation__isnull=True, user__isnull=False),
                name="role_means_a_rotation_or_a_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.team or 'every team'}"


class CalendarFeed(models.Model):
    """A secret address at which a calendar program reads shifts: its owner's, or a rotation's, or a team's.

    Only the digest of its token is kept. It shows what its owner may see, and nothing once the account is closed.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="calendar_feeds")
    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, null=True, blank=True, related_name="feeds")
    team = models.ForeignKey("catalog.Team", on_delete=models.CASCADE, null=True, blank=True, related_name="feeds")
    prefix = models.CharField(max_length=12, help_text="the first characters, to recognise it by")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=now)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_read_at = models.DateTimeField(null=True, blank=True)

    history = TrackedHistory(excluded_fields=["digest", "last_read_at"])

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(rotation__isnull=True) | Q(team__isnull=True), name="feed_is_of_one_thing"
            ),
        ]

    def __str__(self) -> str:
        if self.rotation is not None:
            return f"the rotation {self.rotation.name}"
        return f"the team {self.team.name}" if self.team is not None else f"the shifts of {self.owner.name}"


class RotationWatch(models.Model):
    """What was last told about a rotation's shifts. Hot, without history.

    `changed_at` is when anything last changed who is on call. While a notice waits, `before` holds the shifts of the
    weeks from `since` on as they were before the first change of the bundle; `run` counts the bundles. `knows` are
    those who made every change of it or were told otherwise, `changed_by` whoever made one. Reminders that fell due
    until `reminded_until` were sent; `remind_at` is when the next one may be.
    """

    rotation = models.OneToOneField(Rotation, on_delete=models.CASCADE, primary_key=True, related_name="watch")
    changed_at = models.DateTimeField(default=now)
    run = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(null=True, blank=True)
    before = models.JSONField(default=list)
    knows = models.JSONField(default=list)
    changed_by = models.JSONField(default=list)
    reminded_until = models.DateTimeField(default=now)
    remind_at = models.DateTimeField(default=now, db_index=True)

    def __str__(self) -> str:
        return f"what was told about {self.rotation_id}"


class ShiftReminder(models.Model):
    """How long before a shift its person is reminded; who has no row is reminded a day before."""

    class Lead(models.TextChoices):
        NONE = "none", "no reminder"
        HOUR = "hour", "an hour before"
        DAY = "day", "a day before"

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="shift_reminder"
    )
    lead = models.CharField(max_length=5, choices=Lead, default=Lead.DAY)

    history = TrackedHistory()

    def __str__(self) -> str:
        return f"{self.user}: {self.get_lead_display()}"
