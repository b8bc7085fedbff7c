"""What `manage.py portal` gives to its processes and tells a newcomer."""

from __future__ import annotations

from typing import Any

import pytest

from apps.demo.levers import BUTTONS
from apps.demo.management.commands import portal
from apps.demo.organisation import PEOPLE
from apps.runbooks.operations.library import shipped_runbooks


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
