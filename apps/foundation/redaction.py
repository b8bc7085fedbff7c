"""Secrets never reach logs, events or error texts: what looks like one is masked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MASK = "•••"
_SECRET_NAMES = re.compile(
    r"pass(word|wd)|secret|token|api_?key|authorization|cookie|credential|private", re.IGNORECASE
)
_SECRET_TEXTS = re.compile(
    r"(?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"
    r"|\b(?:ptk|ofd|ofs)_[A-Za-z0-9_-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s:@]+(?=@)",
)
# Whoever has such a link needs no login, so logs must not hold one.
_LINKS = re.compile(r"(?P<path>/ack/(?:together/|test/)?)[A-Za-z0-9._%-]{8,}")


def redact_text(text: str) -> str:
    """`text` with bearer tokens, tokens of ours and passwords in addresses masked; a repeat changes nothing more."""
    return _SECRET_TEXTS.sub(lambda found: (found.group("scheme") or "") + MASK, text)


class _Opened:
    """The texts that this process has unsealed and may not write down, longest first."""

    texts: tuple[str, ...] = ()


def keep_out_of_logs(texts: Iterable[str]) -> None:
    """From now on `redact_line` masks these texts, in this process, instead of those that were named before.

    Whoever unseals credentials says so here, for a library may log them or raise with them in its message.
    """
    _Opened.texts = tuple(sorted(texts, key=len, reverse=True))


def redact_line(line: str) -> str:
    """A line of a log, with its traces, also without the tokens of links and without what this process has unsealed.

    A repeat changes nothing more.
    """
    for text in _Opened.texts:
        line = line.replace(text, MASK)
    return _LINKS.sub(lambda found: found.group("path") + MASK, redact_text(line))


def redact(value: Any) -> Any:
    """A copy of JSON-like `value` with every secret text, and every entry of a secret-sounding name, masked."""
    if isinstance(value, dict):
        return {
            name: MASK if isinstance(name, str) and _SECRET_NAMES.search(name) and entry else redact(entry)
            for name, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(entry) for entry in value]
    return redact_text(value) if isinstance(value, str) else value
