"""Feeds are read by the library of the format; by real programs in test_feed_programs.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from icalendar import Calendar

from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock
from apps.foundation.errors import Conflict, Forbidden, NotFound
from apps.oncall.feed_limit import MOST_A_MINUTE
from apps.oncall.models import CalendarFeed, Rotation
from apps.oncall.operations import (
    add_override,
    cancel_override,
    create_feed,
    create_rotation,
    revoke_feed,
    rotate_feed,
)
from apps.oncall.queries.feeds import MOST_EVENTS
from apps.people.models import User
from tests.factories import actor, bearer, named, person

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
DAY = timedelta(days=1)


def path(token: str) -> str:
    return reverse("oncall:feed", args=[token])


def events(token: str) -> list[Any]:
    answer = Client().get(path(token))
    assert answer.status_code == 200
    return Calendar.from_ical(answer.content).walk("VEVENT")


def test_a_rotation_and_a_person_as_icalendar(weekly: Rotation, ana: User, ben: User) -> None:
    _, whole = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    _, own = create_feed(actor=actor(ana))
    names = {str(event["summary"]) for event in events(whole)}
    assert names == {"Ana: Weekly", "Ben: Weekly"}
    mine = events(own)
    assert {str(event["summary"]) for event in mine} == {"On call: Weekly"}
    assert mine[1]["dtstart"].dt == datetime(2026, 5, 18, 9, tzinfo=UTC)
    assert mine[1]["dtend"].dt == datetime(2026, 5, 25, 9, tzinfo=UTC)
    text = Client().get(path(own)).content.decode()
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT30M" in text
    assert "X-PUBLISHED-TTL:PT30M" in text
    assert text.startswith("BEGIN:VCALENDAR\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))


def test_a_feed_of_a_team_holds_all_its_rotations(weekly: Rotation, ana: User) -> None:
    _, token = create_feed(team_id=weekly.team_id, actor=actor(ana))
    assert {str(event["summary"]) for event in events(token)} == {"Ana: Weekly", "Ben: Weekly"}


def test_a_shift_keeps_its_uid_and_grows_in_sequence(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    before = {str(event["uid"]): event for event in events(token)}
    clock.advance(timedelta(hours=1))
    cover = add_override(weekly.pk, cat.pk, datetime(2026, 5, 20, tzinfo=UTC), datetime(2026, 5, 21, tzinfo=UTC),
                         actor=actor(cat))  # fmt: skip
    after = {str(event["uid"]): event for event in events(token)}
    changed = [uid for uid in before if uid in after and before[uid]["dtend"].dt != after[uid]["dtend"].dt]
    assert len(changed) == 1
    assert int(after[changed[0]]["sequence"]) > int(before[changed[0]]["sequence"])
    assert after[changed[0]]["last-modified"].dt > before[changed[0]]["last-modified"].dt
    assert len(set(after) - set(before)) == 2
    clock.advance(timedelta(minutes=1))
    cancel_override(cover.pk, actor=actor(cat))
    assert "Cat: Weekly" not in {str(event["summary"]) for event in events(token)}


def test_new_names_grow_the_sequence(weekly: Rotation, ana: User, clock: ManualClock) -> None:
    from apps.oncall.operations import update_rotation

    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    ana.save()
    before = {str(event["uid"]): int(event["sequence"]) for event in events(token)}
    update_rotation(weekly.pk, name="Every week", actor=SYSTEM)
    between = {str(event["uid"]): int(event["sequence"]) for event in events(token)}
    assert all(between[uid] > number for uid, number in before.items())
    User.history.filter(id=ana.pk).update(history_date=clock())
    ana.display_name = "Ana Bell"
    ana.save()
    User.history.filter(display_name="Ana Bell").update(history_date=datetime.now(UTC) + DAY)
    for event in events(token):
        assert (int(event["sequence"]) > between[str(event["uid"])]) == ("Ana Bell" in str(event["summary"]))


def test_a_long_stretch_keeps_its_uid_and_its_edges(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    from apps.oncall.operations import add_coverage

    begins, ends = clock() + timedelta(hours=1), clock() + 300 * DAY
    add_coverage(weekly.pk, [cat.pk], begins, ends, actor=SYSTEM)
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))

    def of_cat() -> list[tuple[str, datetime, datetime]]:
        found = [event for event in events(token) if "Cat" in str(event["summary"])]
        return [(str(event["uid"]), event["dtstart"].dt, event["dtend"].dt) for event in found]

    (first,) = of_cat()
    assert first[1:] == (begins, ends)
    for days in (1, 100, 150):
        clock.advance(days * DAY)
        assert of_cat() == [first]


def test_what_was_cancelled_within_its_first_second_is_no_event(
    weekly: Rotation, ana: User, cat: User, clock: ManualClock
) -> None:
    cover = add_override(weekly.pk, cat.pk, clock(), clock() + DAY, actor=SYSTEM)
    clock.advance(timedelta(milliseconds=200))
    cancel_override(cover.pk, actor=SYSTEM)
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    found = events(token)
    assert all(event["dtstart"].dt < event["dtend"].dt for event in found)
    assert not any("Cat" in str(event["summary"]) for event in found)


def test_nothing_new_is_304_and_a_change_is_not(weekly: Rotation, ana: User, cat: User, clock: ManualClock) -> None:
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    first = Client().get(path(token))
    assert first["Content-Type"] == "text/calendar; charset=utf-8"
    assert first["Cache-Control"] == "private, max-age=300"
    assert first["Referrer-Policy"] == "no-referrer"
    clock.advance(timedelta(hours=1))
    for etag in (first["ETag"], f"W/{first['ETag']}", "*"):
        again = Client().get(path(token), headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
    add_override(weekly.pk, cat.pk, clock() + DAY, clock() + 2 * DAY, actor=SYSTEM)
    assert Client().get(path(token), headers={"If-None-Match": first["ETag"]}).status_code == 200
    head = Client().head(path(token))
    assert (head.status_code, head.content) == (200, b"")
    assert Client().post(path(token)).status_code == 405


def test_nothing_new_works_out_no_shift(weekly: Rotation, ana: User, clock: ManualClock) -> None:
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    etag = Client().get(path(token))["ETag"]
    with CaptureQueriesContext(connection) as said:
        assert Client().get(path(token), headers={"If-None-Match": etag}).status_code == 304
    assert not any("oncall_pause" in query["sql"] for query in said.captured_queries)
    ana.display_name = "Ana Bell"
    ana.save()
    changed = Client().get(path(token), headers={"If-None-Match": etag})
    assert b"Ana Bell" in changed.content
    assert Client().get(path(token))["ETag"] == changed["ETag"]


def test_what_is_read_too_often_is_429_but_never_for_nothing_new(
    weekly: Rotation, ana: User, ben: User, clock: ManualClock
) -> None:
    clock.advance(timedelta(seconds=20))
    _, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    _, other = create_feed(rotation_id=weekly.pk, actor=actor(ben))
    answers = [Client().get(path(token)) for _ in range(MOST_A_MINUTE + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {200}
    assert (answers[-1].status_code, answers[-1]["Retry-After"], answers[-1]["Cache-Control"]) == (
        429,
        "40",
        "no-store",
    )
    assert Client().get(path(token), headers={"If-None-Match": answers[0]["ETag"]}).status_code == 304
    assert Client().get(path(other)).status_code == 200
    clock.advance(timedelta(seconds=40))
    assert Client().get(path(token)).status_code == 200


def test_of_too_many_shifts_the_nearest_are_shown(core: Team, ana: User, ben: User, clock: ManualClock) -> None:
    hourly = create_rotation(core.pk, "hourly", "Hourly", cadence="hourly", member_ids=[ana.pk, ben.pk], actor=SYSTEM)
    _, token = create_feed(rotation_id=hourly.pk, actor=actor(ana))
    found = sorted(event["dtstart"].dt for event in events(token))
    assert len(found) == MOST_EVENTS
    assert found[0] <= clock() + timedelta(hours=1)


def test_only_the_digest_is_kept_and_a_wrong_token_is_nothing(weekly: Rotation, ana: User) -> None:
    feed, token = create_feed(rotation_id=weekly.pk, actor=actor(ana))
    assert token not in str(CalendarFeed.objects.values().get())
    for wrong in ("x", token[:-1], "ofd_" + "a" * 43, token + "a"):
        answer = Client().get(path(wrong))
        assert (answer.status_code, answer.content) == (404, b"There is no such calendar.\n")
    feed, new = rotate_feed(feed.pk, actor=actor(ana))
    assert Client().get(path(token)).status_code == 404
    assert Client().get(path(new)).status_code == 200
    revoke_feed(feed.pk, actor=actor(ana))
    revoke_feed(feed.pk, actor=actor(ana))
    assert Client().get(path(new)).status_code == 404
    with pytest.raises(Conflict, match="revoked"):
        rotate_feed(feed.pk, actor=actor(ana))


def test_a_closed_account_or_one_that_may_not_see_reads_nothing(weekly: Rotation, ana: User) -> None:
    _, token = create_feed(actor=actor(ana))
    ana.groups.clear()
    assert Client().get(path(token)).status_code == 404
    with pytest.raises(Forbidden):
        create_feed(actor=actor(ana))
    dan = named("dan", "viewer")
    _, other = create_feed(actor=actor(dan))
    User.objects.filter(pk=dan.pk).update(is_active=False)
    assert Client().get(path(other)).status_code == 404


def test_nobody_touches_the_feeds_of_others(weekly: Rotation, ana: User, ben: User) -> None:
    feed, _ = create_feed(actor=actor(ana))
    for verb in (rotate_feed, revoke_feed):
        with pytest.raises(NotFound):
            verb(feed.pk, actor=actor(ben))


def test_it_costs_the_same_for_many_rotations(
    weekly: Rotation, core: Any, ana: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        create_rotation(core.pk, f"r{number}", f"R{number}", member_ids=[ana.pk], actor=SYSTEM)
    _, token = create_feed(actor=actor(ana))
    with django_assert_max_num_queries(18):
        events(token)


def test_over_the_api(weekly: Rotation, ana: User, ben: User) -> None:
    client, headers = Client(), bearer(ana)
    made = client.post("/api/v1/calendar-feeds/", {"rotation": weekly.pk}, "application/json", headers=headers)
    assert made.status_code == 201
    assert made.json()["url"].endswith(".ics")
    url = f"/api/v1/calendar-feeds/{made.json()['id']}/"
    assert "url" not in client.get(url, headers=headers).json()
    assert client.get(url, headers=bearer(ben)).status_code == 404
    turned = client.post(f"{url}rotate/", {}, "application/json", headers=headers).json()
    assert turned["url"] != made.json()["url"]
    assert client.post(f"{url}revoke/", {}, "application/json", headers=headers).json()["revoked_at"]
    assert client.post("/api/v1/oncall/reminder/", {"lead": "hour"}, "application/json", headers=headers).json() == {
        "lead": "hour"
    }
    assert client.get("/api/v1/oncall/reminder/", headers=headers).json() == {"lead": "hour"}


def test_on_the_page_the_address_is_shown_once(weekly: Rotation, ana: User) -> None:
    client = Client()
    client.force_login(ana)
    answer = client.post(reverse("admin:oncall_calendarfeed_new"), {"_form_submitted": "on", "rotation": weekly.pk})
    token = answer.content.decode().split("/oncall/feed/")[1].split(".ics")[0]
    assert "no-store" in answer["Cache-Control"]
    assert events(token)
    listed = client.get(reverse("admin:oncall_calendarfeed_changelist")).content.decode()
    assert token not in listed
    assert token[:12] in listed
    feed = CalendarFeed.objects.get()
    client.post(reverse("admin:oncall_calendarfeed_revoke", args=[feed.pk]), {"_form_submitted": "on"})
    assert Client().get(path(token)).status_code == 404
    client.post(reverse("admin:oncall_calendarfeed_remind"), {"_form_submitted": "on", "lead": "none"})
    assert ana.shift_reminder.lead == "none"
    stranger = Client()
    stranger.force_login(person())
    assert stranger.get(reverse("admin:oncall_calendarfeed_changelist")).status_code == 302
