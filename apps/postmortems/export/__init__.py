"""A review as Markdown, in the order of the pack's template, to keep or to share.

Everything goes through one filter: what looks like a secret is masked, and in an anonymised export every person's name
is replaced by their role or a pseudonym, the same one throughout. What people wrote is escaped in tables and lists of
facts, so that it can't break them; the written sections are Markdown and stay what they are.
"""

from __future__ import annotations

from datetime import UTC

from django.utils.text import slugify

from apps.postmortems.export.names import Pseudonyms
from apps.postmortems.export.writing import document
from apps.postmortems.figures import computed
from apps.postmortems.models import Review
from apps.runbooks.secrets import Vault

__all__ = ["filename", "markdown"]

_LONGEST_NAME = 80


def markdown(review: Review, *, anonymised: bool = False) -> str:
    """The whole review. Computed parts are frozen ones for a reviewed review, else those of this instant."""
    found = computed(review)
    clean = Pseudonyms(review, found).replace if anonymised else _as_it_is
    vault = Vault()
    # Secrets first: a name within one must not keep it from being recognised.
    return document(review, found, lambda text: clean(str(vault.mask(text))))


def filename(review: Review, *, anonymised: bool = False) -> str:
    """`2025-11-10-nobody-can-log-in.md`: the day of the detection, in UTC, and the title, or the incident's number
    where the title has no letters of the alphabet, or may name somebody."""
    day = f"{review.incident.detected_at.astimezone(UTC):%Y-%m-%d}"
    words = "" if anonymised else slugify(review.title)[:_LONGEST_NAME].strip("-")
    return f"{day}-{words or slugify(review.incident.number)}.md"


def _as_it_is(text: str) -> str:
    return text
