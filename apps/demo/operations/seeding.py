"""The whole demo organisation in one call."""

from __future__ import annotations

from datetime import timedelta

from apps.demo.operations.catalog import seed_changes, seed_services, seed_teams
from apps.demo.operations.integrations import seed_flag_reader, seed_integrations, tell_the_world
from apps.demo.operations.levers import follow_the_world, seed_config, seed_entities, seed_runbooks, seed_switches
from apps.demo.operations.oncall import seed_cover, seed_rotations
from apps.demo.operations.past import seed_past_incidents
from apps.demo.operations.people import seed_people
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.policies.queries import active_version

FOUNDED = timedelta(days=60)
MANAGER = "omar"


def seed_demo(*, password: str) -> int:
    """Make the demo organisation; what is there already stays as people left it.

    New people of it sign in with `password`. Returns how many past incidents it played. Raises NotFound where the
    default pack has no active version.
    """
    actor = Actor.system("demo")
    active_version(None, None)  # says so at once where DEFAULT_PACK names none
    # On call begins in the past, or nobody would have been paged for the incidents of last week.
    with use_clock(ManualClock(now() - FOUNDED)):
        people = seed_people(password=password, actor=actor)
        teams = seed_teams(people, actor=actor)
        services = seed_services(teams, actor=actor)
        seed_rotations(teams, people, actor=actor)
    integrations = seed_integrations(teams["game-platform"], actor=actor)
    tell_the_world(integrations, seed_flag_reader(people[MANAGER], actor=actor))
    seed_changes(services, actor=actor)
    seed_switches(teams, services, actor=actor)
    seed_config(services, actor=actor)
    seed_entities(services, actor=actor)
    follow_the_world(actor=actor)
    seed_runbooks(teams, services, actor=actor)
    seed_cover(people, actor=actor)
    return seed_past_incidents(services, people)
