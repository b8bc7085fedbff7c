"""The demo organisation is made for a portal that lets nobody in by a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.demo.operations import seed_demo
from apps.demo.organisation import PEOPLE
from apps.foundation.actor import Actor
from apps.people.models import User
from apps.people.operations import sync_groups
from apps.policies.operations import import_shipped_packs

pytestmark = pytest.mark.django_db(transaction=True)


def test_people_without_a_password_can_not_sign_in(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    sync_groups()
    import_shipped_packs(actor=Actor.system())
    seed_demo(password="")
    made = User.objects.filter(username__in=[person.username for person in PEOPLE])
    assert made.count() == len(PEOPLE)
    assert not any(user.has_usable_password() for user in made)
