"""The runbooks that ship with the portal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.runbooks.documents import read_content
from apps.runbooks.models import Runbook, RunbookVersion
from apps.runbooks.operations.authoring import activate_version, create_runbook, save_version

SHIPPED_NOTE = "shipped with the portal"
_LIBRARY = Path(__file__).parent.parent / "library"


def load_library(
    actor: Actor,
    *,
    owner_id: int,
    owners: Mapping[str, int] | None = None,
    services: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, str] | None = None,
) -> list[RunbookVersion]:
    """Import every shipped runbook, and activate it where nothing is active or only an older shipped text is.

    `owners` and `services` say by slug what differs from `owner_id` and none. `values` fills the shipped texts' own
    marks, such as `@WORLD@` by {"WORLD": "http://127.0.0.1:8900"}. A version that people activated stays. Repeats
    change nothing.
    """
    found = []
    for path in shipped_runbooks():
        text = path.read_text(encoding="utf-8")
        for name, value in {"WORLD": "http://127.0.0.1:8900", **(values or {})}.items():
            text = text.replace(f"@{name}@", value)
        owner = (owners or {}).get(path.stem, owner_id)
        given = (services or {}).get(path.stem, ())
        found.append(_import_shipped(path.stem, text, owner_id=owner, service_ids=given, actor=actor))
    return found


def shipped_runbooks() -> list[Path]:
    """The files of the runbooks that come with the portal, in the order of their names."""
    return sorted(_LIBRARY.glob("*.yaml"))


@operation
def _import_shipped(slug: str, text: str, *, owner_id: int, service_ids: Sequence[int], actor: Actor) -> RunbookVersion:
    runbook = Runbook.objects.select_related("active_version").filter(slug=slug).first()
    if runbook is None:
        document, _ = read_content(text)
        runbook = create_runbook(
            slug,
            document.title,
            owner_id=owner_id,
            description=document.description,
            category=document.category,
            service_ids=service_ids,
            actor=actor,
        )
    active = runbook.active_version
    version = save_version(runbook.pk, text, note=SHIPPED_NOTE, actor=actor)
    untouched = active is None or (active.pk != version.pk and active.note == SHIPPED_NOTE and active.author_id is None)
    if untouched and runbook.state != Runbook.State.RETIRED:
        activate_version(version.pk, reason=SHIPPED_NOTE, actor=actor)
    return version
