"""Pack E says what document E says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apps.alerts.policy import Routing
from apps.incidents.incident_types import Types
from apps.incidents.policy import Lifecycle, Roles, Severities
from apps.paging.policy import Escalation
from apps.policies.loading import load
from tests.factories import novacron_text

MINUTE, HOUR = 60, 3600


@pytest.fixture(scope="module")
def pack() -> dict[str, object]:
    loaded = load(novacron_text())
    assert loaded.problems == []
    return dict(loaded.sections)


def of(pack: dict[str, object], name: str, kind: type) -> object:
    found = pack[name]
    assert isinstance(found, kind)
    return found


def test_response_targets_and_updates_are_those_of_the_document(pack: dict[str, object]) -> None:
    found = of(pack, "severities", Severities)
    assert isinstance(found, Severities)
    clocks = {s.id: (s.clocks.response_seconds, s.clocks.target_seconds, s.updates.text()) for s in found.root}
    assert clocks == {
        "P0": (1 * MINUTE, 5 * MINUTE, "every 15 min"),
        "P1": (5 * MINUTE, 15 * MINUTE, "every 30 min"),
        "P2": (15 * MINUTE, 1 * HOUR, "every 1 h"),
        "P3": (1 * HOUR, 4 * HOUR, "end of day"),
        "P4": (None, None, "–"),
    }
    assert [s.auto_remediate for s in found.root] == ["yes", "yes", "conditional", "no", "no"]
    assert [s.updates.audience for s in found.root][:2] == ["All stakeholders", "Engineering and leadership"]


def test_the_path_has_five_levels_at_their_minutes_for_their_severities(pack: dict[str, object]) -> None:
    found = of(pack, "escalation", Escalation)
    assert isinstance(found, Escalation)
    assert found.until == "resolved"
    assert [(level.after_seconds // MINUTE, list(level.roles)) for level in found.path] == [
        (0, ["primary"]),
        (5, ["secondary"]),
        (10, ["manager"]),
        (15, ["vp_engineering"]),
        (30, ["executive"]),
    ]
    reached = {s: [level.level for level in found.levels(s)] for s in ("P0", "P1", "P2", "P3", "P4")}
    assert reached == {"P0": [1, 2, 3, 4, 5], "P1": [1, 2, 3, 4], "P2": [1, 2, 3], "P3": [1], "P4": []}


def test_only_the_first_level_ends_with_the_acknowledgement(pack: dict[str, object]) -> None:
    found = of(pack, "escalation", Escalation)
    assert isinstance(found, Escalation)
    assert [found.track_of(level) for level in found.path] == ["page"] + ["management"] * 4
    assert [level.level for level in found.levels("P1", "management")] == [2, 3, 4]
    until_acknowledged = found.model_copy(update={"until": "acknowledged"})
    assert {until_acknowledged.track_of(level) for level in found.path} == {"page"}


def test_roles_are_one_commander_with_four_leads(pack: dict[str, object]) -> None:
    found = of(pack, "roles", Roles)
    assert isinstance(found, Roles)
    assert found.commander.slug == "commander"
    assert [role.slug for role in found.root if role.reports_to == "commander"] == [
        "tech-lead",
        "comms-lead",
        "ops-lead",
        "product-owner",
    ]


def test_numbers_read_as_in_the_document(pack: dict[str, object]) -> None:
    found = of(pack, "lifecycle", Lifecycle)
    assert isinstance(found, Lifecycle)
    at = datetime(2025, 11, 10, 14, 23, tzinfo=UTC)
    assert found.number_for(at, 1) == "INC-2025-11-10-001"
    assert found.number_for(at, 1234) == "INC-2025-11-10-1234"
    assert found.number_prefix(at) == "INC-2025-11-10-"


@pytest.mark.parametrize(
    ("word", "severity"),
    [("critical", "P0"), ("Critical", "P0"), ("high", "P1"), ("error", "P1"), ("page", "P1"), ("warning", "P2"),
     ("low", "P3"), ("minor", "P3"), ("info", "P4"), ("P1", "P1"), ("strange", "P2"), ("", "P2")],
)  # fmt: skip
def test_labels_are_read_as_severities(pack: dict[str, object], word: str, severity: str) -> None:
    found = of(pack, "routing", Routing)
    assert isinstance(found, Routing)
    assert found.severity_of({"severity": word}) == severity


def routing(rules: str) -> Routing:
    loaded = load(novacron_text(("group_by: dedup_key", f"group_by: [alertname, job]\n  rules:\n{rules}")))
    found = loaded.sections["routing"]
    assert isinstance(found, Routing)
    return found


def test_the_first_rule_that_matches_decides() -> None:
    found = routing(
        "    - match: {job: {regex: 'api-.*'}, env: prod}\n      service: api\n      severity: P0\n"
        "    - match: {job: {regex: 'api-.*'}}\n      team: platform\n"
    )
    both = found.route({"job": "api-7", "env": "prod", "severity": "low"})
    assert (both.services, both.severity, both.team) == (("api",), "P0", "")
    second = found.route({"job": "api-7", "severity": "low"})
    assert (second.services, second.severity, second.team) == (("api-7",), "P3", "platform")
    assert found.route({"job": "my-api-7"}).team == ""


def test_a_group_key_is_made_of_the_labels_that_the_pack_names() -> None:
    found = routing("    - match: {job: x}\n      team: y\n")
    assert found.group_key({"alertname": "Down", "job": "api"}, "key") == "alertname=Down,job=api"


def test_types_and_sub_types_are_those_of_the_document(pack: dict[str, object]) -> None:
    found = of(pack, "types", Types)
    assert isinstance(found, Types)
    assert {kind.name: len(kind.subtypes) for kind in found.root} == {
        "Infrastructure": 4,
        "Application": 4,
        "Data": 4,
        "Security": 4,
        "External": 3,
    }
    kind = found.find("security")
    assert kind is not None
    assert list(kind.subtypes) == ["DDoS attacks", "Unauthorized access", "Data breaches", "Certificate expiry"]
