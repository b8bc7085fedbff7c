from __future__ import annotations

import json
from collections import Counter

import pytest
from django.db import connection

from apps.catalog.models import Environment, Service, Team
from apps.engine.models import Event
from apps.flags.experiment_queries import enrolled, epochs_of, preview_variant_kill
from apps.flags.experiments.slots import unit_number
from apps.flags.models import AllocationEpoch, Experiment, Exposure, Flag, FlagRevision
from apps.flags.operations import Seen, kill_variant, record_exposures
from apps.flags.plans import read_plans
from apps.flags.snapshot import Row, Snapshot
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from tests.factories import actor, person
from tests.flags.conftest import make_flag
from tests.flags.experimenting import make_experiment, reward_flag, running, values

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
MANY = 30_000


def enrol(experiment: Experiment, seen: dict[str, str]) -> None:
    """The rows that thirty batches over the API write, in one statement: seconds less."""
    numbers = {str(unit_number(experiment.salt, key)): variant for key, variant in seen.items()}
    each = "json_each_text" if connection.vendor == "postgresql" else "json_each"
    into = "INSERT INTO flags_exposure (experiment_id, unit, variant, epoch, seen_at)"
    with connection.cursor() as cursor:
        rows = f"SELECT %s, CAST(key AS bigint), value, 1, %s FROM {each}(%s)"
        cursor.execute(f"{into} {rows}", [experiment.pk, now(), json.dumps(numbers)])


def test_of_30_000_only_those_with_the_killed_variant_move_and_30_000_new_ones_are_split_evenly(
    running: Experiment,
) -> None:
    people, newcomers = [f"user-{n}" for n in range(MANY)], [f"new-{n}" for n in range(MANY)]
    before = values(running, people)
    enrol(running, before)
    preview = preview_variant_kill(running, "b")
    kill_variant(running.pk, "b", reason="inflation 1.11", actor=SYSTEM)
    after, new = values(running, people), Counter(values(running, newcomers).values())
    moved = {key for key in people if after[key] != before[key]}
    assert moved == {key for key in people if before[key] == "b"}
    assert {after[key] for key in moved} == {"control"}
    assert abs(new["a"] / MANY - 0.5) < 0.012
    assert set(new) == {"a", "control"}
    kept = Counter(variant for variant in before.values() if variant != "b")
    assert (preview.moves, preview.stays, preview.after) == ({"control": len(moved)}, kept, {"control": 50.0, "a": 50.0})
    number, plans = FlagRevision.objects.get().number, read_plans()
    kill_variant(running.pk, "b", reason="again", actor=SYSTEM)
    assert (FlagRevision.objects.get().number, read_plans()) == (number, plans)
    assert Event.objects.filter(kind="flags.variant_killed").count() == 1
