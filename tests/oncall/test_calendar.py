"""The calendar: which bars, which marks, in whose zone; bad questions; the cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock
from apps.oncall.models import Override, Rotation, Swap
from apps.oncall.operations import (
    add_coverage,
    add_override,
    bind_role,
    create_holiday_calendar,
    create_rotation,
    request_swap,
    take_swap,
    update_layer,
)
from apps.oncall.queries import next_shift_of
from apps.oncall.schedule import Shift, clashes
from apps.people.models import User
from tests.factories import actor, named, person, team

SYSTEM = Actor.system()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
URL = "/admin/oncall/rotation/calendar/"
database = pytest.mark.django_db


def shown(user: User, query: str = "") -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(f"{URL}?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_is_on_in_two_rotations_at_once_is_a_clash_and_touching_is_none() -> None:
    first, second = [Shift(1, NOON, NOON + DAY)], [Shift(1, NOON + 20 * HOUR, NOON + 30 * HOUR)]
    (found,) = clashes({7: first, 8: second})
    assert (found.user_id, found.rotation_ids) == (1, (7, 8))
    assert (found.starts_at, found.ends_at) == (NOON + 20 * HOUR, NOON + DAY)
    assert clashes({7: first, 8: [Shift(1, NOON + DAY, NOON + 2 * DAY)], 9: [Shift(2, NOON, NOON + DAY)]}) == []
    halves = [Shift(1, NOON, NOON + HOUR), Shift(1, NOON + HOUR, NOON + 2 * HOUR)]
    assert len(clashes({7: first, 8: halves})) == 1


@database
def test_a_week_shows_names_covers_swaps_extra_people_gaps_and_holidays(
    weekly: Rotation, ana: User, ben: User, cat: User
) -> None:
    days = create_holiday_calendar("own", "Our days", own_days=["2026-05-09"], actor=SYSTEM)
    update_layer(
        weekly.layers.get().pk, holiday_calendar_id=days.pk, holiday_rule="skip",
        restrictions=[{"weekdays": [0, 1, 2, 3, 4, 5], "starts": "06:00", "ends": "22:00"}], actor=SYSTEM,
    )  # fmt: skip
    add_override(weekly.pk, cat.pk, NOON + HOUR, NOON + 3 * HOUR, replaces_id=ana.pk, actor=SYSTEM)
    swap = request_swap(weekly.pk, NOON + DAY, NOON + DAY + HOUR, actor=actor(ana))
    take_swap(swap.pk, actor=actor(cat))
    add_coverage(weekly.pk, [ben.pk], NOON + DAY, NOON + 2 * DAY, actor=SYSTEM)
    request_swap(weekly.pk, NOON + 2 * DAY, NOON + 2 * DAY + HOUR, actor=actor(ana))
    html = shown(ana)
    assert "4 – 10 May 2026" in html
    for text in (
        "Cat, Wed 06 May 13:00 until Wed 06 May 15:00, cover for Ana",
        "Cat, Thu 07 May 12:00 until Thu 07 May 13:00, swap for Ana",
        "Ben, Thu 07 May 12:00 until Fri 08 May 12:00, besides",
        "Rests, Wed 06 May 22:00 until Thu 07 May 06:00",
        "Holiday: Our days",
        "Offered, to be taken",
        "Layer Main",
    ):
        assert text in html, text
    assert "Nobody is on call" not in html


@database
def test_gaps_and_double_bookings_are_said_in_words(weekly: Rotation, core: Any, ana: User, clock: ManualClock) -> None:
    other = create_rotation(core.pk, "second", "Second", member_ids=[ana.pk], actor=SYSTEM)
    bind_role("primary", rotation_id=weekly.pk, actor=SYSTEM)
    bind_role("secondary", rotation_id=other.pk, actor=SYSTEM)
    create_rotation(team("Other").pk, "third", "Third", member_ids=[ana.pk], actor=SYSTEM)
    empty = create_rotation(core.pk, "empty", "Empty", actor=SYSTEM)
    html = shown(ana, f"team={core.pk}")
    assert "Nobody is on call in Empty (Core) from" in html
    assert "Weekly (primary)" in html
    assert "Second (secondary)" in html
    assert "Ana is on call for two teams at once" in html
    assert "also on call in" in html
    assert "Nobody is on call in Empty" in shown(ana, f"rotation={empty.pk}")


@database
def test_a_zone_moves_the_days_and_clock_changes_keep_them_whole(weekly: Rotation, ana: User) -> None:
    html = shown(ana, "zone=Pacific/Auckland&date=2026-05-11")
    assert "Mon 11 May 21:00" in html
    from apps.oncall.admin.calendar_view import Asked

    week = Asked(
        "week", date(2026, 3, 29), ZoneInfo("Europe/Berlin"), None, None, mine=False, listed=False, complaints=()
    )
    assert week.first == date(2026, 3, 23)
    assert week.midnight(date(2026, 3, 30)) - week.midnight(date(2026, 3, 29)) == 23 * HOUR
    html = shown(ana, "zone=Europe/Berlin&date=2026-10-25")
    assert "14.793" in html  # Sunday has 25 of 169 hours


@database
def test_months_lead_to_months(weekly: Rotation, ana: User) -> None:
    html = shown(ana, "view=month&date=2026-12-31")
    assert "December 2026" in html
    assert "date=2027-01-01" in html
    assert "date=2026-11-01" in html
    assert html.count("p-cal-week") >= 5
    assert "Layer Main" not in html


@database
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("zone=Mars/Base", "There is no time zone"),
        ("date=tomorrow", "is no day"),
        ("date=9999-12-31", "The calendar goes from"),
        ("team=999999", "There is no such team"),
        ("rotation=x", "There is no such rotation"),
        ("rotation=99999999999999999999999", "There is no such rotation"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_and_said(
    weekly: Rotation, ana: User, query: str, said: str
) -> None:
    html = shown(ana, query)
    assert said in html
    assert "Weekly" in html


@database
def test_mine_is_what_i_have(weekly: Rotation, ana: User, cat: User) -> None:
    html = shown(ana, "show=mine")
    assert "Ana, Wed 06 May 12:00 and on" in html
    assert "Ben" not in shown(ana, "show=mine&date=2026-05-12").split("p-cal-week")[1]
    assert "No rotation puts you on call" in shown(cat, "show=mine")


@database
def test_who_may_not_see_rotations_sees_no_calendar(weekly: Rotation) -> None:
    client = Client()
    stranger = person("viewer")
    stranger.groups.clear()
    client.force_login(stranger)
    pages = (
        URL,
        "/admin/oncall/rotation/fairness/",
        f"/admin/oncall/rotation/{weekly.pk}/shift/?at={NOON.isoformat()}",
    )
    for url in pages:
        assert client.get(url).status_code == 403
        assert Client().get(url).status_code == 302


@database
@pytest.mark.parametrize("view", ["week", "month"])
def test_it_costs_the_same_for_many(weekly: Rotation, core: Any, ana: User, view: str, clock: ManualClock) -> None:
    client = Client()
    client.force_login(ana)

    def fill(count: int, begin: int) -> None:
        for number in range(begin, begin + count):
            people = [ana.pk, named(f"p{number}").pk]
            made = create_rotation(core.pk, f"r{number}", f"R{number}", member_ids=people, actor=SYSTEM)
            add_override(made.pk, person().pk, NOON + DAY, NOON + 2 * DAY, actor=SYSTEM)

    fill(2, 0)
    client.get(f"{URL}?view={view}")
    with CaptureQueriesContext(connection) as few:
        client.get(f"{URL}?view={view}")
    fill(6, 2)
    with CaptureQueriesContext(connection) as many:
        client.get(f"{URL}?view={view}")
    assert len(many) == len(few), "\n".join(query["sql"][:200] for query in many)


# --- one shift ---


def shift_url(rotation: Rotation, user: User | None, at: datetime) -> str:
    query = f"at={at:%Y-%m-%dT%H:%M:%SZ}" + (f"&user={user.pk}" if user else "")
    return f"{reverse('admin:oncall_rotation_shift', args=[rotation.pk])}?{query}"


@database
def test_a_shift_is_covered_and_offered_on_its_page(weekly: Rotation, ana: User, ben: User, cat: User) -> None:
    client = Client()
    client.force_login(ana)
    url = shift_url(weekly, ana, NOON)
    html = client.get(url).content.decode()
    assert "Turn in the layer Main" in html
    assert "Offer this time" in html
    assert 'value="2026-05-11T09:00"' in html
    times = {"starts_at": "2026-05-07T12:00", "ends_at": "2026-05-07T13:00"}
    done = client.post(url, {"offer": "1", **{f"offer-{name}": it for name, it in times.items()}})
    assert done.status_code == 302
    assert "date=2026-05-07" in done["Location"]
    assert Swap.objects.get().user == ana
    client.force_login(cat)
    html = client.get(url).content.decode()
    assert "Offer this time" not in html
    given = {"cover": "1", "cover-user": cat.pk, "cover-replaces": ana.pk}
    client.post(url, {**given, **{f"cover-{name}": it for name, it in times.items()}})
    assert Override.objects.get().user == cat
    wrong = client.post(url, {**given, "cover-starts_at": "2026-05-07T12:30", "cover-ends_at": "2026-05-07T14:00"})
    assert "Cat covers already" in wrong.content.decode()


@database
def test_a_gap_can_be_covered_and_what_is_not_there_is_404(core: Any, ana: User, clock: ManualClock) -> None:
    empty = create_rotation(core.pk, "empty", "Empty", actor=SYSTEM)
    client = Client()
    client.force_login(ana)
    html = client.get(shift_url(empty, None, NOON)).content.decode()
    assert "Nobody is on call in Empty" in html
    assert client.get(shift_url(empty, ana, NOON)).status_code == 404
    assert client.get(reverse("admin:oncall_rotation_shift", args=[empty.pk])).status_code == 404
    assert client.get(reverse("admin:oncall_rotation_shift", args=["x"])).status_code == 404


@database
def test_what_is_over_can_not_be_changed(weekly: Rotation, ana: User, clock: ManualClock) -> None:
    clock.advance(10 * DAY)
    client = Client()
    client.force_login(ana)
    html = client.get(shift_url(weekly, ana, NOON)).content.decode()
    assert "It is over" in html
    assert client.post(shift_url(weekly, ana, NOON), {"cover": "1"}).status_code == 403


@database
def test_the_next_shift_says_its_real_end_or_none(weekly: Rotation, ana: User, cat: User) -> None:
    found = next_shift_of(ana)
    assert found is not None
    assert (found.runs, found.until) == (True, datetime(2026, 5, 11, 9, tzinfo=UTC))
    add_override(weekly.pk, cat.pk, NOON + DAY, NOON + 200 * DAY, actor=Actor.system())
    coming = next_shift_of(cat)
    assert coming is not None
    assert (coming.runs, coming.until) == (False, None)
