"""Texts that people and programs hand in."""

from __future__ import annotations

import pytest

from apps.foundation.checking import checked_text
from apps.foundation.errors import Invalid


def test_a_text_is_kept_without_the_blanks_around_it() -> None:
    assert checked_text("  it loses money\n", "reason", most=14) == "it loses money"
    assert checked_text(" ", "reason", most=14, required=False) == ""


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (" ", "Give a due note: it is empty."),
        ("x" * 1001, "The due note is too long: 1,001 characters, at most 1,000."),
        ("a\x00b", "The due note has a NUL character, which can't be stored."),
    ],
    ids=["empty", "too long", "a NUL"],
)
def test_a_text_that_cannot_be_kept_is_refused_under_its_name(value: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked_text(value, "due_note", most=1000)
    assert refused.value.fields == {"due_note": [sentence]}
