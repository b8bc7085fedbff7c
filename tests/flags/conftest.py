"""What the tests of flags start from."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.models import Environment, Membership, Service, Team
from apps.flags.models import Flag
from apps.flags.operations import create_flag
from apps.foundation.actor import Actor
from apps.people.models import User
from apps.people.operations import portal_user
from tests.factories import person, service, team


@pytest.fixture
def production(db: None) -> Environment:
    """The first environment by position."""
    portal_user()
    return Environment.objects.create(slug="production", name="Production", position=1)


@pytest.fixture
def core(db: None) -> Team:
    return team("Core")


@pytest.fixture
def checkout(core: Team) -> Service:
    return service("Checkout", core)


@pytest.fixture
def flag(production: Environment, core: Team, checkout: Service) -> Flag:
    """`payments.checkout` in production, which belongs to Core and to the service Checkout, and is on."""
    return make_flag("payments.checkout", production, core, checkout)


def make_flag(key: str, environment: Environment, owner: Team, *services: Service, **given: Any) -> Flag:
    """A flag, made by the portal itself."""
    return create_flag(
        key,
        environment_id=environment.pk,
        owner_id=owner.pk,
        name=key.capitalize(),
        blast_radius="Nobody can pay.",
        rollback_expectation="Carts stay; payments come back within seconds.",
        service_ids=[row.pk for row in services],
        actor=Actor.system(),
        **given,
    )


def lead(of: Team) -> User:
    """Somebody who leads the team and is in no group but viewers."""
    user = person("viewer")
    Membership.objects.create(team=of, user=user, role=Membership.Role.LEAD)
    return user
