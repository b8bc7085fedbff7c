"""Markdown that people wrote, as HTML that is safe to show."""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.utils.html import linebreaks
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_TAGS = set("p br strong em s code pre ul ol li blockquote a hr h3 h4 h5 h6".split())  # noqa: SIM905  # reads better
# Looking for the ends of links takes far longer than all else: this many, or so long a text, are no text of a person.
_MOST_BRACKETS = 2_000
_MOST_CHARACTERS = 200_000
_reader = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True})


@lru_cache(maxsize=2048)
def to_html(text: str) -> SafeString:
    """Safe HTML of Markdown: no raw HTML, no images, no scripts; links open elsewhere and tell nobody from where.

    A text that would take long to read as Markdown is shown as it was written.
    """
    is_quick = len(text) <= _MOST_CHARACTERS and text.count("[") <= _MOST_BRACKETS
    rendered = _reader.render(text) if is_quick else linebreaks(text, autoescape=True)
    clean = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308  # nh3 has just cleaned it
