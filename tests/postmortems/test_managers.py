"""Who is whose manager: set by superusers, never oneself, always a person."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from apps.people.models import User
from apps.people.operations import create_service_account
from tests.factories import actor, person, superuser

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form(user: User, **changes: Any) -> dict[str, Any]:
    prefix = "contact_points"
    empty = {f"{prefix}-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")}
    fields = {"username": user.username, "email": user.email, "time_zone": "UTC", "is_active": "on"}
    return {**fields, **empty, "display_name": user.display_name, **changes}


def test_a_superuser_names_a_persons_manager_and_history_keeps_it() -> None:
    boss, user, manager = superuser(), person("viewer"), person("manager")
    address = f"/admin/people/user/{user.pk}/change/"
    assert signed_in(boss).post(address, form(user, manager=manager.pk)).status_code == 302
    user.refresh_from_db()
    assert user.manager == manager
    assert user.history.first().manager == manager


def test_nobody_is_their_own_manager() -> None:
    boss, user = superuser(), person("viewer")
    page = signed_in(boss).post(f"/admin/people/user/{user.pk}/change/", form(user, manager=user.pk))
    assert "Nobody is their own manager." in page.content.decode()
    user.manager = user
    with pytest.raises(IntegrityError), transaction.atomic():
        user.save()


def test_a_program_is_nobodys_manager() -> None:
    boss, user = superuser(), person("viewer")
    robot = create_service_account("robot", groups=[], actor=actor(boss))
    signed_in(boss).post(f"/admin/people/user/{user.pk}/change/", form(user, manager=robot.pk))
    user.refresh_from_db()
    assert user.manager is None


def test_others_see_it_and_do_not_change_it() -> None:
    user, manager = person("viewer"), person("manager", display_name="Mona Manager")
    user.manager = manager
    user.save()
    client = signed_in(person("manager"))
    address = f"/admin/people/user/{user.pk}/change/"
    assert "Mona Manager" in client.get(address).content.decode()
    assert client.post(address, form(user, manager="")).status_code == 403
