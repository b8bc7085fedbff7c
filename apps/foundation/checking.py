"""Checks of what people and programs hand in, with sentences that help."""

from __future__ import annotations

from apps.foundation.errors import Invalid


def checked_text(value: str, name: str, *, most: int, required: bool = True) -> str:
    """`value` without blanks around it. Invalid when it is empty though required, too long, or holds a NUL."""
    found, words = value.strip(), name.replace("_", " ")
    if required and not found:
        raise invalid(name, f"Give a {words}: it is empty.")
    if len(found) > most:
        raise invalid(name, f"The {words} is too long: {len(found):,} characters, at most {most:,}.")
    if "\x00" in found:
        raise invalid(name, f"The {words} has a NUL character, which can't be stored.")
    return found


def invalid(name: str, sentence: str) -> Invalid:
    """One input that is wrong."""
    return Invalid(sentence, fields={name: [sentence]})
