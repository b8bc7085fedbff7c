"""An experiment to try things on, and what its flag answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from apps.catalog.models import Environment, Service, Team
from apps.flags.models import Experiment, Flag, Segment
from apps.flags.operations import create_experiment, start_experiment
from apps.flags.plans import read_plans
from apps.flags.snapshot import COLUMNS, Row, Snapshot
from apps.foundation.actor import Actor
from tests.flags.conftest import make_flag

SYSTEM = Actor.system()
THIRDS = {"control": 33.34, "a": 33.33, "b": 33.33}
REWARDS = {"variants": {"control": "control", "a": "a", "b": "b"}, "off": "control", "serve": "control"}


@pytest.fixture
def reward_flag(production: Environment, core: Team, checkout: Service) -> Flag:
    """`storm.reward`, a text flag of the kind experiment, whose variants answer their names."""
    return make_flag(
        "storm.reward", production, core, checkout, kind="experiment", value_type="string", definition=REWARDS
    )


@pytest.fixture
def running(reward_flag: Flag) -> Experiment:
    """`abx-storm-reward` in thirds between control, a and b, which runs."""
    return start_experiment(make_experiment(reward_flag).pk, actor=SYSTEM)


def make_experiment(flag: Flag, key: str = "abx-storm-reward", **given: Any) -> Experiment:
    """A draft, made by the portal itself."""
    plan = {"name": "Storm reward", "fallback": "control", "percents": THIRDS, **given}
    return create_experiment(key, flag_id=flag.pk, actor=SYSTEM, **plan)


def snapshot() -> Snapshot:
    """What every web process holds."""
    rows = [Row(*row) for row in Flag.objects.order_by().values_list(*COLUMNS)]
    return Snapshot(0, ["production"], rows, dict(Segment.objects.values_list("key", "definition")), read_plans())


def values(experiment: Experiment, keys: Iterable[str]) -> dict[str, Any]:
    """What the flag answers to each."""
    found, flag = snapshot(), Flag.objects.get(pk=experiment.flag_id)
    answers = {key: found.evaluate(flag.key, "production", {"targetingKey": key}) for key in keys}
    return {key: answer.value for key, answer in answers.items() if answer is not None}
