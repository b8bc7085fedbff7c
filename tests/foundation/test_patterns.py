"""Regular expressions in routing: the same answers as Python's, in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.foundation.patterns import BadPattern, Pattern

pieces = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\w", "1", "-"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(pieces, st.text("ab1-", max_size=8))
def test_it_answers_as_pythons_own_engine(pattern: str, value: str) -> None:
    assert Pattern(pattern).fullmatch(value) is (re.fullmatch(pattern, value) is not None)


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("prod-.*", "prod-eu-1", True),
        ("^(api|web)-[0-9]{1,3}$", "web-07", True),
        ("(?i)Prod", "pROD", True),
        ("prod", "prod-eu", False),
        ("", "", True),
        (".", "\n", False),
        ("(?s).", "\n", True),
        ("[[:alpha:]]", "a", False),
    ],
)
def test_patterns_as_people_write_them(pattern: str, value: str, matches: bool) -> None:
    assert Pattern(pattern).fullmatch(value) is matches


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(.*)*(.*)*x", "(a?){30}a{30}b", ".*a.*a.*a.*b"])
def test_patterns_that_explode_elsewhere_end_soon(pattern: str) -> None:
    found, start = Pattern(pattern), time.process_time()
    assert not found.fullmatch("a" * 4096)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "not a regular expression"),
        (r"(a)\1", "Back-references"),
        ("a(?=b)", "looking"),
        (r"\bx", "looking"),
        ("(a{1,100}){1,100}", "too large"),
        ("(?m)a", "flag"),
        ("(?i:a)b", "Flags inside"),
        ("(?>a)", "possessive"),
    ],
)
def test_what_cannot_be_done_in_linear_time_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern, match=why):
        Pattern(pattern)
