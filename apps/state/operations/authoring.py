"""Making documents, changing what is said about them, and vouching for a version."""

from __future__ import annotations

from typing import Any, TypedDict, Unpack

from apps.catalog.operations.writing import applied, checked
from apps.engine.operations import publish
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.operations import operation
from apps.state.contents import checksum
from apps.state.events import BaselineSet
from apps.state.live import Live
from apps.state.models import ConfigDocument, ConfigVersion
from apps.state.operations.belonging import (
    check_environment,
    check_pause,
    check_source,
    owned_service,
    require_may_move,
    require_revision,
)
from apps.state.operations.recording import (
    add_version,
    clean_text,
    locked,
    save_head,
    subject_of,
    told,
    version_of,
)
from apps.state.permissions import ADD, CHANGE, SET_BASELINE, require_may
from apps.state.queries import target_problems
from apps.state.schemas import check_schema, require_valid

LEAST_PAUSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 7 * 24 * 3600


class DocumentFields(TypedDict, total=False):
    """What is said about a document; all of it may change later."""

    slug: str
    name: str
    description: str
    service_id: int
    environment_id: int | None
    schema: dict[str, Any]
    source_url: str
    capture_every_seconds: int


_KNOWN = frozenset(DocumentFields.__annotations__)


@operation
def create_document(*, content: Any = None, actor: Actor, **fields: Unpack[DocumentFields]) -> ConfigDocument:
    """Make a document of a service; one that is held here may have its first version at once.

    Needs `state.add_configdocument`, or to lead the team that owns the service. Raises Invalid with the fields,
    "bad_schema", "breaks_schema"; Conflict for a slug that is taken. A repeat makes no second one, for its slug is.
    """
    service = owned_service(fields.get("service_id"), actor, add=ADD)
    document = ConfigDocument(service=service)
    _put(document, fields)
    if content is not None:
        _require_here(document)
        require_valid(document.schema, content)
    document.save()
    if content is not None:
        first = Live(content, "", actor.name, checksum(content))
        add_version(document, first, origin=ConfigVersion.Origin.EDITED, actor=actor, note="first version")
        save_head(document)
    return document


@operation
def edit_document(
    document_id: int,
    *,
    expected_revision: int | None = None,
    reason: str = "",
    actor: Actor,
    **fields: Unpack[DocumentFields],
) -> ConfigDocument:
    """Change what is said about a document, never its content. A repeat changes nothing.

    Needs `state.change_configdocument`, or to lead the owning team (and that of a new service). A schema that the
    live content breaks is allowed: the page says so. Raises Invalid, Conflict "config_changed" for an old revision.
    """
    document = locked(document_id)
    require_may(actor, document, CHANGE)
    require_revision(document, expected_revision, code="config_changed")
    require_may_move(document, fields.get("service_id"), actor, add=ADD, change=CHANGE)
    if _put(document, fields):
        document.revision += 1
        document.save()
    return document


@operation
def set_baseline(
    document_id: int, version_id: int, *, expected_revision: int | None = None, reason: str, actor: Actor
) -> ConfigDocument:
    """Vouch for a version: a rollback returns to it from now on. A repeat changes nothing.

    Needs `state.set_baseline_configdocument`, or to lead the owning team, and a reason. Conflict for a version that
    does not verify or breaks the schema; NotFound for one of another document.
    """
    document = locked(document_id)
    require_may(actor, document, SET_BASELINE)
    require_revision(document, expected_revision, code="config_changed")
    why = clean_text(reason, "reason", required=True)
    version = version_of(document, version_id)
    if document.baseline_id == version.pk:
        return document
    if problems := target_problems(document, version, strict=True):
        raise Conflict(problems[0], code="not_a_baseline")
    document.baseline = version
    document.revision += 1
    document.save(update_fields=["baseline", "revision"])
    event = BaselineSet(**told(document, version), reason=why)
    publish(event, subject=subject_of(document), actor=actor)
    return document


# --- checks -----------------------------------------------------------------------------------------------------------


def _put(document: ConfigDocument, fields: DocumentFields) -> bool:
    """Check and set fields; whether any changed. The periodic capture starts or stops with them."""
    check_environment(fields.get("environment_id"))
    if "schema" in fields:
        check_schema(fields["schema"])
    if "source_url" in fields:
        check_source(fields["source_url"], "source_url")
    before = (document.source_url, document.capture_every_seconds)
    changed = applied(document, fields, _KNOWN)
    pause = document.capture_every_seconds
    check_pause(pause, "capture_every_seconds", least=LEAST_PAUSE_SECONDS, longest=LONGEST_PAUSE_SECONDS)
    if before != (document.source_url, document.capture_every_seconds) or document.pk is None:
        periodic = document.capture_every_seconds and not document.is_held_here
        document.next_capture_at = now() if periodic else None
        document.capture_error, document.unreachable_since = "", None
    checked(document)
    return changed


def _require_here(document: ConfigDocument) -> None:
    if not document.is_held_here:
        sentence = "This document is held at its source: capture it instead of writing its content here."
        raise Invalid(sentence, fields={"content": [sentence]})
