"""Run inside a rig: acknowledge each of N incidents as its second level falls due; prints when each was committed."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")


def main(count: int) -> None:
    import django

    django.setup()
    from apps.engine.models import Timer
    from apps.foundation.clock import now
    from apps.foundation.subjects import Subject
    from apps.paging.models import EscalationRun
    from apps.paging.operations import acknowledge
    from apps.people.models import User
    from apps.people.queries import actor_for_user
    from benchmarks.seed import incidents, organisation

    made = incidents(count, organisation(with_mail=True, until_acknowledged=True))
    actor = actor_for_user(User.objects.get(username="primary"), "web")
    first = now() + timedelta(seconds=2)
    runs = {run.subject_key: run for run in EscalationRun.objects.filter(track="page")}
    plan = []
    for number, incident in enumerate(made):
        run, at = runs[str(incident.pk)], first + timedelta(seconds=number * 0.15)
        # A step is due by when its run began; the timer only says when to look.
        EscalationRun.objects.filter(pk=run.pk).update(
            started_at=run.started_at - (run.next_due_at - at), next_due_at=at
        )
        Timer.objects.filter(kind="paging.escalate", key=str(run.pk), run=run.run).update(due_at=at, try_at=at)
        # Around the instant at which workers usually get to it, so that each side wins many.
        plan.append((at + timedelta(seconds=random.uniform(-0.15, 0.25)), run))
    committed = {}
    for at, run in sorted(plan, key=lambda item: item[0]):
        time.sleep(max(0.0, (at - now()).total_seconds()))
        acknowledge(Subject(run.subject_kind, run.subject_key), via="web", actor=actor)
        committed[run.pk] = now().timestamp()
    print(json.dumps(committed))


if __name__ == "__main__":
    main(int(sys.argv[1]))
