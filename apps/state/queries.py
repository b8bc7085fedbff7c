"""Reads: documents by who may see them, how versions verify, and what a restore would do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import CharField, F, Q, QuerySet
from django.db.models.functions import Cast
from django.urls import reverse

from apps.foundation.errors import DomainError
from apps.people.models import User
from apps.state.contents import checksum
from apps.state.diffs import structural_diff
from apps.state.live import Canary, Live, read_live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.schemas import as_sentence, content_problems

SUBJECT_KIND = "config"
_NAMED_PATHS = 5


def visible_documents(user: User | AnonymousUser) -> QuerySet[ConfigDocument]:
    """The documents that `user` may see: all for holders of `state.view_configdocument`, else none."""
    rows = ConfigDocument.objects.all()
    return rows if user.is_active and user.has_perm("state.view_configdocument") else rows.none()


def visible_versions(user: User | AnonymousUser) -> QuerySet[ConfigVersion]:
    """The versions that `user` may see: those of visible documents, with the permission for versions."""
    rows = ConfigVersion.objects.filter(document__in=visible_documents(user))
    return rows if user.is_active and user.has_perm("state.view_configversion") else rows.none()


def document_by_slug(slug: str) -> ConfigDocument | None:
    """The document that programs and runbooks name, with its head and baseline."""
    rows = ConfigDocument.objects.select_related("head", "baseline", "service")
    return rows.filter(slug=slug).first() if slug and "\x00" not in slug else None


def drifted(rows: QuerySet[ConfigDocument]) -> QuerySet[ConfigDocument]:
    """Those whose last known live content differs from the baseline."""
    return rows.filter(_is_drifted())


def _is_drifted() -> Q:
    both = Q(head__isnull=False, baseline__isnull=False)
    return both & ~Q(head__checksum=F("baseline__checksum"))


def captures_due(at: datetime) -> bool:
    """Whether a source should be looked at."""
    return due_captures(at).exists()


def due_captures(at: datetime) -> QuerySet[ConfigDocument]:
    """The documents whose source should be looked at, the longest waiting first; those without a time count as due."""
    due = Q(next_capture_at__lte=at) | Q(next_capture_at__isnull=True)
    rows = ConfigDocument.objects.filter(due, capture_every_seconds__gt=0)
    return rows.exclude(source_url="").order_by("next_capture_at", "pk")


def verifies(version: ConfigVersion) -> bool:
    """Whether a stored version still has the checksum that it was stored with."""
    return checksum(version.content) == version.checksum


@dataclass(frozen=True, slots=True)
class RestorePreview:
    """What a restore would do, computed without changing anything. `changes` mask secrets; `problems` forbid it."""

    document: ConfigDocument
    live: Live | None
    target: ConfigVersion | None
    changes: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_needed: bool = False


def preview_restore(document: ConfigDocument, version: ConfigVersion | None = None) -> RestorePreview:
    """What putting `version` back (None: the baseline) would change in what is live now.

    Reads the source, hence outside transactions for a document that is held elsewhere; writes nothing.
    """
    target = version or document.baseline
    problems = target_problems(document, target)
    live: Live | None = None
    try:
        live = read_live(document)
    except DomainError as error:
        problems.append(error.message)
    changes = structural_diff(live.content, target.content) if live and target else []
    needed = live is not None and target is not None and not live.is_for_all(target.checksum)
    return RestorePreview(document, live, target, changes, problems, needed)


def target_problems(document: ConfigDocument, target: ConfigVersion | None, *, strict: bool = False) -> list[str]:
    """Why a version can't be put back: it is missing, another document's, spoiled, or breaks the schema.

    A backup may break it, unless `strict`: it was live before the portal changed anything, and undoing a change must
    always be possible.
    """
    if target is None:
        return [f"{document.name} has no baseline: nothing is known to be good. Set one first."]
    if target.document_id != document.pk:
        return [f"Version {target.number} belongs to another document."]
    if not verifies(target):
        spoiled = "its content no longer has the checksum it was stored with. Choose another version."
        return [f"Version {target.number} of {document.name} does not verify: {spoiled}"]
    if target.origin == ConfigVersion.Origin.BACKUP and not strict:
        return []
    broken = content_problems(document.schema, target.content)
    return [f"Version {target.number} of {document.name} breaks the schema: {as_sentence(entry)}" for entry in broken]


def canary_told(document: ConfigDocument, canary: Canary) -> str:
    """A canary in words."""
    return f"A canary of {canary.percentage} % of {document.name} runs"


def canary_problems(document: ConfigDocument, live: Live | None) -> list[str]:
    """Why no canary can begin: the portal holds the document itself, or one runs already, with what it changes."""
    if document.is_held_here:
        return [f"{document.name} is held by the portal itself, which has no share to try it with: apply it to all."]
    if live is None or live.canary is None:
        return []
    paths = [str(change["path"]) for change in structural_diff(live.content, live.canary.content)]
    named = ", ".join(paths[:_NAMED_PATHS]) + (" …" if len(paths) > _NAMED_PATHS else "") or "nothing"
    return [f"{canary_told(document, live.canary)} already; it changes {named}. End it, or make it live, first."]


# --- for `Subject("config", …)` -------------------------------------------------------------------------------------


def titles(keys: Iterable[str]) -> dict[str, str]:
    """Names of documents by their text keys, in one query."""
    wanted = [int(key) for key in keys if key.isdecimal()]
    return {str(pk): name for pk, name in ConfigDocument.objects.filter(pk__in=wanted).values_list("pk", "name")}


def url(key: str) -> str:
    """Where a document's page is."""
    return reverse("admin:state_configdocument_change", args=[key])


def visible_keys(user: Any) -> QuerySet[Any, Any]:
    """Text keys of the documents that `user` may see."""
    return visible_documents(user).annotate(text_key=Cast("pk", CharField())).values_list("text_key", flat=True)
