"""Run inside a rig: flags to kill, and a token that may kill and ask for them; printed as JSON.

python -m tests.fault.switches 5
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")


def main(count: int) -> dict[str, Any]:
    """Make them; the keys and ids of the flags, all on, and the text of the token."""
    from apps.catalog.models import Environment
    from apps.flags.operations import create_flag
    from apps.foundation.actor import Actor
    from apps.people.models import User
    from apps.people.operations import create_token
    from benchmarks.seed import organisation

    team, system = organisation(with_mail=False), Actor.system("rig")
    place = Environment.objects.create(slug="production", name="Production")
    texts: dict[str, Any] = {"blast_radius": "Nobody can pay.", "rollback_expectation": "At once."}
    texts |= {"environment_id": place.pk, "owner_id": team.pk, "actor": system}
    flags = {key: create_flag(key, name=key, **texts).pk for key in (f"rig.{number}" for number in range(count))}
    chief = User.objects.create(username="chief", is_superuser=True, is_staff=True)
    return {"flags": flags, "token": create_token(chief.pk, "rig", ("*",), actor=system)[1]}


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(main(int(sys.argv[1]))))
