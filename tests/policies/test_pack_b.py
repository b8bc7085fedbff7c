"""Pack B says what the live-ops list says, and its notes say what the list leaves open."""

from __future__ import annotations

import pytest

from tests.policies.shipped import called, escalation, notes, responses, review, routing, types


def test_the_types_are_the_five_top_risks() -> None:
    # It says "top risks (payment failure, tick backlog, login outage, data corruption, exploit)"
    assert [kind.name for kind in types("b").root] == [
        "Payment failure",
        "Tick backlog",
        "Login outage",
        "Data corruption",
        "Exploit",
    ]


@pytest.mark.parametrize("severity", ["S1", "S2", "S3"])
def test_the_primary_is_paged_and_the_secondary_when_the_limit_of_the_severity_has_passed(severity: str) -> None:
    # The list asks for primary and secondary rotations, and for paging policies with a limit for each severity
    limit = responses("b")[severity]
    assert limit is not None
    assert called("b", severity) == [(0, "primary"), (limit // 60, "secondary")]
    assert escalation("b").until == "acknowledged"


def test_figures_that_the_document_does_not_give_are_called_settings() -> None:
    assert "gives no figures" in notes("b")
    assert list(responses("b").values()) == [300, 900, 3600]


@pytest.mark.parametrize("team", ["engineering", "operations", "community"])
def test_an_alert_belongs_to_the_team_that_it_names(team: str) -> None:
    assert routing("b").route({"team": team}).team == team


def test_the_postmortem_has_the_parts_of_the_document() -> None:
    # It says "Blameless templates with timeline, impact, contributing factors, fixes, and owners"
    titles = [part.title for part in review("b").template][1:]
    assert titles == ["Timeline", "Impact", "Contributing Factors", "Fixes", "Owners and due dates"]
