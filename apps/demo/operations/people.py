"""The people of the demo: accounts, groups, addresses."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password

from apps.demo.organisation import PEOPLE, Person
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.people.models import ContactPoint, User
from apps.people.operations import add_contact_point, set_groups, verify_contact_point


@operation
def seed_people(*, password: str, actor: Actor) -> dict[str, User]:
    """Every person of the demo by username. Who is there already stays as they are.

    New ones get `password`; without one they can't sign in until somebody gives them one.
    """
    known = User.objects.in_bulk([person.username for person in PEOPLE], field_name="username")
    # One hash for all, because each costs a third of a second by design.
    hashed = make_password(password or None) if len(known) < len(PEOPLE) else ""
    new = [person for person in PEOPLE if person.username not in known]
    for person in new:
        known[person.username] = _add(person, hashed, actor)
    for person in new:
        if person.manager:
            known[person.username].manager = known[person.manager]
            known[person.username].save(update_fields=["manager"])
    return known


def _add(person: Person, hashed: str, actor: Actor) -> User:
    user = User.objects.create(
        username=person.username,
        display_name=person.name,
        email=person.email,
        time_zone=person.time_zone,
        password=hashed,
    )
    set_groups(user.pk, person.groups, reason="demo organisation", actor=actor)
    point = add_contact_point(user.pk, ContactPoint.Kind.EMAIL, person.email, label="work", actor=actor)
    verify_contact_point(point.pk, actor=actor)
    return user
