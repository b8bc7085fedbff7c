"""Makers of config documents for the tests of this app."""

from __future__ import annotations

from itertools import count
from typing import Any

from apps.foundation.actor import Actor
from apps.state import operations
from apps.state.models import ConfigDocument, ConfigVersion
from tests.factories import service
from tests.state.conftest import HEALTHY

_numbers = count(1)
PORTAL = Actor.system()


def held_here(content: Any = HEALTHY, **fields: Any) -> ConfigDocument:
    """A document that the portal holds, with a first version that is also the baseline."""
    number = next(_numbers)
    fields.setdefault("service_id", service(f"Game{number}").pk)
    made = operations.create_document(
        slug=f"config-{number}", name=f"Config {number}", content=content, actor=PORTAL, **fields
    )
    assert made.head is not None
    return operations.set_baseline(made.pk, made.head.pk, reason="known to be good", actor=PORTAL)


def at_source(url: str, **fields: Any) -> ConfigDocument:
    """A document that a source holds, captured once; what was seen then is the baseline."""
    number = next(_numbers)
    fields.setdefault("service_id", service(f"Game{number}").pk)
    made = operations.create_document(
        slug=f"config-{number}", name=f"Config {number}", source_url=url, actor=PORTAL, **fields
    )
    seen = operations.capture(made.pk, actor=PORTAL)
    return operations.set_baseline(made.pk, seen.pk, reason="known to be good", actor=PORTAL)


def again(document: ConfigDocument) -> ConfigDocument:
    """The row as it is now."""
    return ConfigDocument.objects.select_related("head", "baseline", "service").get(pk=document.pk)


def origins(document: ConfigDocument) -> list[str]:
    """How the versions of a document came to be, the first one first."""
    return list(ConfigVersion.objects.filter(document=document).order_by("number").values_list("origin", flat=True))
