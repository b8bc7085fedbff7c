from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from apps.paging.links import ack_link, ack_token
from apps.paging.models import Acknowledgement, EscalationRun, Page
from apps.paging.operations import acknowledge, page_people, restart, stop
from tests.factories import actor
from tests.paging.conftest import SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db


@pytest.fixture
def phone() -> Client:
    """Nobody is logged in, and cross-site checks are on."""
    return Client(enforce_csrf_checks=True)


def link(page: Page) -> str:
    return f"/ack/{ack_token(page.pk)}/"


def first_page(world: World) -> Page:
    return world.pages(world.start())[0]


def test_the_page_shows_what_it_is_about_and_one_button(world: World, phone: Client) -> None:
    page = first_page(world)
    html = phone.get(link(page)).content.decode()
    assert "INC-1 Nobody can log in" in html
    assert "P1" in html
    assert page.user.name in html
    assert html.count("<button") == 1


def test_looking_acknowledges_nothing(world: World, phone: Client) -> None:
    page = first_page(world)
    for _ in range(2):
        assert phone.get(link(page)).status_code == 200
        assert phone.head(link(page)).status_code == 200
    assert phone.options(link(page)).status_code == 405
    page.refresh_from_db()
    assert (page.state, page.link_used_at) == (Page.State.OPEN, None)


def test_the_button_acknowledges_without_a_login(world: World, phone: Client) -> None:
    subject = world.start()
    page = world.pages(subject)[0]
    answer = phone.post(link(page), follow=True)
    assert "You have it" in answer.content.decode()
    done = Acknowledgement.objects.get()
    assert (done.user, done.via) == (page.user, "link")
    assert world.run(subject).state == EscalationRun.State.ACKNOWLEDGED
    assert world.events(subject, "acknowledged")[0].actor["kind"] == "link"


def test_the_page_says_whom_an_acknowledgement_leaves_to_be_called(world: World, phone: Client) -> None:
    page = first_page(world)
    assert "Nobody else is called." in phone.get(link(page)).content.decode()
    world.version = path_pack(level(1, "primary"), level(2, "secondary", "5m"), until="resolved")
    page = first_page(world)
    assert "Management still hears" in phone.post(link(page), follow=True).content.decode()


def test_the_link_works_once(world: World, phone: Client) -> None:
    page = first_page(world)
    phone.post(link(page))
    again = phone.post(link(page))
    assert again.status_code == 200
    assert "<button" not in again.content.decode()
    assert Acknowledgement.objects.count() == 1


def test_a_link_that_was_used_does_not_acknowledge_a_later_run(world: World, phone: Client) -> None:
    subject = world.start()
    page = world.pages(subject)[0]
    phone.post(link(page))
    restart(world.item(subject), tracks=["page"], actor=SYSTEM)
    assert "<button" not in phone.post(link(page)).content.decode()
    assert world.run(subject).state == EscalationRun.State.RUNNING


def test_a_link_is_too_old_after_a_day(world: World, phone: Client) -> None:
    page = first_page(world)
    world.clock.advance(timedelta(hours=24))
    assert phone.get(link(page)).status_code == 410
    assert phone.post(link(page)).status_code == 410
    assert not Acknowledgement.objects.exists()


@pytest.mark.parametrize("token", ["1.x", "x", "1", "1.2.3", "%00", "9" * 400])
def test_a_made_up_link_says_so(db: None, phone: Client, token: str) -> None:
    for answer in (phone.get(f"/ack/{token}/"), phone.post(f"/ack/{token}/")):
        assert answer.status_code == 404
        assert "This link is not right" in answer.content.decode()


def test_the_signature_of_one_page_opens_no_other(world: World, phone: Client) -> None:
    page = first_page(world)
    forged = f"{page.pk + 1}.{ack_token(page.pk).partition('.')[2]}"
    assert phone.get(f"/ack/{forged}/").status_code == 404


def test_the_page_says_when_somebody_else_was_faster(world: World, phone: Client) -> None:
    subject = world.start()
    world.wait(minutes=5)
    acknowledge(subject, via="web", actor=actor(world.people["ben"]))
    html = phone.post(link(world.pages(subject)[0])).content.decode()
    assert f"{world.people['ben'].name} acknowledged" in html


def test_the_page_says_when_it_is_over(world: World, phone: Client) -> None:
    subject = world.start()
    stop(subject, reason="resolved", actor=SYSTEM)
    assert "This is over" in phone.get(link(world.pages(subject)[0])).content.decode()


def test_the_page_says_when_a_newer_one_replaced_it(world: World, phone: Client) -> None:
    subject = world.start()
    restart(world.item(subject), actor=SYSTEM)
    assert "replaced" in phone.get(link(world.pages(subject)[0])).content.decode()


def test_who_was_paged_in_answers_by_link_too(world: World, phone: Client) -> None:
    subject = world.start()
    acknowledge(subject, via="web", actor=actor(world.people["ana"]))
    (page,) = page_people(subject, [world.people["ben"].pk], actor=SYSTEM)
    assert phone.post(link(page)).status_code == 303
    page.refresh_from_db()
    assert page.state == Page.State.ACKNOWLEDGED


def test_a_closed_account_can_not_acknowledge_by_link(world: World, phone: Client) -> None:
    page = first_page(world)
    page.user.is_active = False
    page.user.save()
    assert phone.post(link(page)).status_code == 403
    assert not Acknowledgement.objects.exists()


def test_the_address_is_kept_from_other_sites_and_from_search_engines(world: World, phone: Client) -> None:
    answer = phone.get(link(first_page(world)))
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    assert "noindex" in answer["X-Robots-Tag"]


def test_the_link_is_absolute(world: World, settings: object) -> None:
    settings.PUBLIC_URL = "https://portal.example.com"  # type: ignore[attr-defined]  # pytest-django's fixture
    assert ack_link(first_page(world)).startswith("https://portal.example.com/ack/")
