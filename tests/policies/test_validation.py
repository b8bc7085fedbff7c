"""What is wrong in a pack is told with line, column, path and a sentence."""

from __future__ import annotations

import pytest

from apps.policies.loading import load
from apps.policies.operations import shipped_packs, validate
from tests.factories import novacron_text


def told(old: str, new: str) -> list[str]:
    return [str(problem) for problem in validate(novacron_text((old, new)))]


@pytest.mark.parametrize("path", shipped_packs(), ids=lambda path: path.stem)
def test_every_shipped_pack_is_valid(path: object) -> None:
    from pathlib import Path

    assert isinstance(path, Path)
    assert validate(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("SRE, after: 5m", "SRE, after: 5 minutes", "escalation.path[1].after", "not a duration"),
        ("SRE, after: 5m", "SRE, after: -5", "escalation.path[1].after", "out of range"),
        ("SRE, after: 5m", "SRE, after: true", "escalation.path[1].after", "not a duration"),
        ("SRE, after: 5m", "SRE, aftr: 5m", "escalation.path[1].aftr", "Unknown key `aftr`"),
        ("{level: 2, name", "{name", "escalation.path[1].level", "`level` is missing"),
        ("SRE, after: 5m", "SRE, after: 20m", "escalation", "never falls"),
        ("level: 2", "level: 7", "escalation", "numbered 1, 2, 3"),
        ("roles: [primary]", "roles: primary", "escalation.path[0].roles", "must be a list"),
        ("roles: [primary]", "roles: []", "escalation.path[0].roles", "must not be empty"),
        ("roles: [primary]", "roles: [1]", "escalation.path[0].roles[0]", "must be text"),
        ("roles: [primary]", "roles: [primary], channels: [fax]", "escalation.path[0]", "Unknown channel 'fax'"),
        ("until: resolved", "until: healed", "escalation.until", "Unknown milestone healed"),
        ("severities: [P0, P1, P2]}", "severities: [P0, P9]}", "escalation.path[1].severities[1]", "severity P9"),
        ("after: 0m", "after: 1m", "escalation.path", "P0 pages, but no level pages it at once"),
        ("rank: 1\n", "rank: one\n", "severities[1].rank", "must be a whole number, not 'one'"),
        ("rank: 1\n", "rank: 0\n", "severities", "Two severities have the rank 0"),
        ("id: P1", "id: p0", "severities", "Two severities have the id p0"),
        ('"#b91c1c"', "red", "severities[0].color", "write a colour as #c2410c"),
        ("    detected: Detected\n", "", "lifecycle.labels", "No label for the phase detected"),
        ("{seq:03d}", "{seq.__class__}", "lifecycle.number", "A number format"),
        ("{slug: mitigated,", "{slug: triaged,", "lifecycle.milestones[0].slug", "named twice"),
        ("Tech Lead, reports_to: commander", "Tech Lead, reports_to: x", "roles", "no role of this pack"),
        ("Tech Lead, reports_to: commander", "Tech Lead, reports_to: tech-lead", "roles", "circle"),
        ("default_severity: P2", "default_severity: P7", "routing.default_severity", "Unknown severity P7"),
        ("critical: P0", "critical: P8", "routing.severity_map.critical", "Unknown severity P8"),
        ("critical: P0", "Critical: P0", "routing.severity_map", "compared in lower case"),
        ("group_by: dedup_key", "group_by: [job, 1]", "routing.group_by[1]", "must be text"),
        ("slug: novacron-v2", "slug: Nova Cron", "pack.slug", "write lower-case letters"),
        ("target: 5m", "target: 5m, stop: healed", "severities[0].clocks.stop", "Unknown milestone healed"),
        ("types:\n", "sla: {stops: [healed]}\ntypes:\n", "sla.stops[0]", "Unknown milestone healed"),
        ("types:\n", "sla: {source: metric}\ntypes:\n", "sla", "needs `metrics`"),
        ("{slug: application,", "{slug: infrastructure,", "types", "Two types have the slug infrastructure"),
        ("Deadlocks,", "Memory leaks,", "types[1].subtypes", "sub-type memory leaks is named twice"),
        ("group_by: dedup_key", "notify: {P9: [slack]}", "routing.notify.P9", "Unknown severity P9"),
        ("group_by: dedup_key", "notify: {P0: [fax]}", "routing.notify.P0[0]", "'fax'"),
        ("group_by: dedup_key", "default_domain: sea", "routing", "is no domain of this pack"),
        (
            "group_by: dedup_key",
            "domains: [{slug: sea, name: Sea, channels: {}}]",
            "routing.domains[0].channels",
            "empty",
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(old: str, new: str, where: str, said: str) -> None:
    problems = validate(novacron_text((old, new)))
    found = [problem for problem in problems if problem.path == where and said in problem.message]
    assert found, [str(problem) for problem in problems]
    assert found[0].line > 0
    assert found[0].column > 0


def test_the_line_is_the_one_of_the_mistake() -> None:
    text = novacron_text(("SRE, after: 5m", "SRE, after: soon"))
    (problem,) = validate(text)
    line = text.splitlines()[problem.line - 1]
    assert line[problem.column - 1 :].startswith("soon")
    assert str(problem).startswith(f"line {problem.line}, column {problem.column} (escalation.path[1].after): 'soon'")


def test_an_unknown_section_and_a_missing_one_are_both_told() -> None:
    lines = told("routing:", "rooting:")
    assert any("Unknown section `rooting`; known are pack, " in line for line in lines)
    assert any("The section `routing` is missing" in line for line in lines)


def test_several_mistakes_come_in_the_order_of_their_lines() -> None:
    problems = validate(novacron_text(("rank: 1\n", "rank: x\n"), ("SRE, after: 5m", "SRE, after: x")))
    assert [problem.path for problem in problems] == ["severities[1].rank", "escalation.path[1].after"]


def test_a_severity_that_pages_nobody_stands_in_no_level() -> None:
    (line,) = told("severities: [P0, P1, P2, P3]", "severities: [P0, P1, P2, P3, P4]")
    assert "P4 pages nobody, but level 1 names it" in line


def test_line_ends_of_a_browser_change_nothing() -> None:
    assert validate(novacron_text().replace("\n", "\r\n")) == []
    assert load("\ufeff".strip()).problems
