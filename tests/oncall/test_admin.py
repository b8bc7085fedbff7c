from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.oncall.models import Override, RoleBinding, Rotation
from apps.oncall.operations import add_override, bind_role, create_rotation
from apps.people.models import User
from tests.factories import named, person, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


@pytest.fixture
def rotation() -> Rotation:
    people = [named("ana").pk, named("ben").pk]
    return create_rotation(team("Core").pk, "core", "Core primary", member_ids=people, actor=SYSTEM)


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def dialog(client: Client, button: str, /, *args: int, **given: Any) -> Any:
    """Press a button's dialog."""
    return client.post(reverse(f"admin:oncall_{button}", args=args), {"_form_submitted": "on", **given})


def test_the_list_says_who_is_on_call(rotation: Rotation) -> None:
    html = as_(person("viewer")).get(reverse("admin:oncall_rotation_changelist")).content.decode()
    assert "Ana" in html
    assert "Monday 09:00 UTC" in html


def test_the_list_costs_the_same_for_many(rotation: Rotation) -> None:
    client, url = as_(person("viewer")), reverse("admin:oncall_rotation_changelist")
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as one:
        client.get(url)
    for number in range(5):
        create_rotation(rotation.team_id, f"r{number}", f"R{number}", actor=SYSTEM)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(one)


def test_a_rotation_shows_its_weeks_members_and_covers(rotation: Rotation) -> None:
    cat = named("cat")
    add_override(rotation.pk, cat.pk, now() + timedelta(days=1), now() + timedelta(days=2), actor=SYSTEM)
    html = as_(person("viewer")).get(reverse("admin:oncall_rotation_change", args=[rotation.pk])).content.decode()
    assert "The next eight weeks" in html
    assert html.count("Cat") >= 2
    assert "covers" in html


@pytest.mark.parametrize(("group", "status"), [("viewer", 403), ("responder", 403), ("manager", 302)])
def test_only_editors_add_people(rotation: Rotation, group: str, status: int) -> None:
    cat = named("cat")
    answer = dialog(as_(person(group)), "rotation_add_member", rotation.pk, user=cat.pk)
    assert answer.status_code == status
    assert rotation.members.filter(user=cat).exists() == (status == 302)


def test_a_manager_makes_edits_and_deletes_a_rotation(rotation: Rotation) -> None:
    client = as_(person("manager"))
    handoff = {"name": "New", "time_zone": "Asia/Tokyo", "handoff_weekday": 2, "handoff_time": "08:00"}
    dialog(client, "rotation_new", team=rotation.team_id, slug="new", **handoff)
    made = Rotation.objects.get(slug="new")
    dialog(client, "rotation_edit", made.pk, **{**handoff, "name": "Newer"}, reason="a better name")
    made.refresh_from_db()
    assert made.name == "Newer"
    assert "a better name" in made.history.first().history_change_reason
    dialog(client, "rotation_remove", made.pk)
    assert not Rotation.objects.filter(slug="new").exists()


def test_a_manager_ends_a_place(rotation: Rotation) -> None:
    member = rotation.members.order_by("position")[0]
    dialog(as_(person("manager")), "rotation_end_member", rotation.pk, member=member.pk)
    member.refresh_from_db()
    assert member.effective_until is not None


def test_a_responder_covers_for_themselves_and_cancels(rotation: Rotation) -> None:
    user = person("responder")
    client, begins, ends = as_(user), f"{now():%Y-%m-%dT%H:%M}", f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    dialog(client, "rotation_cover", rotation.pk, user=user.pk, starts_at=begins, ends_at=ends)
    override = Override.objects.get(user=user)
    dialog(client, "override_cancel", override.pk)
    override.refresh_from_db()
    assert override.cancelled_at is not None


def test_a_refusal_is_told_and_changes_nothing(rotation: Rotation) -> None:
    user = person("responder")
    begins, ends = f"{now():%Y-%m-%dT%H:%M}", f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    given = {"rotation": rotation.pk, "user": named("cat").pk, "starts_at": begins, "ends_at": ends}
    client = as_(user)
    dialog(client, "override_cover", **given)
    assert "own teams" in client.get(reverse("admin:oncall_override_changelist")).content.decode()
    assert not Override.objects.exists()


def test_roles_are_bound_and_taken_back(rotation: Rotation) -> None:
    client = as_(person("manager"))
    dialog(client, "rolebinding_bind", role="primary", rotation=rotation.pk)
    binding = RoleBinding.objects.get()
    html = client.get(reverse("admin:oncall_rolebinding_changelist")).content.decode()
    assert "whoever is on call in Core primary" in html
    dialog(client, "rolebinding_unbind", binding.pk)
    assert not RoleBinding.objects.exists()


@pytest.mark.parametrize("page", ["rotation", "override", "rolebinding"])
def test_every_page_opens_for_a_reader_and_not_for_a_stranger(rotation: Rotation, page: str) -> None:
    bind_role("primary", rotation_id=rotation.pk, actor=SYSTEM)
    add_override(rotation.pk, named("cat").pk, now(), now() + timedelta(days=1), actor=SYSTEM)
    row = {"rotation": Rotation, "override": Override, "rolebinding": RoleBinding}[page].objects.first()
    assert row is not None
    paths = [reverse(f"admin:oncall_{page}_changelist"), reverse(f"admin:oncall_{page}_change", args=[row.pk])]
    paths.append(reverse(f"admin:oncall_{page}_history", args=[row.pk]))
    for path in paths:
        assert as_(person("viewer")).get(path).status_code == 200, path
        assert Client().get(path).status_code == 302
    assert as_(person("viewer")).post(paths[1], {"reason": "x"}).status_code == 403
