"""Checks of what people and programs hand in, with sentences that help."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from apps.flags.models import Flag
from apps.foundation.actor import Actor
from apps.foundation.checking import checked_text, invalid
from apps.foundation.errors import Conflict, Invalid
from apps.foundation.subjects import Subject, is_visible
from apps.people.queries import user_of

MAX_REASON = 300
MAX_TEXT = 10_000
MAX_KEY = 100
KEY = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_KEY}}}\Z")
KEY_RULE = "A key has 1 to 100 letters, digits, dots, dashes and underscores, for example payments.checkout."
_NO_ADDRESS = frozenset({".", ".."})  # as the last part of an address they mean something else
_MOST_DIGITS = 18


def reason_of(value: str) -> str:
    """Why a state changes: never left out."""
    return checked_text(value, "reason", most=MAX_REASON)


def key_of(value: str) -> str:
    """A key as programs ask for it. Raises Invalid."""
    if not KEY.match(value) or value in _NO_ADDRESS:
        raise invalid("key", KEY_RULE)
    return value


def about_subject(about: Subject | None, actor: Actor) -> Subject:
    """What a kill is about, if `actor` may know of it; nothing in particular is an empty subject. Raises Invalid."""
    if about is None or not about.kind:
        return Subject("", "")
    known = about.key.isascii() and about.key.isdecimal() and len(about.key) <= _MOST_DIGITS
    user = user_of(actor)
    if known and (actor.is_system or (user is not None and is_visible(about, user))):
        return Subject(about.kind, str(int(about.key)))
    raise invalid("about", "There is no such thing to link, or you may not see it.")


def checked(flag: Flag) -> Flag:
    """The flag, if all its values and constraints hold; else Invalid, or Conflict for a key that is taken."""
    try:
        flag.full_clean()
    except ValidationError as error:
        codes: set[Any] = {each.code for several in error.error_dict.values() for each in several}
        if codes in ({"unique_together"}, {"unique"}) or "flag_key_is_unique" in str(error):
            sentence = f"{flag.environment.name} has a flag {flag.key} already."
            raise Conflict(sentence, code="key_taken", fields={"key": [sentence]}) from error
        fields = {("" if name == NON_FIELD_ERRORS else name): list(lines) for name, lines in error.message_dict.items()}
        name, lines = next(iter(fields.items()))
        raise Invalid(f"{name}: {lines[0]}" if name else lines[0], fields=fields) from error
    return flag
