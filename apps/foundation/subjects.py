"""How a lower app speaks of an upper thing without importing it.

A message about an incident stores `Subject("incident", "42")`. The app that owns the kind registers how
to title, link and protect it; every list, stream, search and history view asks `visible_subjects`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class SubjectKind:
    """What the owner of a kind knows about it.

    `titles` maps keys to titles for display; `url` links one key; `visible_keys` gives a queryset of the
    text keys that `user` may see, used as a subquery.
    """

    kind: str
    titles: Callable[[Iterable[str]], dict[str, str]]
    url: Callable[[str], str]
    visible_keys: Callable[[Any], QuerySet[Any, Any]]


_kinds: dict[str, SubjectKind] = {}


def register_subject(kind: SubjectKind) -> None:
    """Called once by the owner of a kind in its `ready()`; a second owner is a programming error."""
    if kind.kind in _kinds and _kinds[kind.kind] is not kind:
        raise RuntimeError(f"Subject kind {kind.kind!r} has two owners.")
    _kinds[kind.kind] = kind


def visible_subjects(
    user: Any, *, prefix: str = "subject", without: Collection[str] = (), only: Collection[str] | None = None
) -> Q:
    """A filter for rows with `<prefix>_kind` and `<prefix>_key`: only subjects that `user` may see.

    Rows that speak of nothing in particular (an empty kind) pass; a kind that nobody owns does not, nor do those
    `without` names: an owner whose own rows are as visible as their subjects leaves its own kind out. Whoever knows
    which kinds there are says so by `only`: each kind costs a subquery.
    """
    allowed = Q(**{f"{prefix}_kind": ""})
    for kind in _kinds.values():
        if kind.kind in without or (only is not None and kind.kind not in only):
            continue
        keys = _keys_seen(kind, user)
        if keys is not None:
            allowed |= Q(**{f"{prefix}_kind": kind.kind, f"{prefix}_key__in": keys})
    return allowed


def _keys_seen(kind: SubjectKind, user: Any) -> RawSQL | None:
    """The subquery of a kind, written as SQL once for an account as it was loaded; None where it can find nothing.

    A page asks many times, and one kind's subquery stands in that of others. The rows are still read afresh.
    """
    written: dict[tuple[str, bool, bool], RawSQL | None] = user.__dict__.setdefault("_portal_keys_seen", {})
    known = (kind.kind, bool(user.is_active), bool(user.is_superuser))
    if known not in written:
        written[known] = as_subquery(kind.visible_keys(user))
    return written[known]


def as_subquery(rows: QuerySet[Any, Any]) -> RawSQL | None:
    """The one column of `rows` for an `__in`, as SQL that need not be made again; None where it can find nothing."""
    try:
        return RawSQL(*rows.order_by().query.sql_with_params())  # noqa: S611  # Django's own text and parameters
    except EmptyResultSet:
        return None


def is_visible(subject: Subject, user: Any) -> bool:
    """Whether `user` may see this one subject."""
    if not subject.kind:
        return True
    owner = _kinds.get(subject.kind)
    return owner is not None and bool(set(owner.visible_keys(user).filter(pk=subject.key)[:1]))


def subject_title(subject: Subject) -> str:
    owner = _kinds.get(subject.kind)
    if owner is None:
        return f"{subject.kind} {subject.key}".strip()
    return owner.titles([subject.key]).get(subject.key, f"{subject.kind} {subject.key}")


def subject_titles(subjects: Iterable[Subject]) -> dict[Subject, str]:
    """Titles of many subjects with one query for each kind."""
    by_kind: dict[str, set[str]] = {}
    for subject in subjects:
        by_kind.setdefault(subject.kind, set()).add(subject.key)
    found: dict[Subject, str] = {}
    for kind, keys in by_kind.items():
        owner = _kinds.get(kind)
        titles = owner.titles(keys) if owner else {}
        for key in keys:
            found[Subject(kind, key)] = titles.get(key, f"{kind} {key}".strip())
    return found


def subject_url(subject: Subject) -> str:
    """Where the subject's page is, or an empty string when nobody owns its kind."""
    owner = _kinds.get(subject.kind)
    return owner.url(subject.key) if owner else ""
