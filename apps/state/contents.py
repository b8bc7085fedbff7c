"""What a config document may hold, its canonical form, and its secrets behind a mask."""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

from apps.foundation.errors import Invalid
from apps.foundation.redaction import MASK, redact

MOST_BYTES = 256 * 1024
MOST_DEPTH = 30
MOST_ENTRIES = 20_000
_LARGEST_WHOLE = 2**63
_FIRST_SURROGATE, _LAST_SURROGATE = "\ud800", "\udfff"


def check_content(content: Any) -> None:
    """Raise Invalid for what is no JSON object that every database here can keep, with the place and the reason."""
    if not isinstance(content, dict):
        raise _wrong("", "A config document is a JSON object.")
    _check(content, "", 0, [0])
    if len(json.dumps(content, ensure_ascii=False).encode()) > MOST_BYTES:
        raise _wrong("", f"A config document holds at most {MOST_BYTES // 1024} KiB.")


def _wrong(path: str, sentence: str) -> Invalid:
    place = f"content.{path}" if path else "content"
    return Invalid(f"{path}: {sentence}" if path else sentence, fields={place: [sentence]})


def _check(value: Any, path: str, depth: int, count: list[int]) -> None:
    count[0] += 1
    if depth > MOST_DEPTH:
        raise _wrong(path[:200], f"Nested deeper than {MOST_DEPTH} levels.")
    if count[0] > MOST_ENTRIES:
        raise _wrong("", f"A config document holds at most {MOST_ENTRIES} entries.")
    if isinstance(value, dict):
        for name, entry in value.items():
            _check_text(name, path)
            _check(entry, join(path, name), depth + 1, count)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _check(entry, join(path, index), depth + 1, count)
    elif isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _wrong(path, "NaN and infinity are no JSON numbers.")
    elif isinstance(value, int) and not -_LARGEST_WHOLE <= value < _LARGEST_WHOLE:
        raise _wrong(path, "Whole numbers must fit 64 bits.")
    elif value is not None and not isinstance(value, int):
        raise _wrong(path, "This is no JSON value.")


def _check_text(text: Any, path: str) -> None:
    if not isinstance(text, str):
        raise _wrong(path, "Names in a JSON object are text.")
    if "\x00" in text or not (
        text.isascii() or all(not _FIRST_SURROGATE <= letter <= _LAST_SURROGATE for letter in text)
    ):
        raise _wrong(path, "NUL characters and halves of surrogate pairs can't be stored.")


def join(path: str, step: str | int) -> str:
    """The path one step further: `economy.drop_rate`, `items[0]`, `["odd name"]`."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if step.isidentifier() or (step and step.replace("-", "_").isidentifier()):
        return f"{path}.{step}" if path else step
    return f"{path}[{json.dumps(step, ensure_ascii=False)}]"


def canonical(content: Any) -> Any:
    """The same content with every number in one form: a database may write 1e16 as 10000000000000000."""
    if isinstance(content, dict):
        return {name: canonical(entry) for name, entry in content.items()}
    if isinstance(content, list):
        return [canonical(entry) for entry in content]
    if isinstance(content, float) and math.isfinite(content) and content.is_integer():
        whole = int(Decimal(repr(content)))
        return whole if -_LARGEST_WHOLE <= whole < _LARGEST_WHOLE else content
    if isinstance(content, int) and not isinstance(content, bool) and not -_LARGEST_WHOLE <= content < _LARGEST_WHOLE:
        return float(content)
    return content


def checksum(content: Any) -> str:
    """SHA-256 of the content as canonical JSON: sorted names, no spaces, 1.0 written as 1."""
    text = json.dumps(canonical(content), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def shown(content: Any) -> Any:
    """The content as people and programs may see it: what looks like a secret is masked."""
    return redact(content)


def unmasked(given: Any, current: Any) -> Any:
    """What an editor meant who was shown `shown(current)`: each untouched mask is the present value again.

    Raises Invalid where a mask stands at a place that hides nothing, since it would be stored as the secret.
    """
    return _unmasked(given, current, redact(current), "")


def _unmasked(given: Any, current: Any, seen: Any, path: str) -> Any:
    if isinstance(given, dict):
        old = current if isinstance(current, dict) and isinstance(seen, dict) else {}
        return {
            name: _unmasked(entry, old.get(name), seen.get(name) if name in old else None, join(path, name))
            for name, entry in given.items()
        }
    if isinstance(given, list):
        fits = isinstance(current, list) and isinstance(seen, list)
        return _unmasked_list(given, current if fits else [], seen if fits else [], path)
    if isinstance(given, str) and MASK in given:
        if given != seen:
            raise _wrong(path, f"{MASK} stands for a hidden value, and there is none here: write the value itself.")
        return current
    return given


def _unmasked_list(given: list[Any], current: list[Any], seen: list[Any], path: str) -> list[Any]:
    """Entries of lists have no names: one with a mask is found again by what it shows, wherever it moved to.

    One that was edited is taken by its place, but only while no other has moved; else its secret could become that
    of another entry, so it must be written out.
    """
    if not _has_mask(given):
        return given
    places: dict[str, list[int]] = {}
    for at, entry in enumerate(seen):
        places.setdefault(checksum(entry), []).append(at)
    same = [places.get(checksum(entry), []) for entry in given]
    stays = len(given) == len(current) and all(not found or at in found for at, found in enumerate(same))
    meant = []
    for at, (entry, found) in enumerate(zip(given, same, strict=True)):
        if not _has_mask(entry):
            meant.append(entry)
        elif stays:
            meant.append(_unmasked(entry, current[at], seen[at], join(path, at)))
        elif found and len({checksum(current[place]) for place in found}) == 1:
            meant.append(current[found[0]])
        else:
            raise _wrong(join(path, at), f"The list was changed around this entry: write out what {MASK} hides.")
    return meant


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_mask(entry) for entry in value.values())
    if isinstance(value, list):
        return any(_has_mask(entry) for entry in value)
    return isinstance(value, str) and MASK in value
