"""My notifications: the page, the API, the test page, and the link to what came in one message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from apps.foundation.errors import Invalid, TooMany
from apps.messaging.models import Message
from apps.messaging.operations import send_due
from apps.paging.links import arrival_link, bundle_link
from apps.paging.models import NotificationPreference, Page, PageBundle, PageTestCall
from apps.paging.operations import change_rules, page_me_now
from apps.people.models import ContactPoint, User
from tests.factories import actor, bearer, person
from tests.paging.conftest import SYSTEM, World

pytestmark = pytest.mark.django_db
RULES = "/api/v1/notification-rules"
GONE = ContactPoint.State.DISABLED


def page_of(user: User) -> str:
    return f"/admin/paging/notificationpreference/of/{user.pk}/"


@pytest.fixture
def ana() -> User:
    found = person("responder")
    ContactPoint.objects.create(
        user=found, kind="email", address=found.email, state="verified", verified_at="2026-01-01T00:00Z"
    )
    return found


@pytest.fixture
def browser(ana: User) -> Client:
    found = Client()
    found.force_login(ana)
    return found


def test_ones_own_page_shows_the_default_rules_and_saves_others(browser: Client, ana: User) -> None:
    html = browser.get("/admin/paging/notificationpreference/mine/", follow=True).content.decode()
    assert "default rules" in html
    [point] = ana.contact_points.all()
    given = {
        "high_after": ["0", ""], "high_target": [f"point:{point.pk}", ""],
        "low_after": ["15"], "low_target": ["channel:email"],
        "quiet": ["1"], "quiet_days_1": ["mon", "tue"], "quiet_from_1": "22:00", "quiet_to_1": "07:00",
        "when_quiet": "inbox", "bundle_seconds": "30",
    }  # fmt: skip
    assert browser.post(page_of(ana), given).status_code == 302
    row = NotificationPreference.objects.get(user=ana)
    assert row.high == [{"after_minutes": 0, "contact_point": point.pk}]
    assert row.low == [{"after_minutes": 15, "channel": "email"}]
    assert row.quiet == [{"days": ["mon", "tue"], "from": "22:00", "to": "07:00"}]
    assert (row.when_quiet, row.bundle_seconds, row.history.count()) == ("inbox", 30, 1)
    browser.post(page_of(ana), {"reset": "1"})
    assert not NotificationPreference.objects.exists()


def test_bad_input_is_told_and_kept_in_the_form(browser: Client, ana: User) -> None:
    answer = browser.post(page_of(ana), {"high_after": ["500"], "high_target": ["channel:email"]})
    assert answer.status_code == 400
    assert "Rule 1: after_minutes is a whole number from 0 to 120." in answer.content.decode()
    assert 'value="500"' in answer.content.decode()
    assert browser.post(page_of(ana), {"high_after": ["x"], "high_target": ["channel:email"]}).status_code == 400


def test_addresses_of_others_need_a_permission_of_their_own(browser: Client, ana: User) -> None:
    phone = ContactPoint.objects.create(
        user=ana, kind="sms", address="+4915112345678", label="secret phone", state=GONE
    )
    change_rules(ana.pk, high=[{"after_minutes": 0, "contact_point": phone.pk}], actor=SYSTEM)
    page_me_now(ana.pk, actor=actor(ana))
    reader, manager = person("responder"), person("manager")
    reader.user_permissions.add(Permission.objects.get(codename="view_notificationpreference"))
    everybody = "/admin/paging/notificationpreference/everybody/"
    for user, shown in ((reader, False), (manager, True)):
        browser.force_login(user)
        told = [browser.get(url).content.decode() for url in (page_of(ana), everybody)]
        paths = ("findings/", "plan/low/", "last-test/")
        told += [browser.get(f"{RULES}/{ana.pk}/{path}", headers=bearer(user)).content.decode() for path in paths]
        assert [ana.email in text or "secret phone" in text for text in told] == [shown] * 5


def test_rules_of_others_need_a_permission(browser: Client, ana: User) -> None:
    other, manager = person("responder"), person("manager")
    assert browser.get(page_of(other)).status_code == 404
    assert browser.post(f"{page_of(other)}test/").status_code == 404
    browser.force_login(manager)
    assert browser.get(page_of(ana)).status_code == 200
    assert browser.get("/admin/paging/notificationpreference/everybody/").status_code == 200
    browser.force_login(person("auditor"))
    assert browser.get(page_of(ana)).status_code == 200
    assert "may not" in browser.post(page_of(ana), {}).content.decode()
    assert not NotificationPreference.objects.exists()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"high": [{"after_minutes": 0, "channel": "inbox"}]}, "high urgency must reach you outside"),
        ({"high": [{"after_minutes": 0, "contact_point": 10**9}]}, "no such contact point"),
        ({"low": [{"after_minutes": -1, "channel": "email"}]}, "whole number from 0"),
        ({"low": [{"after_minutes": 0}]}, "either a contact_point or a channel"),
        ({"quiet": [{"days": [], "from": "22:00", "to": "07:00"}]}, "one or more of"),
        ({"quiet": [{"days": ["mon"], "from": "25:00", "to": "07:00"}]}, "no time of day"),
        ({"bundle_seconds": 3}, "from 10 to 300"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_the_place(ana: User, given: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid, match=text):
        change_rules(ana.pk, **given, actor=actor(ana))


def test_the_api_reads_and_writes_them(ana: User) -> None:
    api, headers = Client(), bearer(ana)
    path = f"{RULES}/{ana.pk}/"
    first = api.get(path, headers=headers)
    assert (first.status_code, first.json()["high"]) == (200, [])
    body = {
        "high": [{"after_minutes": 0, "channel": "email"}],
        "quiet": [{"days": ["sat"], "from": "20:00", "to": "09:00"}],
    }
    done = api.put(path, body, content_type="application/json", headers={**headers, "If-Match": first["ETag"]})
    assert (done.status_code, done.json()["quiet"]) == (200, body["quiet"])
    stale = api.put(path, body, content_type="application/json", headers={**headers, "If-Match": first["ETag"]})
    assert stale.status_code == 412
    assert api.get(f"{path}findings/", headers=headers).json() == []
    assert [step["channel"] for step in api.get(f"{path}plan/high/", headers=headers).json()] == ["email"]
    assert [row["user"] for row in api.get(f"{RULES}/", headers=headers).json()["results"]] == [ana.pk]
    assert api.get(f"{path}last-test/", headers=headers).status_code == 404
    sent = api.post(f"{path}page-me-now/", {}, content_type="application/json", headers=headers)
    assert (sent.status_code, [call["channel"] for call in sent.json()["calls"]]) == (202, ["inbox", "email"])
    again = api.post(f"{path}page-me-now/", {}, content_type="application/json", headers=headers)
    assert (again.status_code, int(again.headers["Retry-After"]) > 0) == (429, True)
    assert api.delete(path, headers=headers).status_code == 204
    assert (
        api.put(f"{RULES}/{person('viewer').pk}/", body, content_type="application/json", headers=headers).status_code
        == 404
    )


def test_a_test_page_goes_through_the_rules_and_is_measured(browser: Client, ana: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    from django.core import mail

    browser.post(f"{page_of(ana)}test/")
    assert "still on its way" in browser.get(f"{page_of(ana)}tested/").content.decode()
    send_due()
    assert mail.outbox[0].subject.startswith("[TEST]")
    assert "There is no incident" in str(mail.outbox[0].body)
    call = PageTestCall.objects.get(channel="email")
    link = arrival_link(call.pk)
    assert link in str(mail.outbox[0].body)
    phone = Client(enforce_csrf_checks=True)
    where = link[link.index("/ack/") :]
    assert "It reached me" in phone.get(where).content.decode()
    assert PageTestCall.objects.filter(confirmed_at__isnull=False).count() == 0
    assert "It reached you" in phone.post(where, follow=True).content.decode()
    html = browser.get(page_of(ana)).content.decode()
    assert "last tested" in html
    assert "confirmed after" in html
    assert not Page.objects.exists()
    assert phone.get("/ack/test/1.forged/").status_code == 404


def test_tests_are_limited_in_number(ana: User) -> None:
    page_me_now(ana.pk, actor=actor(ana))
    with pytest.raises(TooMany):
        page_me_now(ana.pk, actor=actor(ana))
    assert Message.objects.filter(channel="email", payload__has_key="test_page").count() == 1


def test_the_link_of_a_bundle_lists_them_and_acknowledges_one_or_all(world: World) -> None:
    from apps.paging.operations import start_escalations

    start_escalations([world.item() for _ in range(4)], actor=SYSTEM)
    bundle = PageBundle.objects.get()
    link = bundle_link(bundle.pk)
    where, phone = link[link.index("/ack/") :], Client(enforce_csrf_checks=True)
    html = phone.get(where).content.decode()
    assert "3 incidents wait for you" in html
    one = bundle.pages.order_by("pk")[0]
    assert "2 incidents wait for you" in phone.post(where, {"page": one.pk}, follow=True).content.decode()
    assert "All answered" in phone.post(where, follow=True).content.decode()
    assert phone.post(where, follow=True).status_code == 200
    assert phone.get("/ack/together/1.forged/").status_code == 404
    world.clock.advance(timedelta(hours=25))
    assert phone.get(where).status_code == 410
    assert phone.post(where).status_code == 410
