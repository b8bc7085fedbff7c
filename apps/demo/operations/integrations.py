"""The demo world's way to the portal: two integrations, a token for its flags, and the file that tells it of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.alerts.models import Integration
from apps.alerts.operations import create_integration
from apps.alerts.queries import address_with_key
from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.foundation.operations import operation
from apps.people.models import User
from apps.people.operations import create_service_account, create_token, revoke_token
from apps.people.queries import actor_for_user, token_by_text, usable_tokens

READER = "demo-world"
ENVIRONMENT = "production"
NAMES = {
    Integration.Kind.ALERTMANAGER: "Demo world, Alertmanager",
    Integration.Kind.CHANGE: "Demo world, config changes",
}


@operation
def seed_flag_reader(owner: User, *, actor: Actor) -> dict[str, str]:
    """Where the world asks for its kill switches, and with which token. A token that still opens something is kept."""
    known = _known().get("flags_token", "")
    token = token_by_text(known) if isinstance(known, str) and known else None
    text = known if token is not None and token.user.username == READER else _new_token(owner, actor)
    return {
        "flags_url": f"{settings.PUBLIC_URL}/ofrep/v1/evaluate/flags",
        "flags_token": text,
        "environment": ENVIRONMENT,
    }


def _new_token(owner: User, actor: Actor) -> str:
    """The one token of the world's account; what it had before opens nothing any more."""
    account = User.objects.filter(username=READER, kind=User.Kind.SERVICE).first()
    if account is None:
        account = create_service_account(READER, display_name="Demo world", actor=actor_for_user(owner, "web"))
    if not account.is_active:
        return ""  # somebody closed it: the world is refused, and says so
    for old in usable_tokens().filter(user=account):
        revoke_token(old.pk, reason="the demo world gets a new one", actor=actor)
    return create_token(account.pk, "kill switches", ["flags:read"], actor=actor)[1]


@operation
def seed_integrations(team: Team, *, actor: Actor) -> dict[str, str]:
    """The addresses by kind, keys included. What is there already keeps its key; a revoked one is made anew."""
    return {kind: _address(kind, name, team, actor) for kind, name in NAMES.items()}


def _address(kind: str, name: str, team: Team, actor: Actor) -> str:
    there = Integration.objects.filter(kind=kind, name=name).exclude(state=Integration.State.REVOKED).first()
    if there is not None:
        return address_with_key(there)
    return create_integration(name, kind, team_id=team.pk, actor=actor)[1]


def _file() -> Path:
    return Path(settings.DATA_DIR) / "demo" / "portal.json"


def _known() -> dict[str, Any]:
    """What the world was told before."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def tell_the_world(addresses: dict[str, str], switches: dict[str, str]) -> Path:
    """Write the addresses where the demo world looks for them, readable by the owner only."""
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    text = {
        "alertmanager_url": addresses[Integration.Kind.ALERTMANAGER],
        "change_url": addresses[Integration.Kind.CHANGE],
        **switches,
    }
    path.write_text(json.dumps(text, indent=1), encoding="utf-8")
    return path
