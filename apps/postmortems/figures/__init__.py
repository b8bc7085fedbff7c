"""The computed parts of a review: read from the incident while it is written, frozen once it is reviewed.

Nothing here is typed in. `computed` reads the incident afresh for a draft and a review in work, and gives the frozen
copy afterwards, whatever becomes of the incident.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from apps.foundation.clock import now
from apps.postmortems.figures.parts import Computed, Cycle, Executed, Fact, Figure, Holder, Line, Participant, Touched
from apps.postmortems.figures.reading import read
from apps.postmortems.figures.spans import span_words
from apps.postmortems.models import Review

__all__ = [
    "Computed",
    "Cycle",
    "Executed",
    "Fact",
    "Figure",
    "Holder",
    "Line",
    "Participant",
    "Touched",
    "computed",
    "freeze",
    "span_words",
]

_adapter = TypeAdapter(Computed)


def computed(review: Review) -> Computed:
    """The computed parts: frozen ones for a reviewed or closed review, else those of this instant.

    Some fifteen queries for the latter, whatever the size of the timeline; none for the former.
    """
    if review.frozen is not None:
        return _adapter.validate_python(review.frozen)
    return read(review)


def freeze(review: Review) -> dict[str, Any]:
    """The computed parts of this instant as JSON, to keep."""
    found: dict[str, Any] = _adapter.dump_python(read(review, frozen_at=now()), mode="json")
    return found
