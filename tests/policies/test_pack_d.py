"""Pack D says what the StoneCaster runbook says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.policies.shipped import (
    DAY,
    HOUR,
    MINUTE,
    called,
    escalation,
    lifecycle,
    notes,
    responses,
    review,
    roles,
    routing,
    severities,
    targets,
    types,
)


def test_response_times_are_those_of_the_document() -> None:
    # P0 "Response Time: 15 minutes", P1 "1 hour", P2 "4 hours", P3 "24 hours"
    assert responses("d") == {"P0": 15 * MINUTE, "P1": HOUR, "P2": 4 * HOUR, "P3": DAY}
    assert set(targets("d").values()) == {None}


@pytest.mark.parametrize(
    ("severity", "name", "definition"),
    [
        ("P0", "Critical", "Complete service outage or data loss."),
        ("P1", "High", "Significant service degradation affecting many users."),
        ("P2", "Medium", "Limited service impact or non-critical features affected."),
        ("P3", "Low", "Minor issues with minimal user impact."),
    ],
)
def test_severities_have_the_names_and_definitions_of_the_document(severity: str, name: str, definition: str) -> None:
    found = severities("d").get(severity)
    assert (found.name, found.definition, len(found.examples)) == (name, definition, 3)


def test_between_five_and_ten_times_is_p2_and_the_note_says_so() -> None:
    # P1 "Performance degradation > 10x normal", P2 "Performance degradation < 5x normal"
    assert "5 to 10 times as P2" in notes("d")


def test_the_response_limit_calls_the_second_level() -> None:
    # It says "Level 1: On-call engineer", "Level 2: Senior engineer or team lead", "Incident exceeds response time SLA"
    for severity, seconds in responses("d").items():
        assert seconds is not None
        assert called("d", severity)[0] == (0, "primary")
    assert escalation("d").until == "resolved"


def test_all_four_levels_are_roles_of_the_path() -> None:
    # It says "Level 3: Engineering manager", "Level 4: CTO or VP Engineering"
    found = {role for level in escalation("d").path for role in level.roles}
    assert found == {"primary", "secondary", "manager", "executive"}


def test_the_commander_is_the_only_role() -> None:
    # It says "If not, take incident commander role"
    assert [role.name for role in roles("d").root] == ["Incident Commander"]


def test_the_types_are_the_five_scenarios_with_their_symptoms() -> None:
    # It says "Common Incident Scenarios": Database, API Performance, Authentication, Rate Limiting, Budget/Cost
    names = ["Database", "API performance", "Authentication", "Rate limiting", "Budget and cost"]
    assert [kind.name for kind in types("d").root] == names
    assert all(len(kind.subtypes) == 3 for kind in types("d").root)


def test_the_phases_are_those_of_the_process() -> None:
    # It says "1. Initial Response", "2. Investigation", "3. Resolution", "4. Post-Incident" with its monitoring
    labels = lifecycle("d").labels
    assert [labels[p] for p in ("detected", "triage", "mitigating", "validating", "resolved")] == [
        "Initial Response",
        "Investigation",
        "Resolution",
        "Monitoring",
        "Post-Incident",
    ]


@pytest.mark.parametrize(("word", "severity"), [("critical", "P0"), ("high", "P1"), ("medium", "P2"), ("low", "P3")])
def test_alerts_are_told_in_the_incident_channel(word: str, severity: str) -> None:
    # It says "Incident Channel: #incidents"
    routed = routing("d").route({"severity": word})
    assert routed.severity == severity
    assert [place.name for place in routing("d").destinations(severity, routed.domain)] == ["#incidents"]


def test_every_incident_gets_a_report_within_a_week() -> None:
    # It says "Short-term (1-7 days): Root cause analysis completed"
    rules = review("d")
    assert rules.due_seconds == 7 * DAY
    assert all(rules.demanding(severity, timedelta(0)) for severity in ("P0", "P1", "P2", "P3"))
