"""What `manage.py portal` gives to its processes and tells a newcomer."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from apps.demo.levers import BUTTONS
from apps.demo.management.commands import portal
from apps.demo.organisation import PEOPLE
from apps.runbooks.operations.library import shipped_runbooks
from incidentportal.running import LOCK, follow_the_running_portal


def test_every_process_may_reach_the_demo_world_and_what_was_named(settings: Any) -> None:
    settings.DEMO, settings.WORLD_URL, settings.EGRESS_ALLOW = True, "http://127.0.0.1:8900", ["config.internal"]
    assert portal.reachable() == ["config.internal", "127.0.0.1:8900"]
    assert portal._environment()["EGRESS_ALLOW"] == "config.internal,127.0.0.1:8900"
    settings.EGRESS_ALLOW = ["127.0.0.1:8900"]
    assert portal.reachable() == ["127.0.0.1:8900"]


def test_without_a_demo_nothing_private_is_reachable_by_itself(settings: Any) -> None:
    settings.DEMO, settings.EGRESS_ALLOW = False, []
    assert portal.reachable() == []


@pytest.mark.parametrize("queue", ["timers", "messages", "executions", "bulk"])
def test_every_queue_has_a_worker_of_its_own_so_that_a_long_runbook_holds_up_nothing(queue: str) -> None:
    assert list(portal.WORKERS.values()).count(queue) == 1


def test_the_hints_name_people_and_things_that_are_there() -> None:
    told = "\n".join(portal.STORY)
    sofia = next(person for person in PEOPLE if person.username == "sofia")
    assert "approver" in sofia.groups
    assert "sofia" in told
    assert "same password" in told
    assert {button.runbook for button in BUTTONS} <= {path.stem for path in shipped_runbooks()}
    assert all(len(line) <= 120 for line in portal.STORY)


def test_a_command_in_another_terminal_reaches_what_the_running_portal_reaches(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEMO, settings.WORLD_URL, settings.EGRESS_ALLOW = True, "http://127.0.0.1:8901", []
    monkeypatch.setenv("PORT", "8001")
    for name in ("WORLD_URL", "EGRESS_ALLOW", "DEMO", "PUBLIC_URL", "HOST"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever is set meanwhile
        monkeypatch.delenv(name)
    with (tmp_path / LOCK).open("a+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        portal._tell_other_terminals(lock, portal._environment())
        follow_the_running_portal(tmp_path)
    assert os.environ["EGRESS_ALLOW"] == "127.0.0.1:8901"
    assert (os.environ["DEMO"], os.environ["PORT"]) == ("1", "8001")  # what is set stays
    assert "SECRET" not in (tmp_path / LOCK).read_text()


def test_what_a_portal_left_that_no_longer_runs_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_URL", raising=False)
    (tmp_path / LOCK).write_text('{"WORLD_URL": "http://127.0.0.1:8901"}')
    follow_the_running_portal(tmp_path)
    follow_the_running_portal(tmp_path / "nowhere")
    assert "WORLD_URL" not in os.environ
