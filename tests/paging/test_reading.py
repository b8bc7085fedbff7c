"""What pages and programs show of paging, and to whom."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.catalog.models import Membership
from apps.foundation.subjects import Subject
from apps.people.models import User
from tests.factories import bearer, person
from tests.paging.conftest import World

pytestmark = pytest.mark.django_db
API = "/api/v1"


def viewer_of(subject: Subject) -> User:
    user = person("viewer")
    Membership.objects.create(team_id=int(subject.key), user=user)
    return user


def read(client: Client, user: User, path: str) -> Any:
    return client.get(f"{API}/{path}", headers=bearer(user))


def test_pages_of_what_one_may_not_see_do_not_exist(client: Client, world: World) -> None:
    subject = world.start()
    page = world.pages(subject)[0]
    stranger, friend = person("viewer"), viewer_of(subject)
    assert read(client, stranger, "pages/").json()["results"] == []
    assert read(client, stranger, f"pages/{page.pk}/").status_code == 404
    assert read(client, friend, f"pages/{page.pk}/").json()["name"] == world.people["ana"].name


def test_pages_can_be_ones_own(client: Client, world: World) -> None:
    subject = world.start()
    friend = viewer_of(subject)
    assert len(read(client, friend, "pages/?mine=false").json()["results"]) == 1
    assert read(client, friend, "pages/?mine=true").json()["results"] == []


def test_an_escalation_shows_what_comes_next(client: Client, world: World) -> None:
    subject = world.start()
    found = read(client, viewer_of(subject), f"escalations/{world.run(subject).pk}/").json()
    assert (found["track"], found["state"], found["subject"]["key"]) == ("page", "running", subject.key)
    assert next((step["level"], step["names"]) for step in found["upcoming"]) == (2, [world.people["ben"].name])


def test_escalations_of_what_one_may_not_see_do_not_exist(client: Client, world: World) -> None:
    run = world.run(world.start())
    assert read(client, person("viewer"), f"escalations/{run.pk}/").status_code == 404


def test_nothing_of_a_page_gives_away_its_link(client: Client, world: World) -> None:
    subject = world.start()
    text = read(client, viewer_of(subject), "pages/").content.decode()
    assert "/ack/" not in text


def test_the_admin_shows_what_one_may_see_and_hides_the_rest(world: World) -> None:
    subject = world.start()
    page, run = world.pages(subject)[0], world.run(subject)
    paths = [
        reverse("admin:paging_page_change", args=[page.pk]),
        reverse("admin:paging_escalationrun_change", args=[run.pk]),
    ]
    friend, stranger = Client(), Client()
    friend.force_login(viewer_of(subject))
    stranger.force_login(person("viewer"))
    for path in paths:
        assert friend.get(path).status_code == 200
        assert stranger.get(path).status_code == 302  # the admin's way to say that there is no such row
        assert friend.post(path, {}).status_code == 403
    assert "/ack/" not in friend.get(paths[0]).content.decode()


@pytest.mark.parametrize("name", ["page", "escalationrun"])
def test_the_lists_cost_the_same_for_many(world: World, name: str) -> None:
    subject = world.start()
    client, user, url = Client(), viewer_of(subject), reverse(f"admin:paging_{name}_changelist")
    client.force_login(user)
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        assert client.get(url).status_code == 200
    for _ in range(4):
        Membership.objects.create(team_id=int(world.start().key), user=user)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(one)
