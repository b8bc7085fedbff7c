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
from apps.oncall.models import Coverage, HolidayCalendar, Layer, Override, Pause, RoleBinding, Rotation, Swap
from apps.oncall.operations import (
    add_coverage,
    add_layer,
    add_override,
    bind_role,
    create_holiday_calendar,
    create_rotation,
    pause,
    request_swap,
)
from apps.people.models import User
from tests.factories import named, person, team

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()


@pytest.fixture
def rotation() -> Rotation:
    people = [named("ana").pk, named("ben").pk]
    return create_rotation(team("Core").pk, "core", "Core primary", member_ids=people, actor=SYSTEM)


HANDOFF = {
    "time_zone": "Asia/Tokyo", "cadence": "weekly", "every": 1, "handoff_weekday": 2, "handoff_day": 1,
    "handoff_time": "08:00", "holiday_rule": "ignore",
}  # fmt: skip


ROWS: dict[str, Any] = {
    "rotation": Rotation, "layer": Layer, "override": Override, "coverage": Coverage, "pause": Pause, "swap": Swap,
    "holidaycalendar": HolidayCalendar, "rolebinding": RoleBinding,
}  # fmt: skip


def offer(rotation: Rotation) -> Swap:
    """Whoever follows offers some of their next week."""
    members = rotation.layers.get().members.order_by("position")
    begins = now() + timedelta(days=1)
    return request_swap(rotation.pk, begins, begins + timedelta(days=13), user_id=members[1].user_id, actor=SYSTEM)


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
    assert "The next two weeks" in html
    assert "Ana → Ben" in html
    assert "no verified contact point" in html
    assert html.count("Cat") >= 2
    assert "covers" in html


@pytest.mark.parametrize(("group", "status"), [("viewer", 403), ("responder", 403), ("manager", 302)])
def test_only_editors_add_people(rotation: Rotation, group: str, status: int) -> None:
    cat = named("cat")
    layer = rotation.layers.get()
    answer = dialog(as_(person(group)), "layer_add_member", layer.pk, user=cat.pk)
    assert answer.status_code == status
    assert layer.members.filter(user=cat).exists() == (status == 302)


def test_a_manager_makes_edits_and_deletes_a_rotation(rotation: Rotation) -> None:
    client = as_(person("manager"))
    hours = {"restrictions": "Mon-Fri 09:00-17:00\nSat 22:00-06:00"}
    dialog(client, "rotation_new", team=rotation.team_id, name="New", slug="new", **{**HANDOFF, **hours})
    made = Rotation.objects.get(slug="new")
    assert [rule["weekdays"] for rule in made.layers.get().restrictions] == [[0, 1, 2, 3, 4], [5]]
    dialog(client, "rotation_edit", made.pk, name="Newer", swaps_need_approval="on", reason="a better name")
    made.refresh_from_db()
    assert (made.name, made.swaps_need_approval) == ("Newer", True)
    assert "a better name" in made.history.first().history_change_reason
    dialog(client, "rotation_remove", made.pk)
    assert not Rotation.objects.filter(slug="new").exists()


def test_a_manager_ends_a_place(rotation: Rotation) -> None:
    layer = rotation.layers.get()
    member = layer.members.order_by("position")[0]
    dialog(as_(person("manager")), "layer_end_member", layer.pk, member=member.pk)
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


@pytest.mark.parametrize("page", list(ROWS))
def test_every_page_opens_for_a_reader_and_not_for_a_stranger(rotation: Rotation, page: str) -> None:
    bind_role("primary", rotation_id=rotation.pk, actor=SYSTEM)
    add_override(rotation.pk, named("cat").pk, now(), now() + timedelta(days=1), actor=SYSTEM)
    add_coverage(rotation.pk, [named("dan").pk], now(), now() + timedelta(days=1), actor=SYSTEM)
    pause(rotation.pk, starts_at=now() + timedelta(days=9), actor=SYSTEM)
    create_holiday_calendar("own", "Our days", actor=SYSTEM)
    offer(rotation)
    row = ROWS[page].objects.first()
    assert row is not None
    paths = [reverse(f"admin:oncall_{page}_changelist"), reverse(f"admin:oncall_{page}_change", args=[row.pk])]
    paths.append(reverse(f"admin:oncall_{page}_history", args=[row.pk]))
    for path in paths:
        assert as_(person("viewer")).get(path).status_code == 200, path
        assert Client().get(path).status_code == 302
    assert as_(person("viewer")).post(paths[1], {"reason": "x"}).status_code == 403


def test_people_are_put_in_order_and_whom_nobody_reaches_is_told(rotation: Rotation) -> None:
    client, layer, cat = as_(person("manager")), rotation.layers.get(), named("cat")
    ana = layer.members.order_by("position")[0].user
    dialog(client, "layer_set_members", layer.pk, place_1=cat.pk, place_2=ana.pk)
    new = layer.members.filter(effective_until__isnull=True).order_by("position")
    assert [member.user for member in new] == [cat, ana]
    html = client.get(reverse("admin:oncall_layer_change", args=[layer.pk])).content.decode()
    assert "Cat has no verified contact point" in html


def test_a_manager_adds_edits_and_deletes_a_layer(rotation: Rotation) -> None:
    client = as_(person("manager"))
    dialog(client, "rotation_add_layer", rotation.pk, name="Nights", **HANDOFF)
    layer = rotation.layers.get(name="Nights")
    dialog(client, "layer_edit", layer.pk, **{**HANDOFF, "cadence": "daily"}, name="Late", priority=7)
    layer.refresh_from_db()
    assert (layer.name, layer.priority, layer.cadence) == ("Late", 7, "daily")
    dialog(client, "layer_remove", layer.pk)
    assert rotation.layers.count() == 1


@pytest.mark.parametrize("line", ["Moonday 09:00-17:00", "Mon 9-17", "Mon-Fri 09:00-25:00"])
def test_working_hours_that_make_no_sense_are_told(rotation: Rotation, line: str) -> None:
    client = as_(person("manager"))
    given = {**HANDOFF, "name": "X", "restrictions": line}
    html = dialog(client, "rotation_add_layer", rotation.pk, **given).content.decode()
    assert line.split(maxsplit=1)[0] in html
    assert rotation.layers.count() == 1


def test_a_swap_goes_its_way_by_buttons(rotation: Rotation) -> None:
    swap, user = offer(rotation), person("responder")
    client = as_(user)
    dialog(client, "swap_take", swap.pk)
    swap.refresh_from_db()
    assert swap.taker == user
    dialog(client, "swap_give_back", swap.pk)
    assert client.post(reverse("admin:oncall_swap_withdraw", args=[swap.pk])).status_code == 403
    dialog(as_(person("manager")), "swap_withdraw", swap.pk)
    swap.refresh_from_db()
    assert swap.state == "withdrawn"


def test_a_person_pauses_and_extra_people_come_by_buttons(rotation: Rotation) -> None:
    client, ana = as_(person("manager")), rotation.layers.get().members.order_by("position")[0].user
    dialog(client, "rotation_pause", rotation.pk, user=ana.pk)
    row = rotation.pauses.get()
    dialog(client, "pause_end", row.pk)
    begins, ends = f"{now():%Y-%m-%dT%H:%M}", f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M}"
    dialog(client, "rotation_cover_besides", rotation.pk, users=[ana.pk], starts_at=begins, ends_at=ends)
    dialog(client, "coverage_cancel", rotation.coverages.get().pk)
    assert rotation.coverages.get().cancelled_at is not None


def test_a_manager_makes_edits_and_deletes_a_holiday_calendar() -> None:
    client = as_(person("manager"))
    dialog(client, "holidaycalendar_new", name="Own", slug="own", own_days="2026-12-24, 2026-12-31")
    calendar = HolidayCalendar.objects.get()
    assert calendar.own_days == ["2026-12-24", "2026-12-31"]
    dialog(client, "holidaycalendar_edit", calendar.pk, name="Ours", own_days="")
    dialog(client, "holidaycalendar_remove", calendar.pk)
    assert not HolidayCalendar.objects.exists()


def test_a_rotations_page_costs_the_same_for_many_layers(rotation: Rotation) -> None:
    client, url = as_(person("viewer")), reverse("admin:oncall_rotation_change", args=[rotation.pk])
    client.get(url)
    with CaptureQueriesContext(connection) as one:
        client.get(url)
    for number in range(4):
        add_layer(rotation.pk, f"Layer {number}", member_ids=[named(f"p{number}").pk], actor=SYSTEM)
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(one)
