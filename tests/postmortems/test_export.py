"""A review as Markdown: the playbook's template, safe tables, no secrets, and no names where none are wanted."""

from __future__ import annotations

import re

from apps.foundation.redaction import MASK
from apps.incidents import operations as incidents
from apps.people.crypto import seal
from apps.postmortems import operations
from apps.postmortems.export import filename, markdown
from apps.postmortems.models import Review
from apps.runbooks.models import Secret
from tests.factories import named
from tests.postmortems.conftest import World


def write(world: World, review: Review, slug: str, text: str) -> None:
    operations.edit_section(review.sections.get(slug=slug).pk, text, actor=world.by("cleo"))


def test_it_has_every_part_of_the_playbooks_template_in_its_order(world: World) -> None:
    text = markdown(world.fill(world.review()))
    assert text.startswith("# Incident Post-Mortem: Nobody can log in\n\n## Metadata\n\n- **Incident ID**: INC-")
    assert re.findall(r"^##+ (.+)$", text, flags=re.MULTILINE) == [
        "Metadata",
        "Summary",
        "Impact",
        "Timeline",
        "Root Cause",
        "Detection",
        "Response",
        "Who responded",
        "What was done",
        "What worked well",
        "What could be improved",
        "Action Items",
        "Lessons Learned",
        "Preventive Measures",
    ]
    assert "All about root-cause." in text
    assert "- **Duration**: 29 minutes" in text


def test_action_items_stand_in_a_table_that_nobody_can_break(world: World) -> None:
    review = world.review()
    world.item(review, "Pipe | and <b>bold</b>\nand `code`", priority="P0")
    done = world.item(review, "Done thing", owner_id=None, team_id=world.team.pk)
    operations.finish_item(done.pk, outcome="x", actor=world.by("cleo"))
    text = markdown(review)
    assert r"| Pipe \| and \<b\>bold\</b\> and \`code\` | Ida | P0 | 2026-05-07 | TODO |" in text
    assert "| Done thing | @core | P1 | 2026-05-07 | DONE |" in text


def test_a_line_of_the_timeline_stays_one_row(world: World) -> None:
    made = world.open_incident()
    incidents.post(made.pk, "First\n| second | row |", actor=world.by("cleo"))
    world.resolve(made)
    assert r"First \| second \| row \|" in markdown(world.review(made))


def test_what_is_not_written_yet_says_so(world: World) -> None:
    assert "## Summary\n\n_Not written yet._" in markdown(world.review())


def test_secrets_are_masked_wherever_they_were_written(world: World) -> None:
    Secret.objects.create(name="DB", value_encrypted=seal("hunter2-hunter2"))
    made = world.open_incident()
    incidents.post(made.pk, "curl -H 'Authorization: Bearer abcdefgh12345678'", actor=world.by("cleo"))
    world.resolve(made)
    review = world.review(made)
    write(world, review, "summary", "The password hunter2-hunter2 was in postgres://joe:letmein123@db/x")
    for text in (markdown(review), markdown(review, anonymised=True)):
        assert "abcdefgh12345678" not in text
        assert "hunter2" not in text
        assert "letmein123" not in text
        assert MASK in text


def test_an_anonymised_export_names_roles_consistently_and_nobody(world: World) -> None:
    named("zed", last_name="Zimmer", first_name="Zed")
    made = world.open_incident()
    incidents.post(made.pk, "Ria asked @ria, see ria@example.com", actor=world.by("ria"))
    incidents.take_role(made.pk, "tech-lead", actor=world.by("ria"))
    world.resolve(made)
    review = world.review(made)
    world.item(review, "Ask Ida and Mona")
    operations.set_people(review.pk, reviewer_id=world.people["mona"].pk, actor=world.by("cleo"))
    review.refresh_from_db()
    write(world, review, "summary", "Cleo and Ria fixed it; Zed Zimmer and @zed were asleep, ext@other.org too.")
    text = markdown(review, anonymised=True)
    assert "Incident Commander and Tech Lead fixed it; somebody and somebody were asleep, (email) too." in text
    assert "Tech Lead asked Tech Lead, see (email)" in text
    for name in ("Cleo", "Ria", "Ida", "Mona", "Zimmer", "cleo", "@ria"):
        assert not re.search(rf"\b{name}\b", text), name
    assert "| Ask Participant 2 and Participant 1 | Participant 2 |" in text


def test_the_file_is_named_by_day_and_title(world: World) -> None:
    review = world.review(world.resolved(title="Größere Störung: API/v2 ../../etc"))
    assert filename(review) == "2026-05-04-groere-storung-apiv2-etc.md"
    assert filename(review, anonymised=True) == "2026-05-04-inc-2026-05-04-001.md"
    review.title = "数据库"
    assert filename(review) == "2026-05-04-inc-2026-05-04-001.md"


def test_a_reopened_incident_shows_each_time(world: World) -> None:
    made = world.resolved()
    incidents.reopen(made.pk, actor=world.by("cleo"))
    world.resolve(made, minutes=5)
    text = markdown(world.review(made))
    assert "- **Reopened**: 1 time" in text
    assert "| 2 | 2026-05-04 14:52:00 | 2026-05-04 14:57:00 | Time to resolve (TTR) | 5 minutes |" in text
