"""What the tests of flags start from."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.models import Environment, Membership, Service, Team
from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.flags.models import Experiment, Flag, FlagChange
from apps.flags.operations import create_flag, start_experiment
from apps.foundation.actor import Actor
from apps.people.models import User
from apps.people.operations import portal_user
from tests.factories import person, service, team
from tests.flags.experimenting import REWARDS, make_experiment


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


@pytest.fixture
def reward_flag(production: Environment, core: Team, checkout: Service) -> Flag:
    """`storm.reward`, a text flag of the kind experiment, whose variants answer their names."""
    return make_flag(
        "storm.reward", production, core, checkout, kind="experiment", value_type="string", definition=REWARDS
    )


@pytest.fixture
def running(reward_flag: Flag) -> Experiment:
    """`abx-storm-reward` in thirds between control, a and b, which runs."""
    return start_experiment(make_experiment(reward_flag).pk, actor=Actor.system())


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


def sweep() -> None:
    """Answers reach the flag, and what is due is done."""
    while deliver():
        pass
    fire_timers()


def state_of(change: FlagChange) -> tuple[str, str]:
    change.refresh_from_db()
    return change.state, change.detail
