"""Run inside a rig: one execution of each kind of step that is asked for, at work; prints their ids by name.

python -m tests.fault.executions http://127.0.0.1:8900 put post1 post2 wait
python -m tests.fault.executions --finish 7
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "incidentportal.settings")


CHANGED = "player-00007"


def step_of(kind: str, url: str, tag: str) -> dict[str, Any]:
    """The step of an execution by the name that the tests give it."""
    written: dict[str, tuple[str, dict[str, Any]]] = {
        "put": ("http_request", {"method": "PUT", "url": f"{url}/put", "json": {"on": True}}),
        "health": ("health_check", {"url": f"{url}/health", "attempts": 1, "wait": "60s"}),
        "metric": ("metric_check", {"url": f"{url}/metrics", "metric": "errors", "comparison": "<", "threshold": 1}),
        "there": ("config_restore", {"document": f"there-{tag}"}),
        "here": ("config_restore", {"document": f"here-{tag}"}),
        "notify": ("notify", {"people": ["chief"], "title": "The world is well", "text": "Truly."}),
        "manual": ("manual", {"instructions": "Look at the world."}),
        "wait": ("wait", {"seconds": "10s"}),
        "hook": ("webhook", {"url": f"{url}/hook", "data": {"on": True}}),
        "until": ("wait_until", {"url": f"{url}/until"}),
        "resolve": ("pagerduty_resolve", {"url": url, "routing_key": "0123456789", "dedup_key": "down"}),
        "pause": ("event_pause", {"url": url, "event": "running", "message": "A moment."}),
        "resume": ("event_resume", {"url": url, "event": "sleeping", "message": "Go on."}),
        "sub": ("sub_runbook", {"runbook": f"rig-below-{tag}"}),
        "below": ("health_check", {"url": f"{url}/below", "attempts": 1}),
        "flag": ("flag_change", {"flag": f"rig.{tag}", "environment": "rig", "do": "kill"}),
        "apply": ("config_apply", {"document": f"apply-{tag}", "set": {"drop_rate": 2}}),
        "approval": ("approval", {"asks": "Is it right?"}),
        "variant": ("experiment_kill", {"experiment": f"rig-{tag}", "variant": "b"}),
        "take": ("snapshot_take", {"source": f"take-{tag}"}),
        "back": ("snapshot_restore", {"source": f"back-{tag}", "ids": [CHANGED]}),
    }
    posting = ("http_request", {"method": "POST", "url": f"{url}/{kind}", "json": {"on": True}})
    name, options = written.get(kind, posting)
    return {"slug": kind, "name": kind, "kind": name, "with": options, "timeout": "60s"}


def main(url: str, wanted: list[str]) -> dict[str, int]:
    """Make and start them."""
    import yaml

    from apps.foundation.actor import Actor
    from apps.people.models import User
    from apps.people.queries import actor_for_user
    from apps.runbooks.models import Runbook
    from apps.runbooks.operations.authoring import create_runbook, save_version
    from apps.runbooks.operations.executing import execute, start
    from apps.runbooks.planning import make_dry_run
    from benchmarks.seed import organisation

    team, system = organisation(with_mail=False), Actor.system("rig")
    chief, _ = User.objects.get_or_create(username="chief", defaults={"is_superuser": True, "is_staff": True})
    actor, tag = actor_for_user(chief, "command"), str(Runbook.objects.count())
    if {"here", "there"} & set(wanted):
        documents(url, tag, team)
    if {"flag", "apply", "variant"} & set(wanted):
        levers(tag, team)
    if {"take", "back"} & set(wanted):
        herds(url, tag, team)
    made: dict[str, int] = {}
    for kind in [*(["below"] if "sub" in wanted else []), *wanted]:
        book = create_runbook(f"rig-{kind}-{tag}", kind, owner_id=team.pk, actor=system)
        text = yaml.safe_dump({"title": kind, "approval": "none", "steps": [step_of(kind, url, tag)]})
        save_version(book.pk, text, activate=True, actor=system)
        if kind == "below":
            continue
        dry_run = make_dry_run(book.pk, {}, actor=actor)
        execution = start(dry_run.pk, reason="a rehearsal", actor=actor)
        made[kind] = execute(execution.pk, actor=actor).pk
    return made


def documents(url: str, tag: str, team: Any) -> None:
    """Two documents that differ from their baselines: one held here, one at its source."""
    from apps.catalog.models import Service
    from apps.foundation.actor import Actor
    from apps.state.operations import capture, create_document, edit_config, set_baseline

    system = Actor.system("rig")
    service = Service.objects.create(slug=f"world-{tag}", name=f"World {tag}", owner=team)
    here = create_document(
        slug=f"here-{tag}", name="Here", service_id=service.pk, schema={}, content={"drop_rate": 1}, actor=system
    )
    set_baseline(here.pk, here.head_id, reason="good", actor=system)  # type: ignore[arg-type]  # it has a version
    here.refresh_from_db()
    edit_config(here.pk, {"drop_rate": 9}, expected_revision=here.revision, note="oops", actor=system)
    there = create_document(
        slug=f"there-{tag}", name="There", service_id=service.pk, schema={}, source_url=f"{url}/config", actor=system
    )
    set_baseline(there.pk, capture(there.pk, actor=system).pk, reason="good", actor=system)
    there.refresh_from_db()
    edit_config(there.pk, {"drop_rate": 9}, expected_revision=there.revision, note="oops", actor=system)


def levers(tag: str, team: Any) -> None:
    """A flag, an experiment that runs, and a document that is held here."""
    from apps.catalog.models import Environment, Service
    from apps.flags.operations import create_experiment, create_flag, start_experiment
    from apps.foundation.actor import Actor
    from apps.state.operations import create_document

    system = Actor.system("rig")
    place, _ = Environment.objects.get_or_create(slug="rig", defaults={"name": "Rig"})
    texts: dict[str, Any] = {"blast_radius": "Nothing.", "rollback_expectation": "At once."}
    texts |= {"environment_id": place.pk, "owner_id": team.pk, "name": "Rig", "actor": system}
    create_flag(f"rig.{tag}", **texts)
    names = {"variants": {"a": "a", "b": "b"}, "off": "a", "serve": "a"}
    flag = create_flag(f"rig.variant.{tag}", kind="experiment", value_type="string", definition=names, **texts)
    made = create_experiment(
        f"rig-{tag}", flag_id=flag.pk, name="Rig", fallback="a", percents={"a": 50, "b": 50}, actor=system
    )
    start_experiment(made.pk, actor=system)
    service = Service.objects.create(slug=f"apply-{tag}", name=f"Apply {tag}", owner=team)
    create_document(
        slug=f"apply-{tag}", name="Apply", service_id=service.pk, schema={}, content={"drop_rate": 1}, actor=system
    )


def herds(url: str, tag: str, team: Any) -> None:
    """Two sources of the demo world's players: of one there is a snapshot, and a player who was changed since."""
    import urllib.request

    from apps.catalog.models import Service
    from apps.foundation.actor import Actor
    from apps.state.entities import operations

    system = Actor.system("rig")
    service = Service.objects.create(slug=f"herd-{tag}", name=f"Herd {tag}", owner=team)
    common: dict[str, Any] = {"kind": "player", "service_id": service.pk, "base_url": f"{url}/players", "actor": system}
    operations.create_source(slug=f"take-{tag}", name=f"Take {tag}", **common)
    back = operations.create_source(slug=f"back-{tag}", name=f"Back {tag}", **common)
    snapshot = operations.take_snapshot(back.pk, actor=system)
    while operations.advance(type(snapshot), snapshot.pk):
        continue
    address = f"{url}/players/entities/{CHANGED}"
    with urllib.request.urlopen(address) as answer:
        live = json.loads(answer.read())
    richer = {
        "version": live["version"],
        "document": {**live["document"], "gold": live["document"]["gold"] + 1_000_000},
    }
    urllib.request.urlopen(urllib.request.Request(address, json.dumps(richer).encode(), method="PUT")).close()


def finish(step_id: int) -> None:
    """Finish a manual step."""
    from apps.foundation.actor import Actor
    from apps.runbooks.operations.executing import finish_manual

    finish_manual(step_id, done=True, note="fine", actor=Actor.system("rig"))


if __name__ == "__main__":
    import django

    django.setup()
    if sys.argv[1] == "--finish":
        finish(int(sys.argv[2]))
    else:
        print(json.dumps(main(sys.argv[1], sys.argv[2:])))
