"""The demo world's way to the portal: two integrations, and a file that tells the world their addresses."""

from __future__ import annotations

import json
from pathlib import Path

from django.conf import settings

from apps.alerts.models import Integration
from apps.alerts.operations import create_integration
from apps.alerts.queries import address_with_key
from apps.catalog.models import Team
from apps.foundation.actor import Actor
from apps.foundation.operations import operation

NAMES = {
    Integration.Kind.ALERTMANAGER: "Demo world, Alertmanager",
    Integration.Kind.CHANGE: "Demo world, config changes",
}


@operation
def seed_integrations(team: Team, *, actor: Actor) -> dict[str, str]:
    """The addresses by kind, keys included. What is there already keeps its key; a revoked one is made anew."""
    return {kind: _address(kind, name, team, actor) for kind, name in NAMES.items()}


def _address(kind: str, name: str, team: Team, actor: Actor) -> str:
    there = Integration.objects.filter(kind=kind, name=name).exclude(state=Integration.State.REVOKED).first()
    if there is not None:
        return address_with_key(there)
    return create_integration(name, kind, team_id=team.pk, actor=actor)[1]


def tell_the_world(addresses: dict[str, str]) -> Path:
    """Write the addresses where the demo world's watcher looks for them, readable by the owner only."""
    path = Path(settings.DATA_DIR) / "demo" / "portal.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    text = {
        "alertmanager_url": addresses[Integration.Kind.ALERTMANAGER],
        "change_url": addresses[Integration.Kind.CHANGE],
    }
    path.write_text(json.dumps(text, indent=1), encoding="utf-8")
    return path
