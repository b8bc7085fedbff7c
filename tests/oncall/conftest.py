"""A clock that stands still, a team, and a rotation of two."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.oncall.models import Rotation
from apps.oncall.operations import create_rotation
from apps.people.models import User
from tests.factories import named, team


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    """Noon of a Wednesday; the rotation handed over on Monday."""
    found = ManualClock(datetime(2026, 5, 6, 12, tzinfo=UTC))
    with use_clock(found):
        yield found


@pytest.fixture
def core() -> Team:
    return team("Core")


@pytest.fixture
def ana() -> User:
    return named("ana", "responder")


@pytest.fixture
def ben() -> User:
    return named("ben", "responder")


@pytest.fixture
def cat() -> User:
    return named("cat", "responder")


@pytest.fixture
def weekly(clock: ManualClock, core: Team, ana: User, ben: User) -> Rotation:
    """Ana until Monday the 11th at 09:00 UTC, then Ben."""
    return create_rotation(core.pk, "weekly", "Weekly", member_ids=[ana.pk, ben.pk], actor=Actor.system())
