"""Small makers of rows for tests; every app adds its own below."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group

from apps.alerts.models import Integration, Receipt
from apps.catalog.models import Membership, Service, Team
from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.incidents.models import Incident
from apps.oncall.models import RoleBinding, Rotation
from apps.people.crypto import digest, seal
from apps.people.models import ApiToken, User
from apps.people.operations import create_token, portal_user, sync_groups
from apps.people.queries import actor_for_user
from apps.policies.models import PolicyVersion
from apps.policies.operations import import_pack, shipped_packs

A_DAY = timedelta(days=1)
_numbers = count(1)


class _OneRound(PBKDF2PasswordHasher):
    """Tests make accounts by the hundred. Any server can verify the result."""

    iterations = 1


_QUICK_PASSWORD = _OneRound().encode("correct horse battery", "salt")


def person(*groups: str, **fields: Any) -> User:
    """A person in these groups, with a name nobody else has and the password "correct horse battery".

    Tests make them by the ten thousand, so they begin without a row of history.
    """
    number = next(_numbers)
    fields.setdefault("username", f"person{number}")
    fields.setdefault("email", f"{fields['username']}@example.com")
    user = User(password=_QUICK_PASSWORD, is_staff=bool(groups), **fields)
    User.objects.bulk_create([user])
    held = User.groups.through
    held.objects.bulk_create([held(user=user, group=group) for group in _groups(groups)])
    return user


def _groups(names: tuple[str, ...]) -> list[Group]:
    """Those of the six groups, which are there unless a test has taken them away."""
    found = list(Group.objects.filter(name__in=names)) if names else []
    if len(found) < len(set(names)):
        sync_groups()
        found = list(Group.objects.filter(name__in=names))
    return found


def superuser(**fields: Any) -> User:
    """A person who may do everything."""
    user = person(is_superuser=True, **fields)
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    return user


def actor(user: User, via: str = "web") -> Actor:
    """This person, acting."""
    return actor_for_user(user, via)


def token(user: User, *scopes: str) -> tuple[ApiToken, str]:
    """A token of this account and its text; everything is in its scope unless told otherwise."""
    return create_token(user.pk, "test", scopes or ("*",), actor=Actor.system())


def bearer(user: User, *scopes: str) -> dict[str, str]:
    """Headers for Django's test client: `client.get(url, headers=bearer(user))`."""
    return {"Authorization": f"Bearer {token(user, *scopes)[1]}"}


def named(name: str, *groups: str, **fields: Any) -> User:
    """A person who is called `Ana` when `name` is "ana"."""
    return person(*groups, username=name, display_name=name.capitalize(), **fields)


def novacron_text(*replaced: tuple[str, str]) -> str:
    """The text of the shipped NovaCron pack, with pieces replaced."""
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new)
    return text


def pack(text: str) -> PolicyVersion:
    """A pack with this text, imported and active; again returns the same."""
    portal_user()
    return import_pack(text, activate=True, note="test", actor=Actor.system())


def novacron(*replaced: tuple[str, str]) -> PolicyVersion:
    """The NovaCron pack, which is the default one, imported and active."""
    return pack(novacron_text(*replaced))


def team(name: str = "Core", *members: User) -> Team:
    made = Team.objects.create(slug=name.lower().replace(" ", "-"), name=name)
    for user in members:
        Membership.objects.create(team=made, user=user)
    return made


def rotation(of: Team, *users: User, starts_on: date = date(2026, 1, 5), **fields: Any) -> Rotation:
    """A rotation of one weekly layer (Mondays 09:00 UTC) in which these people have taken turns since ever."""
    number = next(_numbers)
    made = Rotation.objects.create(
        team=of, slug=fields.pop("slug", f"rotation-{number}"), name=fields.pop("name", f"Rotation {number}")
    )
    layer = made.layers.create(starts_on=starts_on, **fields)
    begun = datetime.combine(starts_on, time(), UTC) - A_DAY
    for position, user in enumerate(users):
        layer.members.create(user=user, position=position, effective_from=begun)
    return made


def service(name: str = "Login", owner: Team | None = None, **fields: Any) -> Service:
    owner = owner or team(f"Owners of {name}")
    return Service.objects.create(slug=name.lower(), name=name, owner=owner, **fields)


def answers_for(role: str, user: User, of: Team | None = None) -> RoleBinding:
    """From now on `user` is who answers for `role` of the team, or of every team."""
    return RoleBinding.objects.create(role=role, user=user, team=of)


def incident(title: str = "Nobody can log in", severity: str = "P1", **given: Any) -> Incident:
    """An incident under the default pack, declared by the portal itself unless `actor` says otherwise."""
    from apps.incidents.operations import declare

    if not PolicyVersion.objects.exists():
        novacron()
    return declare(title, severity, **{"actor": Actor.system(), **given})


def integration(kind: str = "generic", of: Team | None = None, **fields: Any) -> Integration:
    """A source of alerts with the key "key-<its number>", belonging to a team of its own unless told otherwise."""
    number = next(_numbers)
    key = fields.pop("key", f"key-{number}")
    fields.setdefault("name", f"Source {number}")
    of = of or team(f"Team of source {number}")
    return Integration.objects.create(kind=kind, team=of, key_digest=digest(key), key_encrypted=seal(key), **fields)


def receipt(source: Integration, content: Any, **fields: Any) -> Receipt:
    """What a POST of `content` (JSON, or bytes as they are) leaves behind."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    fields.setdefault("received_at", now())
    return Receipt.objects.create(integration=source, body=body, **fields)
