"""Reading JSON so that nothing odd gets further than the edge."""

from __future__ import annotations

import json
import math
import re
from typing import IO, Any, NoReturn

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from apps.foundation.errors import TooLarge

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 32
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_LARGEST = 2**63 - 1


def _no_constants(name: str) -> NoReturn:
    raise ParseError(f"The body is not JSON: {name} is no JSON number.")


def _check_scalar(value: Any) -> None:
    if isinstance(value, str) and _NOT_STORABLE.search(value):
        raise ParseError("The body holds a NUL character or half a surrogate pair, which can't be stored.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ParseError("The body holds a number that is too large.")
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        raise ParseError("The body holds a whole number of more than 63 bits.")


def check_json(document: Any) -> None:
    """Raise ParseError for text or numbers that no database column holds, or nesting over 32 levels."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, dict):
            for name in value:
                _check_scalar(name)
            waiting.extend((entry, depth + 1) for entry in value.values())
        elif isinstance(value, list):
            waiting.extend((entry, depth + 1) for entry in value)
        else:
            _check_scalar(value)


class StrictJSONParser(BaseParser):
    """JSON in UTF-8 of at most 1 MiB, without NaN, NUL, lone surrogates, huge numbers or deep nesting."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise TooLarge("The body is over 1 MiB.")
        try:
            document = json.loads(raw.decode("utf-8"), parse_constant=_no_constants)
        except UnicodeDecodeError as error:
            raise ParseError(f"The body is not UTF-8 (byte {error.start}).") from error
        except json.JSONDecodeError as error:
            raise ParseError(
                f"The body is not JSON: {error.msg} (line {error.lineno} column {error.colno})."
            ) from error
        except RecursionError as error:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
        except ValueError as error:  # a whole number of thousands of digits
            raise ParseError("The body holds a number that is too long.") from error
        check_json(document)
        return document
