"""Small values: every colour of a pack stays readable, and clocks read as clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils.formats import date_format
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from apps.foundation.markdown import to_html
from apps.incidents.admin.showing import ago_text, clock_text, luminance, moment, readable_on, span_text


@given(st.from_regex(r"#[0-9a-fA-F]{6}", fullmatch=True))
def test_text_on_any_colour_has_the_contrast_of_wcag_aa(color: str) -> None:
    text, ground = luminance(readable_on(color)), luminance(color)
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (67, "1:07"), (3753, "1:02:33"), (187200, "2d 4h"), (-90, "1:30")]
)
def test_a_clock_reads_as_a_clock(seconds: int, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "just now"), (240, "4 min ago"), (-240, "in 4 min"), (90000, "1 d ago")]
)
def test_a_distance_in_time_reads_in_its_largest_unit(seconds: int, text: str) -> None:
    assert ago_text(timedelta(seconds=seconds)) == text


def test_a_span_has_two_units_at_most() -> None:
    assert [span_text(value) for value in (0, 61, 3600, 90061)] == ["0 s", "1 min 1 s", "1 h", "1 d 1 h"]


def test_the_lists_of_the_admin_write_dates_as_the_pages_do() -> None:
    with override("en-us"):
        assert date_format(datetime(2026, 11, 21, 14, 50, tzinfo=UTC), "DATETIME_FORMAT") == "2026-11-21 14:50"


def test_an_instant_is_shown_in_the_readers_zone_and_in_utc_on_hover() -> None:
    at = datetime(2025, 11, 10, 14, 3, 22, tzinfo=UTC)
    shown = moment(at, ZoneInfo("Asia/Tokyo"), at + timedelta(minutes=5))
    assert (shown.local, shown.utc) == ("23:03:22", "2025-11-10 14:03:22 UTC")
    assert moment(at, ZoneInfo("UTC"), at + timedelta(days=2)).local == "Nov 10 14:03"


@pytest.mark.parametrize("unit", ["![", "[", "[a](", "![]("])
def test_hostile_markdown_is_shown_as_it_was_written_and_at_once(unit: str) -> None:
    began = time.monotonic()
    text = to_html(unit * 50_000 + "<script>")
    assert time.monotonic() - began < 1
    assert "&lt;script&gt;" in text


def test_markdown_of_people_brings_no_script_in() -> None:
    text = to_html("<script>alert(1)</script> [x](javascript:alert(1)) ![i](http://x/y.png) **b** <img onerror=x>")
    assert "<strong>b</strong>" in text
    assert not {"<script", "<img", 'href="javascript'} & {
        part for part in ("<script", "<img", 'href="javascript') if part in text
    }
