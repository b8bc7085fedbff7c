"""Pack A says what the Season 2 validation log says; each table stands here as the document prints it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.policies.shipped import (
    HOUR,
    MINUTE,
    called,
    escalation,
    notes,
    review,
    roles,
    routing,
    service_levels,
    severities,
    targets,
)

# §6.2 "| Inflation Index | >1.08 | >1.15 | 60 min |" and the seven rows below it, the last column
METRIC_LIMITS = {
    "inflation_index": 60,
    "earn_spend_ratio": 60,
    "crash_free_rate": 30,
    "p95_latency": 30,
    "puzzle_completion_rate": 90,
    "boss_success_rate": 60,
    "fraud_flags": 30,
    "retention_d1": 90,
}

# Tests 1-9: the metric of "Trigger Condition", the section's severity, and "Alert fires in #…"
TESTS = [
    ("inflation_index", "critical", "P0", "#alerts-economy", "economy-oncall"),
    ("crash_free_rate", "critical", "P0", "#alerts-liveops", "sre-oncall"),
    ("fraud_flags", "critical", "P0", "#alerts-security", "security-oncall"),
    ("p95_latency", "critical", "P0", "#alerts-performance", "sre-oncall"),
    ("earn_spend_ratio", "warning", "P1", "#alerts-economy", "economy-oncall"),
    ("puzzle_completion_rate", "warning", "P1", "#alerts-content", "liveops-oncall"),
    ("boss_success_rate", "warning", "P1", "#alerts-content", "liveops-oncall"),
    ("retention_d1", "warning", "P2", "#alerts-analytics", None),
    ("vendor_usage_pct", "warning", "P2", "#alerts-economy", None),
]


def test_severities_have_the_limits_of_30_60_and_90_minutes() -> None:
    # §1 "Critical Alerts (30-min SLA)", "High-Priority Alerts (60-min SLA)", "Medium-Priority Alerts (90-min SLA)"
    assert targets("a") == {"P0": 30 * MINUTE, "P1": 60 * MINUTE, "P2": 90 * MINUTE}
    assert [(s.id, s.name) for s in severities("a").root] == [("P0", "Critical"), ("P1", "High"), ("P2", "Medium")]


def test_a_limit_is_met_only_below_it() -> None:
    # Test 1: "10:28:50 | Rollback verified, alert resolved" after 10:00:00 is 1730 s
    clocks = severities("a").get("P0").clocks
    assert clocks.target_met(1730) is True
    assert clocks.target_met(30 * MINUTE) is False


def test_a_clock_may_stop_at_five_milestones() -> None:
    # Stops named in the tests: alert resolved, hotfix ready, canary deployment, variant adjusted, cohort retention
    assert list(service_levels("a").stops) == [
        "resolved",
        "hotfix_ready",
        "canary_deployed",
        "variant_adjusted",
        "cohort_monitored",
    ]


def test_metrics_have_the_limits_of_the_table_but_those_of_the_severity_hold() -> None:
    found, clocks = service_levels("a"), severities("a").get("P0").clocks
    assert {name: seconds // MINUTE for name, seconds in found.metrics.items()} == METRIC_LIMITS
    assert (found.source, found.limit_seconds(clocks, "inflation_index")) == ("severity", 30 * MINUTE)
    by_metric = found.model_copy(update={"source": "metric"})
    assert by_metric.limit_seconds(clocks, "inflation_index") == HOUR
    assert by_metric.limit_seconds(clocks, "vendor_usage_pct") == 30 * MINUTE


@pytest.mark.parametrize(
    ("severity", "row"),
    [
        # It says "| **Critical** (P0) | On-call engineer | On-call manager | Director of Eng | CTO/VP Eng |"
        ("P0", [(0, "primary"), (30, "manager"), (60, "director"), (90, "cto")]),
        # It says "| **High** (P1) | On-call engineer | On-call manager | Director of Eng | N/A |"
        ("P1", [(0, "primary"), (30, "manager"), (60, "director")]),
        # It says "| **Medium** (P2) | On-call engineer | On-call manager | N/A | N/A |"
        ("P2", [(0, "primary"), (30, "manager")]),
    ],
)
def test_the_escalation_matrix_is_that_of_the_document(severity: str, row: list[tuple[int, str]]) -> None:
    assert called("a", severity) == row
    assert escalation("a").until == "resolved"
    assert "follows the matrix" in notes("a")


@pytest.mark.parametrize(("metric", "word", "severity", "channel", "service"), TESTS)
def test_each_alert_of_the_tests_reaches_its_channel_and_service(
    metric: str, word: str, severity: str, channel: str, service: str | None
) -> None:
    routed = routing("a").route({"metric": metric, "severity": word})
    told = {place.channel: place.name for place in routing("a").destinations(routed.severity, routed.domain)}
    assert routed.severity == severity
    assert (told["slack"], told.get("pagerduty")) == (channel, service)
    assert ("email" in told) is (severity == "P0")


def test_severities_choose_the_channels() -> None:
    # It says "P0 (Critical): Slack + PagerDuty + Email", "P1 (High): Slack + PagerDuty", "P2 (Medium): Slack only"
    assert {severity: list(kinds) for severity, kinds in routing("a").notify.items()} == {
        "P0": ["slack", "pagerduty", "email"],
        "P1": ["slack", "pagerduty"],
        "P2": ["slack"],
    }


def test_there_are_seven_channels_and_four_services() -> None:
    # §6.1 lists five channels; Tests 6-8 use #alerts-content and #alerts-analytics too
    found = [domain.channels for domain in routing("a").domains]
    names = ("economy", "liveops", "performance", "security", "community", "content", "analytics")
    assert {each["slack"] for each in found} == {f"#alerts-{name}" for name in names}
    services = {"economy-oncall", "liveops-oncall", "sre-oncall", "security-oncall"}
    assert {each["pagerduty"] for each in found if "pagerduty" in each} == services
    assert "#alerts-content and #alerts-analytics" in notes("a")


def test_an_alert_may_name_its_domain_itself() -> None:
    found = routing("a")
    assert found.route({"domain": "Community"}).domain == "community"
    assert found.route({"domain": "weather"}).domain == "liveops"
    assert found.destinations("P2", "weather") == []


@pytest.mark.parametrize(
    ("name", "contact", "backup", "schedule"),
    [
        # §4.2 "| **Economy Lead** | @economy-lead | @economy-analyst | economy-oncall |" and the five rows below it
        ("Economy Lead", "@economy-lead", "@economy-analyst", "economy-oncall"),
        ("LiveOps Engineer", "@liveops-engineer", "@liveops-backup", "liveops-oncall"),
        ("SRE On-Call", "@sre-oncall", "@sre-backup", "sre-oncall"),
        ("Tech Lead", "@tech-lead", "@tech-backup", "tech-oncall"),
        ("Community Manager", "@community-manager", "@community-backup", "community-oncall"),
        ("Security Lead", "@security-lead", "@security-backup", "security-oncall"),
    ],
)
def test_roles_are_the_six_contacts(name: str, contact: str, backup: str, schedule: str) -> None:
    found = next(role for role in roles("a").root if role.name == name)
    assert found.staffed_from == f"{schedule}: {contact}, backup {backup}"


def test_reviews_are_required_after_any_p0_and_after_more_than_90_minutes() -> None:
    # It says "After any P0 incident", "After any incident lasting >90 min", and with player impact
    rules = review("a")
    assert rules.demanding("P0", timedelta(minutes=1)) is not None
    assert rules.demanding("P2", timedelta(minutes=90)) is None
    assert rules.demanding("P2", timedelta(minutes=90, seconds=1)) is not None
    assert "player impact" in notes("a")


def test_the_review_has_the_parts_of_the_template() -> None:
    # It says "## Timeline", "## Root Cause" … "## Follow-Up", after the head with date, severity, duration and impact
    assert [part.title for part in review("a").template] == [
        "Metadata",
        "Impact",
        "Timeline",
        "Root Cause",
        "Resolution",
        "What Went Well",
        "What Went Wrong",
        "Action Items",
        "Follow-Up",
    ]
