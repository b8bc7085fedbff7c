"""How the load is shared, in hours, nights, weekends, holidays and words."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock
from apps.oncall.models import Rotation
from apps.oncall.operations import add_override, create_rotation
from apps.oncall.queries.fairness import fairness
from apps.oncall.schedule import Shift, tally
from apps.people.models import User
from tests.factories import bearer, named, person

SYSTEM = Actor.system()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 5, 11, tzinfo=UTC)


def none(_day: date) -> bool:
    return False


def test_a_week_has_seven_nights_and_one_weekend() -> None:
    (found,) = tally([Shift(1, MONDAY, MONDAY + 7 * DAY)], {1: "UTC"}, lambda day: day == date(2026, 5, 14)).values()
    assert found.shifts == 1
    assert [
        seconds / 3600 for seconds in (found.seconds, found.night_seconds, found.weekend_seconds, found.holiday_seconds)
    ] == [168, 56, 48, 24]


def test_nights_are_those_of_the_persons_zone_and_clock_changes_count() -> None:
    noon = datetime(2026, 5, 12, 12, tzinfo=UTC)
    shift = [Shift(1, noon, noon + 8 * HOUR)]
    assert tally(shift, {1: "UTC"}, none)[1].night_seconds == 0
    assert tally(shift, {1: "Asia/Tokyo"}, none)[1].night_seconds == 7 * 3600  # 21:00 to 05:00
    change = [Shift(1, datetime(2026, 3, 28, 21, tzinfo=UTC), datetime(2026, 3, 29, 4, tzinfo=UTC))]
    assert (
        tally(change, {1: "Europe/Berlin"}, none)[1].night_seconds == 7 * 3600
    )  # 22:00 to 06:00, of which one is none


def test_shifts_that_touch_are_one_and_the_cost_is_linear() -> None:
    hourly = [Shift(1, MONDAY + n * HOUR, MONDAY + (n + 1) * HOUR) for n in range(48)]
    assert tally(hourly, {}, none)[1].shifts == 1
    assert tally(hourly, {}, none)[1].seconds == 48 * 3600


@pytest.mark.django_db
def test_who_had_more_than_a_fair_share_is_said_in_words(
    weekly: Rotation, ana: User, ben: User, cat: User, clock: ManualClock
) -> None:
    add_override(weekly.pk, cat.pk, MONDAY + 10 * HOUR, MONDAY + 34 * HOUR, replaces_id=ben.pk, actor=SYSTEM)
    begins = datetime(2026, 5, 11, 9, tzinfo=UTC)
    rows = {row.user.pk: row for row in fairness([weekly], begins, begins + 14 * DAY)}
    assert (rows[ana.pk].hours, rows[ben.pk].hours, rows[cat.pk].hours) == (168, 144, 24)
    assert rows[ana.pk].expected_hours == rows[ben.pk].expected_hours == 168
    assert rows[ana.pk].deviation == "about a fair share"
    assert rows[ben.pk].deviation == "24 h less than a fair share (14 %)"
    assert rows[cat.pk].deviation == "24 h without a place in the order"


@pytest.mark.django_db
def test_a_time_zone_that_does_not_exist_breaks_nothing(weekly: Rotation, ana: User, clock: ManualClock) -> None:
    User.objects.filter(pk=ana.pk).update(time_zone="Mars/Base")
    assert {row.user.name for row in fairness([weekly], clock(), clock() + timedelta(days=14))} == {"Ana", "Ben"}


@pytest.mark.django_db
def test_the_page_the_file_and_the_api_say_the_same(weekly: Rotation, ana: User, clock: ManualClock) -> None:
    User.objects.filter(pk=ana.pk).update(display_name="=HYPERLINK(1)")
    url = f"{reverse('admin:oncall_rotation_fairness')}?rotation={weekly.pk}&start=2026-05-11&end=2026-05-24"
    client = Client()
    client.force_login(named("vic", "viewer"))
    assert "Fair share" in client.get(url).content.decode()
    answer = client.get(f"{url}&format=csv")
    assert answer["Content-Type"].startswith("text/csv")
    rows: list[Any] = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["person"] for row in rows} == {"'=HYPERLINK(1)", "Ben"}
    api = Client().get(
        f"/api/v1/oncall/fairness/?rotation={weekly.pk}&start=2026-05-11T00:00:00Z&end=2026-05-25T00:00:00Z",
        headers=bearer(ana),
    )
    assert sorted(str(row["hours"]) for row in api.json()) == sorted(row["hours"] for row in rows)
    for wrong in ("start=2026-06-01&end=2026-05-01", "start=x", "start=1000-01-01&end=1000-01-02"):
        html = client.get(f"{reverse('admin:oncall_rotation_fairness')}?{wrong}").content.decode()
        assert "These are the last ninety" in html
    stranger = Client()
    stranger.force_login(person())
    assert stranger.get(url).status_code == 302


@pytest.mark.django_db
def test_it_costs_the_same_for_many_rotations(weekly: Rotation, core: Any, clock: ManualClock) -> None:
    begins = clock()
    with CaptureQueriesContext(connection) as one:
        fairness([weekly], begins, begins + DAY)
    more = [create_rotation(core.pk, f"r{n}", f"R{n}", member_ids=[named(f"p{n}").pk], actor=SYSTEM) for n in range(5)]
    with CaptureQueriesContext(connection) as many:
        fairness([weekly, *more], begins, begins + DAY)
    assert len(many) == len(one)


@pytest.mark.django_db
def test_pages_are_counted() -> None:
    from apps.foundation.clock import now
    from tests.factories import answers_for, incident, rotation, team

    dan = named("dan", "responder")
    answers_for("primary", dan)
    answers_for("secondary", named("eve", "responder"))
    core = team("Core")
    incident("Nobody can log in", "P0", team_id=core.pk)
    (row,) = fairness([rotation(core, dan)], now() - DAY, now() + DAY)
    assert row.pages
