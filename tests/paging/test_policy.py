"""The section `escalation`: what is refused, at which line, and how it reads as tables."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from apps.paging.plan import Facts, Noted, plan_of
from apps.paging.policy import Escalation
from apps.policies.loading import load
from tests.factories import novacron_text
from tests.paging.conftest import level

_PATH = "    - {level: 5, name: Executive team"


def problems(old: str, new: str) -> list[tuple[int, str]]:
    """What is wrong with the NovaCron pack after a replacement: lines and sentences."""
    return [(problem.line, problem.message) for problem in load(novacron_text((old, new))).problems]


def line_of(piece: str) -> int:
    return next(number for number, line in enumerate(novacron_text().split("\n"), 1) if piece in line)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("{when: security,", "{when: rain,", "Unknown trigger 'rain'"),
        ("{when: security, roles: [security],", "{when: security, call: 9,", "There is no level 9; there are 5."),
        ("{when: security, roles: [security],", "{when: security, call: 2, roles: [x],", "calls either a level"),
        ("{when: security,", "{when: security, over: 5,", "`over` is the limit of revenue"),
        ("{when: security,", "{when: security, for: 2h,", "`for` says how long no progress lasts"),
        ("{when: security,", "{when: security, severities: [P9],", "Unknown severity P9"),
        ("{when: security,", "{when: security, channels: [pigeon],", "Unknown channel 'pigeon'"),
        ("{when: security,", "{when: security, order: alphabet,", "`order`"),
    ],
)
def test_a_mistake_in_a_trigger_is_told_at_its_line(old: str, new: str, sentence: str) -> None:
    ((line, message),) = problems(old, new)
    assert sentence in message
    assert line == line_of("{when: security,")


def test_a_gate_needs_the_targets_it_waits_for() -> None:
    found = problems("  until: resolved\n  path:", "  until: resolved\n  basis: gate\n  path:")
    assert found == []
    without = novacron_text(
        ("  until: resolved\n  path:", "  until: resolved\n  basis: gate\n  path:"), ("target: 15m}", "stop: resolved}")
    )
    (problem,) = load(without).problems
    assert "`gate` waits for the target of P1, which has none" in problem.message
    assert without.split("\n")[problem.line - 1] == "  basis: gate"


def test_a_trigger_that_waits_for_a_clock_nobody_has_is_refused() -> None:
    text = novacron_text(("{when: target_exceeded, call: 3, severities: [P0]}", "{when: response_exceeded, call: 3}"))
    assert load(text).problems == []
    for severity in ("1m", "5m", "15m", "1h"):
        text = text.replace(f"{{response: {severity}, ", "{")
    (problem,) = load(text).problems
    assert "no severity of this trigger has the clock `response`" in problem.message


def test_a_level_without_a_time_that_nothing_calls_is_still_reached_by_hand_only() -> None:
    text = novacron_text((_PATH + ", after: 30m", _PATH))
    assert load(text).problems == []


def test_the_tables_show_the_path_the_triggers_and_the_channels() -> None:
    from apps.policies.sections import registered

    document = yaml.safe_load(novacron_text())["escalation"] | {"channels": {"P0": ["email"]}, "unacknowledge": "30m"}
    section = registered()["escalation"]
    assert section.tables is not None
    path, triggers, channels = section.tables(Escalation.model_validate(document))
    assert path.rows[0][:4] == ("1", "On-call SRE", "0 s", "primary")
    assert "paged again when nothing happens on it for 30 min" in path.note
    assert tuple(triggers.rows[3][:3]) == ("Revenue is lost over 10,000", "level 4: VP Engineering", "10 min")
    assert channels.rows == [("P0", "email")]


# --- the plan, a pure function


def path(*levels: dict[str, Any], **more: Any) -> Escalation:
    return Escalation.model_validate({"until": "resolved", "path": list(levels), **more})


def test_the_first_of_time_and_trigger_calls_a_level_and_the_step_is_one() -> None:
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 5, 4, tzinfo=UTC)
    found = path(
        level(1, "primary"), level(2, "boss", "10m"), triggers=[{"when": "security", "call": 2, "after": "2m"}]
    )
    plan = plan_of(found, "P0", "management")
    facts = Facts(start, conditions={"security": Noted(start + timedelta(minutes=1))})
    (pending,) = plan.pending(facts)
    assert (pending.due_at, pending.why) == (start + timedelta(minutes=3), "Security incident")
    assert plan.pending(Facts(start))[0].due_at == start + timedelta(minutes=10)
    assert plan.pending(Facts(start, conditions=facts.conditions, taken={"level:2": start})) == []


def test_repeats_of_the_whole_path_keep_its_delays() -> None:
    found = path(
        level(1, "primary"),
        level(2, "boss", "5m"),
        until="acknowledged",
        repeat={"times": 2, "every": "10m", "what": "path"},
    )
    steps = plan_of(found, "P0", "page").steps
    assert [step.after_seconds for step in steps] == [0, 300, 900, 1200, 1800, 2100, 2700]
