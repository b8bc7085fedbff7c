"""Secrets of steps: named in a runbook, filled in just before the effect, and masked in all that is stored or shown."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from apps.foundation.redaction import MASK, keep_out_of_logs, redact
from apps.people.crypto import Unreadable, unseal
from apps.runbooks.models import Secret
from apps.runbooks.templating import Unknown

SHORTEST = 8
SHORTEST_PATH = 16
# Nothing is cut off to less than this; a shorter text that ends as a secret begins is a word of its own.
SHORTEST_CUT = 300
LONGEST = 4000


class Vault:
    """All secrets as they are now, read once; what it masks it also resolves."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._unreadable: set[str] = set()
        for name, sealed in Secret.objects.order_by("name").values_list("name", "value_encrypted"):
            try:
                self._values[name] = _opened(sealed)
            except Unreadable:
                self._unreadable.add(name)
        forms = {form for value in self._values.values() for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)
        keep_out_of_logs(self._forms)

    def resolve(self, name: str) -> str:
        """The text of a secret. Raises Unknown where there is none, or where its key is gone."""
        if name in self._unreadable:
            raise Unknown(f"The secret `{name}` can't be read with this SECRET_KEY: set it again.")
        if name not in self._values:
            raise Unknown(f"There is no secret `{name}`.")
        return self._values[name]

    def mask(self, value: Any) -> Any:
        """A copy of JSON-like `value` in which no secret can be read, keys included; a repeat changes nothing."""
        return self._masked(redact(value))

    def mask_text(self, text: str) -> str:
        """`text` without secrets, also where it was cut off within one."""
        for form in self._forms:
            text = text.replace(form, MASK)
        if len(text) >= SHORTEST_CUT:
            for form in self._forms:
                text = _without_beginning(text, form)
        return text

    def holds(self, value: Any) -> bool:
        """Whether the text of a secret stands anywhere in `value`."""
        return bool(self._masked(value) != value)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.mask_text(str(name)): self._masked(entry) for name, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(entry) for entry in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            masked = self.mask_text(written)
            return value if masked == written else masked
        return self.mask_text(value) if isinstance(value, str) else value


def _without_beginning(text: str, form: str) -> str:
    """`text` without the beginning of a form of a secret at its very end: whoever kept only so much cut it there."""
    at = text.find(form[:SHORTEST], max(0, len(text) - len(form)))
    while at >= 0:
        if form.startswith(text[at:]):
            return text[:at] + MASK
        at = text.find(form[:SHORTEST], at + 1)
    return text


def mask(value: Any) -> Any:
    """`value` without the text of any secret, also where it is percent-encoded, Base64, JSON- or HTML-escaped, and
    without what only looks like a credential. One query; use a `Vault` for many values."""
    return Vault().mask(value)


@lru_cache(maxsize=512)
def _opened(sealed: str) -> str:
    return unseal(sealed)


@lru_cache(maxsize=512)
def _forms(value: str) -> tuple[str, ...]:
    """Every way in which `value` may be written in a request, an answer or an error text."""
    escaped = [
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
        html.escape(value),
        html.escape(value).replace("&#x27;", "&#39;"),
        repr(value)[1:-1],
    ]
    quoted = [quote(value, safe=""), quote(value), quote_plus(value), quote(value, safe="").lower()]
    found = {value, value.lower(), *escaped, *quoted, *_base64_forms(value.encode())}
    return (*(form for form in found if len(form) >= SHORTEST), *_address_forms(value))


def _address_forms(value: str) -> Iterable[str]:
    """What is shown of an address that is a secret as a whole: its path without its query. Short ones are words."""
    if not value.startswith(("http://", "https://")):
        return
    try:
        parts = urlsplit(value)
    except ValueError:
        return
    for part in (parts.path, parts.path.rstrip("/"), parts.query):
        if len(part) >= SHORTEST_PATH:
            yield part


def _base64_forms(raw: bytes) -> Iterable[str]:
    """The characters that `raw` alone decides, at each of the three places where it may begin in a longer text."""
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        kept = whole[(0, 2, 3)[shift] :]
        kept = kept if (len(raw) + shift) % 3 == 0 else kept[:-1]
        yield kept
        yield kept.replace("+", "-").replace("/", "_")
