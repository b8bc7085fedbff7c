"""What the kinds that speak HTTP share: addresses, headers, expectations, and answers that can be stored."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpcore
from django.conf import settings
from pydantic import AfterValidator, Field, StringConstraints

from apps.foundation.egress import Answer
from apps.foundation.egress.addresses import PrivateAddress, resolve
from apps.foundation.egress.allowance import is_allowed
from apps.runbooks.steps.base import Options
from apps.runbooks.templating import Unknown, look_up

LOOK_SECONDS = 5.0
_KEPT_CHARACTERS = 4000
_KEPT_DEPTH = 8
_SHOWN_CHARACTERS = 200
_LARGEST_NUMBER = 2**63
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = {"idempotency-key", "host", "content-length", "transfer-encoding", "connection"}
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address: {error}.") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("An address begins with http:// or https:// and names a host.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("An address holds no password: put it into a header, as {{ secret.NAME }}.")
    if _UNPRINTABLE.search(url) or " " in url:
        raise ValueError("An address has no spaces and no control characters.")
    return url


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header.")
        if name.lower() in _OURS:
            raise ValueError(f"The portal sets the header {name} itself.")
        if _UNPRINTABLE.search(value):
            raise ValueError(f"The header {name} has a control character, such as a line end.")
    return headers


Url = Annotated[str, StringConstraints(min_length=1, max_length=2000), AfterValidator(_address)]
Headers = Annotated[dict[str, str], Field(max_length=50), AfterValidator(_headers)]
Status = Annotated[int, Field(ge=100, le=599)]


class Expectation(Options):
    """What a good answer is: one of these statuses (any 2xx when none is given), a text in it, values in its JSON."""

    status: list[Status] = []
    text: Annotated[str, StringConstraints(max_length=1000)] = ""
    json_: Annotated[dict[str, Any], Field(alias="json", max_length=50)] = {}

    def fault(self, answer: Answer) -> str:
        """Why the answer is not the expected one, in a sentence; empty when it is."""
        if not (answer.status in self.status if self.status else answer.is_ok):
            return f"It answered {answer.status}, not {self.statuses}."
        if self.text and self.text not in answer.text():
            return f"Its answer has no text {self.text!r}."
        return self._json_fault(answer) if self.json_ else ""

    @property
    def statuses(self) -> str:
        return " or ".join(str(status) for status in self.status) or "2xx"

    def _json_fault(self, answer: Answer) -> str:
        try:
            body = answer.json()
        except ValueError:
            return "Its answer is no JSON."
        for path, wanted in self.json_.items():
            try:
                found = look_up(path, body if isinstance(body, Mapping) else {})
            except Unknown:
                return f"Its answer has no {path}."
            alike = type(found) is type(wanted) or _both_numbers(found, wanted)
            if not alike or found != wanted:
                return f"{path} is {_shown(found)}, not {_shown(wanted)}."
        return ""

    def told(self) -> str:
        """The expectation for people."""
        parts = [f"expects {self.statuses}"]
        parts += [f"the text {self.text!r}"] if self.text else []
        parts += [f"{path} = {_shown(value)}" for path, value in self.json_.items()]
        return ", ".join(parts)


def _both_numbers(one: Any, other: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))


def _shown(value: Any) -> str:
    """A value as JSON; never a part of one, for a secret must be told by its whole text."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"a value of {len(text)} characters"


def refusal(url: str) -> str:
    """Why egress would not go to this address, in a sentence; empty when it would. Looks names up, sends nothing."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        resolve(host, port, LOOK_SECONDS, allowed=lambda *given: is_allowed(settings.EGRESS_ALLOW, *given))
    except PrivateAddress as error:
        return f"{error}: only public addresses may be reached, and those that EGRESS_ALLOW names."
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        return f"{error}"
    return ""


def place(url: str) -> str:
    """Where an address leads, without its query, for people."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def told_answer(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An answer as `kept` has kept it, for people: `200 after 35 ms`."""
    if "status" not in data:
        return []
    took = f" after {data['elapsed_ms']} ms" if "elapsed_ms" in data else ""
    return [("Answer", f"{data['status']}{took}")]


def told_place(url: Any) -> str:
    """`place` of a kept address, which a mask may have made unreadable."""
    try:
        return place(str(url))
    except ValueError:
        return "an address that holds a secret"


def kept(answer: Answer) -> dict[str, Any]:
    """What an outcome keeps of an answer: its status, the beginning of its text, its JSON where that is small."""
    found: dict[str, Any] = {
        "status": answer.status,
        "elapsed_ms": round(answer.elapsed_seconds * 1000),
        "text": storable(answer.text()[:_KEPT_CHARACTERS]),
    }
    if len(answer.body) <= _KEPT_CHARACTERS * 4:
        try:
            found["json"] = storable(answer.json())
        except ValueError:
            return found
    return found


def storable(value: Any, depth: int = 1) -> Any:
    """JSON-like `value` as every database can hold it: no U+0000, no half surrogates, no NaN, not deep."""
    if depth > _KEPT_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {storable(str(name)): storable(entry, depth + 1) for name, entry in value.items()}
    if isinstance(value, list):
        return [storable(entry, depth + 1) for entry in value]
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    # The comparison comes first: a large whole number is not even a float.
    if isinstance(value, int | float) and not (abs(value) < _LARGEST_NUMBER and math.isfinite(value)):
        return str(value)
    return value
