"""An experiment to try things on, and what its flag answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.flags.models import Experiment, Flag, Segment
from apps.flags.operations import create_experiment
from apps.flags.plans import read_plans
from apps.flags.snapshot import COLUMNS, Row, Snapshot
from apps.foundation.actor import Actor

SYSTEM = Actor.system()
THIRDS = {"control": 33.34, "a": 33.33, "b": 33.33}
REWARDS = {"variants": {"control": "control", "a": "a", "b": "b"}, "off": "control", "serve": "control"}


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
