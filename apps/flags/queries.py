"""Reads: flags by who may see them, and what killing one would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import BooleanField, Case, CharField, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.urls import reverse

from apps.catalog.models import Service
from apps.catalog.queries import dependant_closure, teams_of, visible_services
from apps.flags.models import Flag, FlagGroupPermission, FlagUserPermission
from apps.foundation.subjects import Subject, is_visible, visible_subjects
from apps.people.models import User

FLAG = "flag"
# Each process asks for changes every half second; a busy one gets round to it within this.
SEEN_EVERYWHERE_SECONDS = 2

ANSWERS = {
    Flag.State.ON: "true",
    Flag.State.KILLED: "false",
    Flag.State.DISABLED: "the caller's own default",
}


def visible_flags(user: User | AnonymousUser) -> QuerySet[Flag]:
    """The flags that `user` may see: all with `flags.view_flag`, else those of their teams and granted ones."""
    rows = Flag.objects.select_related("environment", "owner")
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    if user.has_perm("flags.view_flag"):
        return rows
    held = {"permission__codename__in": ["view_flag", "change_flag", "kill_flag"]}
    mine = FlagUserPermission._default_manager.filter(user=user, **held)
    ours = FlagGroupPermission._default_manager.filter(group__in=user.groups.values("pk"), **held)
    return rows.filter(
        Q(owner__in=teams_of(user.pk).values("pk"))
        | Q(pk__in=mine.values("content_object_id"))
        | Q(pk__in=ours.values("content_object_id"))
    )


def with_about_shown(rows: QuerySet[Flag], user: User | AnonymousUser) -> QuerySet[Flag]:
    """Adds `about_is_shown` to each row: whether `user` may know what the flag was killed for, and why."""
    shown = When(visible_subjects(user, prefix="about"), then=Value(value=True))
    return rows.annotate(about_is_shown=Case(shown, default=Value(value=False), output_field=BooleanField()))


def subject_of(flag: Flag) -> Subject:
    """What events about the flag speak of."""
    return Subject(FLAG, str(flag.pk))


def about_of(flag: Flag) -> Subject | None:
    """What the flag was killed for; None where nobody said."""
    return Subject(flag.about_kind, flag.about_key) if flag.about_kind else None


def knows_why(flag: Any, user: Any) -> bool:
    """The same for one row, or one of its history."""
    return not flag.about_kind or is_visible(Subject(flag.about_kind, flag.about_key), user)


@dataclass(frozen=True, slots=True)
class KillPreview:
    """What a kill would change, and for whom; nothing was written to find out.

    `before` and `after` are what callers get. `dependants` need one of `services`, the nearest first. Every process
    answers with the new value after at most `waits_seconds`.
    """

    flag: Flag
    before: str
    after: str
    services: list[Service]
    dependants: list[Service]
    blast_radius: str
    rollback_expectation: str
    waits_seconds: int

    @property
    def changes_anything(self) -> bool:
        return self.before != self.after


def preview_kill(flag: Flag, *, user: User | AnonymousUser | None = None) -> KillPreview:
    """What killing `flag` would do; with a `user`, of the services only those that they may see. Four queries."""
    known = Service.objects.all() if user is None else visible_services(user)
    own_ids = list(flag.services.order_by().values_list("pk", flat=True))
    distances = dependant_closure(own_ids) if own_ids else {}
    rows = {row.pk: row for row in known.filter(pk__in=[*own_ids, *distances]).select_related("owner")}
    services = sorted((rows[pk] for pk in own_ids if pk in rows), key=lambda row: row.name)
    dependants = sorted((rows[pk] for pk in distances if pk in rows), key=lambda row: (distances[row.pk], row.name))
    return KillPreview(
        flag=flag,
        before=ANSWERS[Flag.State(flag.state)],
        after=ANSWERS[Flag.State.KILLED],
        services=services,
        dependants=dependants,
        blast_radius=flag.blast_radius,
        rollback_expectation=flag.rollback_expectation,
        waits_seconds=SEEN_EVERYWHERE_SECONDS,
    )


# --- for `Subject("flag", …)` -------------------------------------------------------------------------------------


def flag_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of flags by their text keys, in one query."""
    numbers = [int(key) for key in keys if key.isdecimal()]
    rows = Flag.objects.filter(pk__in=numbers).select_related("environment")
    return {str(flag.pk): f"{flag.name} ({flag.environment.name})" for flag in rows}


def flag_url(key: str) -> str:
    """Where a flag's page is."""
    return reverse("admin:flags_flag_change", args=[key])


def visible_flag_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the flags that `user` may see."""
    rows = visible_flags(user).select_related(None).order_by()
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
