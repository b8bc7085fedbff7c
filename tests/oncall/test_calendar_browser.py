"""The calendar in a browser: for everybody, on a phone, by keyboard; rotations built, shifts covered, swaps taken."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.messaging.models import Message
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
from apps.oncall.queries import shifts_of
from apps.paging.models import Page
from apps.people.models import User
from tests.factories import answers_for, incident, named, rotation, team
from tests.pages.conftest import OpenPage, open_page, portal, portal_server
from tests.pages.test_accessible import complaints

__all__ = ["open_page", "portal", "portal_server"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SYSTEM = Actor.system()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def shoot(page: Any, name: str) -> None:
    """A picture for people, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def busy() -> tuple[User, Rotation]:
    """Two teams, layers, a cover, a swap, extra people, hours, a holiday, a gap and a double booking, this week."""
    ana = named("ana", "responder", time_zone="Europe/Berlin")
    ben, cat, dan = (named(name, "responder") for name in ("ben", "cat", "dan"))
    core = team("Core", ana, ben, cat)
    primary = rotation(core, ana, ben, cat, name="Core primary", time_zone="Europe/Berlin", cadence="daily")
    secondary = rotation(core, ben, name="Core secondary", time_zone="Europe/Berlin")
    shop = rotation(team("Shop"), dan, cat, name="Shop on call")
    bind_role("primary", team_id=core.pk, rotation_id=primary.pk, actor=SYSTEM)
    bind_role("secondary", team_id=core.pk, rotation_id=secondary.pk, actor=SYSTEM)
    at = now().replace(minute=0, second=0, microsecond=0) + HOUR
    days = create_holiday_calendar("own", "Game days", own_days=[(at + DAY).date().isoformat()], actor=SYSTEM)
    hours = [{"weekdays": [0, 1, 2, 3, 4, 5, 6], "starts": "08:00", "ends": "20:00"}]
    layer = shop.layers.get()
    update_layer(layer.pk, restrictions=hours, holiday_calendar_id=days.pk, holiday_rule="skip", actor=SYSTEM)
    add_override(primary.pk, dan.pk, at, at + 5 * HOUR, reason="dentist", actor=SYSTEM)
    add_coverage(secondary.pk, [ana.pk], at, at + 30 * HOUR, reason="season 3", actor=SYSTEM)
    swap = request_swap(secondary.pk, at + 6 * HOUR, at + 18 * HOUR, user_id=ben.pk, actor=SYSTEM)
    take_swap(swap.pk, user_id=cat.pk, actor=SYSTEM)
    create_rotation(core.pk, "empty", "Nobody yet", actor=SYSTEM)
    return ana, primary


@pytest.mark.timeout(500)
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_page_of_the_calendar_keeps_anybody_out(open_page: OpenPage, portal: str, theme: str, width: int) -> None:
    ana, primary = busy()
    (mine, *_) = [shift for shift in shifts_of(primary.pk, now(), now() + 7 * DAY) if shift.user_id == ana.pk]
    calendar = "/admin/oncall/rotation/calendar/"
    pages = {
        "week": calendar,
        "month": f"{calendar}?view=month",
        "mine": f"{calendar}?show=mine&zone=Asia/Tokyo",
        "list": f"{calendar}?as=list",
        "one": f"{calendar}?rotation={primary.pk}",
        "shift": f"/admin/oncall/rotation/{primary.pk}/shift/?at={mine.starts_at:%Y-%m-%dT%H:%M:%SZ}&user={ana.pk}",
        "fairness": "/admin/oncall/rotation/fairness/",
    }
    page = open_page(ana, "/admin/", theme=theme, width=width)
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: spoken.append(str(error)))
    found: dict[str, list[str]] = {}
    for name, path in pages.items():
        page.goto(portal + path)
        if problems := complaints(page):
            found[name] = problems
        if width == 390 and page.evaluate("document.documentElement.scrollWidth") > width:
            found[f"{name} is wider than a phone"] = []
        shoot(page, f"cal-{name}-{theme}-{width}")
    assert found == {}
    assert spoken == []


def test_on_a_phone_the_calendar_is_a_list_by_day(open_page: OpenPage) -> None:
    ana, _ = busy()
    page = open_page(ana, "/admin/oncall/rotation/calendar/", width=390)
    assert not page.locator(".p-cal-wide").first.is_visible()
    today = page.locator(".p-cal-days > li", has=page.get_by_text("today", exact=True)).first
    assert today.is_visible()
    assert "Core primary" in today.inner_text()
    page.locator(".p-cal-days").get_by_text("cover", exact=True).first.wait_for()
    page.get_by_role("link", name="Next").click()
    page.wait_for_url(re.compile("date="))
    page.get_by_label("Whose").select_option("mine")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url(re.compile("show=mine"))
    names = set(page.locator(".p-cal-entry__who > a").all_inner_texts())
    assert names == {"Ana"}


def test_a_shift_is_covered_from_the_calendar_by_keyboard(open_page: OpenPage) -> None:
    ana, primary = busy()
    page = open_page(ana, f"/admin/oncall/rotation/calendar/?rotation={primary.pk}&zone=UTC")
    page.get_by_role("link", name="Next").click()
    bar = page.get_by_role("link", name=re.compile("^Ben, ")).first
    bar.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Put somebody on call instead").wait_for()
    page.locator("#id_cover-reason").fill("he is ill")
    page.get_by_role("button", name="Cover", exact=True).click()
    page.get_by_text("Ana covers.").wait_for()
    made = Override.objects.get(reason="he is ill")
    assert (made.user.username, made.replaces.username if made.replaces else "") == ("ana", "ben")
    page.get_by_role("link", name=re.compile("^Ana, .*cover for Ben")).first.wait_for()


def test_a_swap_is_offered_in_the_calendar_and_taken_from_the_inbox(open_page: OpenPage) -> None:
    ana, primary = busy()
    ben = User.objects.get(username="ben")
    page = open_page(ana, f"/admin/oncall/rotation/calendar/?rotation={primary.pk}&show=mine")
    page.get_by_role("link", name="Next").click()
    page.get_by_role("link", name=re.compile("^Ana, ")).last.click()
    page.get_by_role("heading", name="Offer this time").wait_for()
    page.locator("#id_offer-reason").fill("wedding")
    page.get_by_role("button", name="Offer", exact=True).click()
    page.get_by_text("The time is offered.").wait_for()
    offered = Swap.objects.get(reason="wedding")
    other = open_page(ben, "/admin/messaging/message/inbox/")
    other.get_by_role("heading", name=re.compile("Ana offers you time on call")).wait_for()
    other.get_by_role("link", name="Open the offer of Ana in Core primary").first.click()
    other.get_by_role("link", name=re.compile("Take it")).first.click()
    other.locator("#modal-content button[type=submit]").click()
    other.get_by_text("The time is taken.").wait_for()
    offered.refresh_from_db()
    assert (offered.state, offered.taker) == ("taken", ben)
    assert Message.objects.filter(recipient=ana, channel="inbox", title__startswith="Ben takes your time").exists()


def test_a_rotation_is_built_in_the_page(open_page: OpenPage) -> None:
    manager = named("mona", "manager")
    named("ana", "responder")
    named("ben", "responder")
    team("Core")
    page = open_page(manager, "/admin/oncall/rotation/")
    page.get_by_role("link", name=re.compile("New rotation")).first.click()
    dialog = page.locator("#modal-content")
    dialog.locator("select[name=team]").select_option(label="Core")
    dialog.locator("input[name=name]").fill("Core primary")
    dialog.locator("input[name=slug]").fill("core-primary")
    dialog.locator("button[type=submit]").click()
    page.get_by_text("Now add its people").wait_for()
    page.get_by_role("link", name=re.compile("People in order")).first.click()
    dialog.locator("select[name=place_1]").select_option(label="Ana")
    dialog.locator("select[name=place_2]").select_option(label="Ben")
    dialog.locator("button[type=submit]").click()
    page.get_by_text("has no verified contact point").first.wait_for()
    made = Rotation.objects.get(slug="core-primary")
    assert [row.user.name for row in made.layers.get().members.order_by("position")] == ["Ana", "Ben"]
    page.goto(page.url.split("/admin/")[0] + f"/admin/oncall/rotation/{made.pk}/change/")
    page.get_by_role("link", name="Calendar", exact=True).last.click()
    page.get_by_role("link", name=re.compile("^Ana, ")).first.wait_for()


def test_a_page_is_acknowledged_from_the_inbox(open_page: OpenPage) -> None:
    ana = named("ana", "commander")
    answers_for("primary", ana)
    answers_for("secondary", named("ben", "responder"))
    incident("Nobody can log in", "P0")
    page = open_page(ana, "/admin/messaging/message/inbox/")
    page.get_by_role("heading", name=re.compile("Nobody can log in")).first.wait_for()
    page.get_by_role("link", name=re.compile("^Open")).first.click()
    page.get_by_role("button", name=re.compile("Acknowledge")).first.click()
    page.get_by_role("button", name=re.compile("Acknowledge")).first.wait_for(state="hidden")
    assert Page.objects.filter(user=ana, state=Page.State.ACKNOWLEDGED).exists()
