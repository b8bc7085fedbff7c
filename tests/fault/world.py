"""Run inside a rig: a team whose path is walked within seconds, people with addresses, an integration and a token.

python -m tests.fault.world http://127.0.0.1:8901 http://127.0.0.1:8902
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")


@dataclass(frozen=True, slots=True)
class Due:
    """A page that the path demands: so many seconds after its beginning, to the person with this role."""

    after_seconds: int
    level: int
    role: str


LEVELS = (Due(0, 1, "primary"), Due(5, 2, "secondary"), Due(10, 3, "manager"))
REPEAT_EVERY_SECONDS = 6
# The last level is called once more, and then nobody is left.
DEMANDED = (*LEVELS, Due(LEVELS[-1].after_seconds + REPEAT_EVERY_SECONDS, 3, "manager"))
PATH_SECONDS = DEMANDED[-1].after_seconds + REPEAT_EVERY_SECONDS


def escalation() -> str:
    """The section of the pack, in YAML."""
    lines = [
        "escalation:",
        "  until: acknowledged",
        f"  repeat: {{times: 1, every: {REPEAT_EVERY_SECONDS}s}}",
        "  path:",
    ]
    for due in LEVELS:
        what = f"level: {due.level}, name: Level {due.level}, after: {due.after_seconds}s, roles: [{due.role}]"
        lines.append(f"    - {{{what}, severities: [P0, P1, P2, P3]}}")
    return "\n".join(lines) + "\n\n"


def main(hooks: list[str]) -> dict[str, str]:
    """Make them; the address of the integration and the text of the token."""
    from apps.alerts.operations import create_integration
    from apps.catalog.models import Membership, Team
    from apps.foundation.actor import Actor
    from apps.foundation.clock import now
    from apps.oncall.models import RoleBinding
    from apps.people.models import ContactPoint, User
    from apps.people.operations import create_token, portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    system = Actor.system("rig")
    sync_groups()
    portal_user()
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    text, found = re.subn(r"^escalation:\n.*?(?=^routing:)", escalation(), text, flags=re.DOTALL | re.MULTILINE)
    assert found == 1
    import_pack(text, activate=True, note="rig", actor=system)
    team = Team.objects.create(slug="rig", name="Rig")
    ways = {
        "primary": [("email", "primary@example.com"), ("webhook", f"{hooks[0]}/primary")],
        "secondary": [("webhook", f"{hooks[1]}/secondary"), ("email", "secondary@example.com")],
        "manager": [("email", "manager@example.com"), ("webhook", f"{hooks[0]}/manager")],
    }
    for role, points in ways.items():
        user = User.objects.create(username=role, email=f"{role}@example.com")
        Membership.objects.create(team=team, user=user)
        RoleBinding.objects.create(role=role, team=None, user=user)
        for position, (kind, address) in enumerate(points):
            ContactPoint.objects.create(
                user=user, kind=kind, address=address, position=position, state="verified", verified_at=now()
            )
    chief = User.objects.create(username="chief", is_superuser=True, is_staff=True)
    _, token = create_token(chief.pk, "rig", ("*",), actor=system)
    _, address = create_integration("Rig", "alertmanager", team_id=team.pk, actor=system)
    return {"address": address, "token": token}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(main(sys.argv[1:])))
