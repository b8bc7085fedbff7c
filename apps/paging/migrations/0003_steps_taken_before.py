"""Tracks that run while this is migrated remember which levels they have called, so that nobody is paged twice."""

from django.db import migrations
from django.db.models import F

# More timers than any track had set before.
FIRST_NUMBER = 10_000


def _steps(document, severity, track):
    """The keys of a track's steps in the order in which they were taken before there were triggers."""
    escalation = document["escalation"]
    zero = {0, "0", "0s", "0m", "0h", "0d"}
    keys = []
    for level in escalation["path"]:
        on_page = escalation["until"] == "acknowledged" or level["after"] in zero
        own = level.get("track") or ("page" if on_page else "management")
        if own == track and severity in level["severities"]:
            keys.append(f"level:{level['level']}")
    if track == "page" and keys:
        times = escalation.get("repeat", {}).get("times", 0)
        keys += [f"repeat:{number}" for number in range(1, times + 1)] + ["last-call"]
    return keys


def remember(apps, schema_editor):
    runs = apps.get_model("paging", "EscalationRun")
    versions = apps.get_model("policies", "PolicyVersion")
    runs.objects.update(armed=F("step") + FIRST_NUMBER)
    there = runs.objects.exclude(step=0)
    documents = dict(
        versions.objects.filter(pk__in=there.values("policy_version_id")).values_list("pk", "document")
    )
    for run in there.iterator():
        keys = _steps(documents[run.policy_version_id], run.severity, run.track)[: run.step]
        run.taken = {key: run.started_at.isoformat() for key in keys}
        if run.state == "exhausted":
            run.taken["end"] = run.started_at.isoformat()
        run.save(update_fields=["taken"])


class Migration(migrations.Migration):
    dependencies = [("paging", "0002_triggers_snooze_and_maintenance")]

    operations = [migrations.RunPython(remember, migrations.RunPython.noop)]
