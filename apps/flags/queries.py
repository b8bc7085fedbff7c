"""Reads: flags by who may see them, and what killing one would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import BooleanField, Case, CharField, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.urls import reverse

from apps.catalog.models import Service
from apps.catalog.queries import dependant_closure, teams_of, visible_services
from apps.flags.evaluation.definitions import read_definition, segments_in
from apps.flags.models import Flag, FlagChange, FlagGroupPermission, FlagUserPermission, Segment
from apps.flags.plans import read_plans
from apps.flags.snapshot import COLUMNS, Evaluation, Row, Snapshot
from apps.foundation.clock import now
from apps.foundation.subjects import Subject, is_visible, visible_subjects
from apps.people.models import User

FLAG = "flag"
SEGMENT = "segment"
CHANGE = "flag_change"
# Each process asks for changes every half second; a busy one gets round to it within this.
SEEN_EVERYWHERE_SECONDS = 2
_LONGEST_VALUE = 120

DEFAULT_ANSWER = "the caller's own default"


def answer_in_words(flag: Flag, state: str | None = None) -> str:
    """What programs get, in the state given or its own: a value as JSON, or by what it is decided."""
    state = flag.state if state is None else state
    definition = flag.definition
    if state == Flag.State.DISABLED:
        return DEFAULT_ANSWER
    if state == Flag.State.KILLED:
        return _value(definition, definition["off"])
    if definition.get("rules") or definition.get("prerequisites"):
        return "what its rules say"
    serve = definition["serve"]
    return _value(definition, serve) if isinstance(serve, str) else "one of its variants, by its split"


def _value(definition: dict[str, Any], variant: str) -> str:
    return json.dumps(definition["variants"].get(variant))[:_LONGEST_VALUE]


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
        return self.flag.state != Flag.State.KILLED and self.before != self.after


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
        before=answer_in_words(flag),
        after=answer_in_words(flag, Flag.State.KILLED),
        services=services,
        dependants=dependants,
        blast_radius=flag.blast_radius,
        rollback_expectation=flag.rollback_expectation,
        waits_seconds=SEEN_EVERYWHERE_SECONDS,
    )


# --- trying, before anybody gets it ---


def try_out(flag: Flag, context: Mapping[str, Any], definition: Mapping[str, Any] | None = None) -> Evaluation:
    """What the flag, or one with this definition instead, would answer to this context now. Nothing is written."""
    return next(try_out_many(flag, [context], definition))


def try_out_many(
    flag: Flag, contexts: Iterable[Mapping[str, Any]], definition: Mapping[str, Any] | None = None
) -> Iterator[Evaluation]:
    """The same for each of many contexts, read and compiled once."""
    rows = Flag.objects.filter(environment_id=flag.environment_id)
    found = {row.key: row for row in (Row(*values) for values in rows.values_list(*COLUMNS))}
    if definition is not None:
        found[flag.key] = found[flag.key]._replace(definition=definition)
    segments = dict(Segment.objects.values_list("key", "definition"))
    slug = found[flag.key].environment
    plans = read_plans(environment_id=flag.environment_id)
    snapshot = Snapshot(0, [slug], found.values(), segments, plans)
    for context in contexts:
        answer = snapshot.evaluate(flag.key, slug, context)
        assert answer is not None
        yield answer


_WHY = {
    "STATIC": "it answers everybody alike",
    "DEFAULT": "no rule meets this context",
    "TARGETING_MATCH": "by a rule",
    "SPLIT": "by a split",
    "DISABLED": "it is disabled",
    "PREREQUISITE_FAILED": "a prerequisite is not met",
    "ERROR": "its definition can't be read",
}


def tried_in_words(found: Evaluation) -> str:
    """One sentence on what was tried."""
    rule = found.metadata.get("rule")
    why = f"the rule {rule!r} meets it" if rule else _WHY.get(found.reason, found.reason)
    if found.error:
        return f"Programs use their own default, with the error {found.error}: {why}."
    if found.variant is None:
        return f"Programs use their own default: {why}."
    return f"Programs get {json.dumps(found.value)[:_LONGEST_VALUE]}, the variant {found.variant}: {why}."


# --- what is to come ---


def visible_changes(user: User | AnonymousUser) -> QuerySet[FlagChange]:
    """The scheduled changes of flags that `user` may see."""
    mine = visible_flags(user).select_related(None).order_by().values("pk")
    rows = FlagChange.objects.select_related("flag__environment", "flag__owner", "created_by")
    return rows.filter(flag__in=mine)


def coming_changes(flag: Flag) -> list[tuple[FlagChange, str]]:
    """What waits for its time and what failed in the last week, the next first, in words."""
    failed = Q(state=FlagChange.State.FAILED, finished_at__gte=now() - timedelta(days=7))
    coming = Q(state__in=[FlagChange.State.PROPOSED, FlagChange.State.WAITING])
    rows = flag.changes.filter(coming | failed).select_related("created_by")
    return [(row, change_in_words(row)) for row in rows]


def proposal_subject(change: FlagChange) -> Subject:
    """What a request for approval is about."""
    return Subject(CHANGE, str(change.pk))


def change_titles(keys: Iterable[str]) -> dict[str, str]:
    """What changes would do, by their text keys, in one query."""
    numbers = [int(key) for key in keys if key.isdecimal()]
    rows = FlagChange.objects.filter(pk__in=numbers).select_related("flag__environment")
    return {str(row.pk): f"Flag {row.flag}: {change_in_words(row)}" for row in rows}


def change_url(key: str) -> str:
    """Where a change's page is."""
    return reverse("admin:flags_flagchange_change", args=[key])


def visible_change_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the changes that `user` may see."""
    rows = visible_changes(user).select_related(None).order_by()
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


def change_in_words(change: FlagChange) -> str:
    """What will happen, for a table."""
    wanted = change.change
    if "state" in wanted:
        return {"on": "It is switched on.", "killed": "It is killed.", "disabled": "It is disabled."}[wanted["state"]]
    if "serve" in wanted:
        return f"Whom no rule meets gets {_served_in_words(wanted['serve'])}."
    if "start" in wanted:
        return f"The experiment {wanted['start']['experiment']} starts: {_shares_in_words(wanted['start'])}."
    if "shares" in wanted:
        shares = wanted["shares"]
        return f"Newcomers of the experiment {shares['experiment']} get {_shares_in_words(shares)}."
    return "Its rules are replaced." if "definition" in wanted else "Nobody need approve its changes any more."


def _served_in_words(serve: Any) -> str:
    if isinstance(serve, str):
        return serve
    total = sum(each["weight"] for each in serve["split"]) or 1
    parts = (f"{each['variant']} for {each['weight'] * 100 / total:g} %" for each in serve["split"])
    return ", ".join(parts)


def _shares_in_words(found: Mapping[str, Any]) -> str:
    parts = ", ".join(f"{name} {percent:g} %" for name, percent in found["percents"].items())
    return parts if found["traffic"] == 100 else f"{parts} of {found['traffic']:g} % of all"  # noqa: PLR2004  # all


# --- segments ---


def flags_that_use(key: str) -> list[Flag]:
    """The flags whose rules speak of this segment, by environment and key. Reads every definition: a few hundred."""
    rows = Flag.objects.select_related("environment").order_by("environment__position", "key")
    return [flag for flag in rows if _speaks_of(flag, key)]


def _speaks_of(flag: Flag, key: str) -> bool:
    if f'"{key}"' not in json.dumps(flag.definition):
        return False
    found = read_definition(flag.type, flag.definition)
    return any(key in segments_in(rule.when) for rule in found.rules)


def segment_subject(segment: Segment) -> Subject:
    """What events about the segment speak of."""
    return Subject(SEGMENT, str(segment.pk))


def visible_segments(user: User | AnonymousUser) -> QuerySet[Segment]:
    """All of them, for whoever sees segments or leads a team; they name no people."""
    rows = Segment.objects.select_related("owner")
    if not isinstance(user, User) or not user.is_active:
        return rows.none()
    if user.has_perm("flags.view_segment"):
        return rows
    return rows.filter(owner__in=teams_of(user.pk).values("pk"))


def segment_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of segments by their text keys, in one query."""
    numbers = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in Segment.objects.filter(pk__in=numbers).values_list("pk", "name")}


def segment_url(key: str) -> str:
    """Where a segment's page is."""
    return reverse("admin:flags_segment_change", args=[key])


def visible_segment_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the segments that `user` may see."""
    rows = visible_segments(user).select_related(None).order_by()
    return rows.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


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
