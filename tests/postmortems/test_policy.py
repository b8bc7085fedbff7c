"""The section `review` of a pack: what it may say, and what holds where a pack says nothing."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
import yaml

from apps.foundation.errors import Conflict
from apps.incidents import operations as incidents
from apps.policies.loading import load
from apps.policies.models import PolicyVersion
from apps.policies.queries import version_tables
from apps.postmortems import operations
from apps.postmortems.models import Review
from apps.postmortems.policy import ReviewRules, digest_time, rules
from tests.factories import incident, novacron_text, pack
from tests.postmortems.conftest import SYSTEM, World


def without_reviews() -> str:
    document = yaml.safe_load(novacron_text())
    del document["review"]
    return str(yaml.safe_dump(document, sort_keys=False))


def section() -> ReviewRules:
    found = load(novacron_text()).sections["review"]
    assert isinstance(found, ReviewRules)
    return found


def test_pack_e_demands_a_review_of_all_that_users_notice_within_48_hours() -> None:
    found = section()
    day = timedelta(days=1)
    demanded = {s: found.demanding(s, day) is not None for s in ("P0", "P1", "P2", "P3", "P4")}
    assert demanded == {"P0": True, "P1": True, "P2": True, "P3": True, "P4": False}
    assert (found.due_seconds, found.reminder_before, found.escalate_after) == (48 * 3600, day, day)


def test_its_template_has_the_playbooks_parts_in_order() -> None:
    titles = list(dict.fromkeys(part.under or part.title for part in section().template))
    assert titles == [
        "Metadata",
        "Summary",
        "Impact",
        "Timeline",
        "Root Cause",
        "Detection",
        "Response",
        "Action Items",
        "Lessons Learned",
        "Preventive Measures",
    ]


def test_a_pack_may_leave_the_section_out() -> None:
    loaded = load(without_reviews())
    assert loaded.problems == []
    assert "review" not in loaded.sections


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("severities: [P0, P1, P2, P3]}\n  due", "severities: [P0, P9]}\n  due", "Unknown severity P9"),
        ("due: 48h", "due: two days", "is not a duration"),
        ("reminder_before: 1d", "remind: 1d", "Unknown key `remind`"),
        ('digest: "09:00"', 'digest: "9 am"', "must match"),
        ("{slug: metadata, title: Metadata, computed: metadata, written: false}",
         "{slug: metadata, title: Metadata, written: false}", "computed, written, or both"),
        ("{slug: timeline, title: Timeline, computed: timeline, written: false}",
         "{slug: timeline, title: Timeline, computed: timeline, written: false, required: true}", "Only a written"),
        ("slug: lessons", "slug: summary", "named twice"),
        ("computed: detection", "computed: metadata", "named twice"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_line(old: str, new: str, said: str) -> None:
    problems = load(novacron_text((old, new))).problems
    assert any(said in problem.message and problem.line > 0 for problem in problems), problems


def test_a_rule_may_look_at_how_long_it_lasted(world: World) -> None:
    text = novacron_text(("severities: [P0, P1, P2, P3]}\n  due", "severities: [P2], over: 30m}\n  due"))
    pack(text)
    short, long = world.open_incident("Short", "P2"), world.open_incident("Long", "P2")
    world.resolve(short, minutes=30)
    world.resolve(long, seconds=1)
    assert [review.incident for review in Review.objects.all()] == [long]
    assert world.review(long).required_because == "The pack demands a review of P2 over 30 min."


def test_an_incident_of_a_pack_without_reviews_takes_the_template_that_its_pack_has_now(world: World) -> None:
    pack(without_reviews())
    made = incident("Old")
    incidents.resolve(made.pk, actor=world.by("cleo"))
    world.deliver()
    assert not Review.objects.exists()
    newest = pack(novacron_text())
    review = operations.open_review(made.pk, actor=world.by("cleo"))
    assert (review.policy_version_id, review.required_because) == (newest.pk, "")


def test_where_no_pack_has_a_template_none_can_be_opened(world: World) -> None:
    pack(without_reviews())
    made = incident("Old")
    incidents.resolve(made.pk, actor=SYSTEM)
    with pytest.raises(Conflict) as caught:
        operations.open_review(made.pk, actor=world.by("cleo"))
    assert caught.value.code == "no_review_template"
    assert digest_time() == time(9)


def test_people_read_it_as_tables(world: World) -> None:
    version = PolicyVersion.objects.get(pk=world.version.pk)
    tables = dict(version_tables(version))["review"]
    assert [table.title for table in tables] == ["Reviews", "Template"]
    assert ("Due", "2 d after the resolution") in tables[0].rows
    assert rules(world.version.pk) is not None
