"""Reads: the sections of a version, and which version holds for whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from django.conf import settings
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse
from pydantic import BaseModel

from apps.foundation.errors import NotFound
from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.sections import Table, registered

_cache: dict[int, dict[str, BaseModel]] = {}


class FollowsPack(Protocol):
    """A team or a service: it may name a pack."""

    @property
    def policy_pack_id(self) -> int | None: ...


def section(version_id: int, name: str) -> BaseModel:
    """One section of a version, validated. Kept in this process for ever: versions never change.

    NotFound where the version or the section does not exist.
    """
    loaded = _cache.get(version_id)
    if loaded is None or name not in loaded:
        loaded = _load(version_id)
    try:
        return loaded[name]
    except KeyError:
        raise NotFound(f"Policy version {version_id} has no section {name!r}.") from None


def optional_section(version_id: int, name: str) -> BaseModel | None:
    """The same of a section that a pack need not have; None without it. NotFound where the version does not exist."""
    loaded = _cache.get(version_id)
    return (loaded if loaded is not None else _load(version_id)).get(name)


def _load(version_id: int) -> dict[str, BaseModel]:
    document = PolicyVersion.objects.filter(pk=version_id).values_list("document", flat=True).first()
    if document is None:
        raise NotFound(f"There is no policy version {version_id}.")
    known = registered()
    loaded = {name: known[name].model.model_validate(value) for name, value in document.items() if name in known}
    _cache[version_id] = loaded
    return loaded


def forget(version_id: int) -> None:
    """Drop what is kept of an id. A rolled-back insert may have given the same id to another text (SQLite does)."""
    _cache.pop(version_id, None)


def active_version(team: FollowsPack | None = None, service: FollowsPack | None = None) -> PolicyVersion:
    """The version that holds now: the service's pack, else the team's, else the default one. One query.

    NotFound where that pack does not exist or has nothing active.
    """
    pack_id = (service.policy_pack_id if service else None) or (team.policy_pack_id if team else None)
    return active_versions([pack_id])[pack_id]


def active_versions(pack_ids: Iterable[int | None]) -> dict[int | None, PolicyVersion]:
    """The active versions of many packs with one query; the key None stands for the default pack."""
    wanted = set(pack_ids)
    packs = PolicyPack.objects.select_related("active_version").defer(
        "description", "active_version__text", "active_version__document"
    )
    rows = packs.filter(pk__in=[pk for pk in wanted if pk is not None])
    if None in wanted:
        rows = rows | packs.filter(slug=settings.DEFAULT_PACK)
    found: dict[int | None, PolicyVersion] = {}
    for pack in rows:
        if pack.active_version is None:
            continue
        if pack.pk in wanted:
            found[pack.pk] = pack.active_version
        if pack.slug == settings.DEFAULT_PACK and None in wanted:
            found[None] = pack.active_version
    for pack_id in wanted - set(found):
        text = f"Policy pack {pack_id} has no active version: import and activate one."
        if pack_id is None:
            known = PolicyPack.objects.filter(active_version__isnull=False).order_by("slug")
            others = ", ".join(known.values_list("slug", flat=True)) or "none"
            text = (
                f"The default policy pack {settings.DEFAULT_PACK!r} has no active version: import and activate it, "
                f"or set DEFAULT_PACK to one that has ({others})."
            )
        raise NotFound(text, code="no_active_policy")
    return found


def pack_titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of packs by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(pack.pk): pack.name for pack in PolicyPack.objects.filter(pk__in=wanted)}


def pack_url(key: str) -> str:
    """Where a pack's page is."""
    return reverse("admin:policies_policypack_change", args=[key])


def visible_pack_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the packs that `user` may see, for `visible_subjects`."""
    packs = PolicyPack.objects.all() if user.has_perm("policies.view_policypack") else PolicyPack.objects.none()
    return packs.annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)


def summary_table(version: PolicyVersion) -> Table | None:
    """Severity by clock, escalation, channels and whatever else sections say of each severity; None where none does.

    Raises pydantic's ValidationError for an old text that no longer fits the rules of this release.
    """
    known = [owner for name, owner in registered().items() if name in version.document and owner.columns]
    columns = sorted(
        (
            column
            for owner in known
            if owner.columns is not None
            for column in owner.columns(owner.model.model_validate(version.document[owner.name]))
        ),
        key=lambda column: column.place,
    )
    if not columns:
        return None
    rows = [[column.cells.get(severity, "–") for column in columns] for severity in columns[0].cells]
    return Table("At a glance", [column.title for column in columns], rows)


def version_tables(version: PolicyVersion) -> list[tuple[str, list[Table]]]:
    """A version as people read it: each section that can show itself, with its tables.

    Raises pydantic's ValidationError for an old text that no longer fits the rules of this release.
    """
    known = {name: owner for name, owner in registered().items() if name in version.document}
    # PostgreSQL does not keep the order of a document's keys; the text does.
    in_order = sorted(known.values(), key=lambda owner: version.text.find(f"\n{owner.name}:"))
    return [
        (owner.name, owner.tables(owner.model.model_validate(version.document[owner.name])))
        for owner in in_order
        if owner.tables is not None
    ]
