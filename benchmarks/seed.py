"""Fill a rig's database: a team that is on call, and incidents whose next escalation falls due when told.

python -m benchmarks.seed --incidents 1000 --due-in 8
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import timedelta
from typing import Any

UNTIL_ACKNOWLEDGED = ("until: resolved", "until: acknowledged")


def organisation(*, with_mail: bool, until_acknowledged: bool = False) -> Any:
    """A pack, a team, and somebody for each role of the path; again changes nothing."""
    from apps.catalog.models import Membership, Team
    from apps.foundation.actor import Actor
    from apps.foundation.clock import now
    from apps.oncall.models import RoleBinding
    from apps.people.models import ContactPoint, User
    from apps.people.operations import portal_user, sync_groups
    from apps.policies.operations import import_pack, shipped_packs

    sync_groups()
    portal_user()
    text = next(path for path in shipped_packs() if path.stem == "e-novacron").read_text(encoding="utf-8")
    if until_acknowledged:
        text = text.replace(*UNTIL_ACKNOWLEDGED)
    import_pack(text, activate=True, note="rig", actor=Actor.system())
    team, _ = Team.objects.get_or_create(slug="rig", defaults={"name": "Rig"})
    for role in ("primary", "secondary", "manager", "vp_engineering", "executive"):
        user, made = User.objects.get_or_create(username=role, defaults={"email": f"{role}@example.com"})
        Membership.objects.get_or_create(team=team, user=user)
        if made and with_mail:
            ContactPoint.objects.create(
                user=user, kind="email", address=user.email, state="verified", verified_at=now()
            )
        RoleBinding.objects.get_or_create(role=role, team=None, defaults={"user": user})
    return team


def incidents(count: int, team: Any) -> list[Any]:
    """Open this many P1 incidents of the team in one go."""
    from apps.foundation.actor import Actor
    from apps.incidents.operations import Declaration, declare_many

    made: list[Any] = []
    for start in range(0, count, 200):
        size = min(200, count - start)
        made += declare_many(
            [Declaration(title=f"Rig incident {start + n}", severity="P1", team_id=team.pk) for n in range(size)],
            actor=Actor.system("rig"),
        )
    return made


def due_in(seconds: float, most: int | None = None) -> str:
    """Make the next call of each incident, or of `most`, fall due at one instant; that instant in ISO format."""
    from django.db.models import F

    from apps.engine.models import Timer
    from apps.foundation.clock import now
    from apps.paging.models import EscalationRun

    at = now() + timedelta(seconds=seconds)
    callers = EscalationRun.objects.filter(track=EscalationRun.Track.MANAGEMENT, state=EscalationRun.State.RUNNING)
    keys = [str(pk) for pk in callers.order_by("pk").values_list("pk", flat=True)[:most]]
    # A step is due by when its run began; the timer only says when to look.
    EscalationRun.objects.filter(pk__in=keys).update(started_at=F("started_at") - F("next_due_at") + at, next_due_at=at)
    Timer.objects.filter(kind="paging.escalate", state=Timer.State.PENDING, key__in=keys).update(due_at=at, try_at=at)
    return at.isoformat()


def main() -> None:
    """Print as JSON how many incidents there are and when their steps fall due."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--incidents", type=int, default=1000)
    parser.add_argument("--due-in", type=float, default=8.0, help="seconds from the end of seeding")
    parser.add_argument("--due", type=int, help="how many fall due together; all unless given")
    parser.add_argument("--mail", action="store_true", help="people have mail addresses, not only inboxes")
    parser.add_argument("--integration", action="store_true", help="also make an Alertmanager integration")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")
    import django

    django.setup()
    team = organisation(with_mail=options.mail)
    incidents(options.incidents, team)
    told: dict[str, Any] = {"due_at": due_in(options.due_in, options.due)}
    if options.integration:
        from apps.alerts.operations import create_integration
        from apps.foundation.actor import Actor

        made, address = create_integration("Rig", "alertmanager", team_id=team.pk, actor=Actor.system())
        told |= {"integration": made.pk, "address": address}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
