"""Pack C says what the SEV playbook says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.policies.shipped import (
    HOUR,
    called,
    lifecycle,
    notes,
    responses,
    review,
    roles,
    routing,
    severities,
    targets,
)


def test_severities_have_the_definitions_and_examples_of_the_table() -> None:
    # "| SEV-1 | Full outage or security breach affecting >50% of users | Authentication failure, …
    assert {s.id: (s.definition, list(s.examples)) for s in severities("c").root} == {
        "SEV-1": (
            "Full outage or security breach affecting more than 50 % of users.",
            ["Authentication failure", "Data exposure"],
        ),
        "SEV-2": (
            "Major degradation impacting gameplay or the latency objectives.",
            ["Socket latency over 100 ms at P95", "Persistent rate limiting"],
        ),
        "SEV-3": ("Minor issues or isolated errors.", ["Specific room failures", "Avatar upload failures"]),
    }


def test_the_document_sets_no_clocks_and_the_note_says_so() -> None:
    assert set(responses("c").values()) | set(targets("c").values()) == {None}
    assert "no response times" in notes("c")


def test_the_four_roles_are_those_of_the_document() -> None:
    # It says "Incident Commander (IC)", "Communications Lead", "Operations Engineer", "Security Engineer"
    assert [role.name for role in roles("c").root] == [
        "Incident Commander",
        "Communications Lead",
        "Operations Engineer",
        "Security Engineer",
    ]
    assert roles("c").commander.name == "Incident Commander"


@pytest.mark.parametrize(
    ("severity", "paged"),
    [
        # It says "IC assesses severity, declares incident, and pages required roles"
        ("SEV-1", {"operations-engineer", "commander", "communications-lead", "security-engineer"}),
        ("SEV-2", {"operations-engineer", "commander", "communications-lead"}),
        ("SEV-3", {"operations-engineer"}),
    ],
)
def test_declaring_pages_the_required_roles_at_once(severity: str, paged: set[str]) -> None:
    assert {(minutes, role) for minutes, role in called("c", severity)} == {(0, role) for role in paged}


def test_the_phases_are_those_of_the_workflow() -> None:
    # It says "1. Detection", "2. Triage", "3. Containment", "4. Eradication & Recovery", "5. Post-Incident Review"
    assert [
        lifecycle("c").labels[phase] for phase in ("detected", "triage", "mitigating", "validating", "resolved")
    ] == [
        "Detection",
        "Triage",
        "Containment",
        "Eradication & Recovery",
        "Post-Incident Review",
    ]


def test_the_postmortem_is_due_within_48_hours() -> None:
    # It says "Postmortem: distributed to engineering leadership within 48 hours."
    rules = review("c")
    assert rules.due_seconds == 48 * HOUR
    assert all(rules.demanding(severity, timedelta(0)) for severity in ("SEV-1", "SEV-2", "SEV-3"))


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"source": "siem"}, "SEV-1"),
        ({"source": "siem", "severity": "warning"}, "SEV-2"),
        ({"source": "siem", "severity": "low"}, "SEV-3"),
        ({"source": "prometheus", "severity": "critical"}, "SEV-1"),
        ({}, "SEV-2"),
    ],
)
def test_metrics_and_security_events_get_a_severity(labels: dict[str, str], severity: str) -> None:
    # It says "Alerts fire from Prometheus (metrics above thresholds) or SIEM security events."
    assert routing("c").route(labels).severity == severity
