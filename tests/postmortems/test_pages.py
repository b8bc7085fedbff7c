"""The pages of reviews and action items: what stands on them, and what their buttons do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.foundation.clock import now
from apps.incidents import operations as incidents
from apps.postmortems import operations
from apps.postmortems.models import ActionItem, Review, Section
from tests.postmortems.conftest import World

BACKEND = "django.contrib.auth.backends.ModelBackend"
HTMX = {"HX-Request": "true"}


def browser_of(world: World, name: str) -> Client:
    client = Client()
    client.force_login(world.people[name], backend=BACKEND)
    return client


def text_of(world: World, name: str, url: str) -> str:
    answer = browser_of(world, name).get(url, follow=True)
    assert answer.status_code == 200, url
    return answer.content.decode()


def page(review: Review) -> str:
    return reverse("admin:postmortems_review_change", args=[review.pk])


def act(review: Review, verb: str) -> str:
    return reverse("admin:postmortems_review_act", args=[review.pk, verb])


def item_act(item: ActionItem, verb: str) -> str:
    return reverse("admin:postmortems_actionitem_act", args=[item.pk, verb])


def section_url(section: Section) -> str:
    return reverse("admin:postmortems_review_section", args=[section.review_id, section.pk])


def section(review: Review, slug: str = "summary") -> Section:
    return review.sections.get(slug=slug)


# --- the page ---


def test_the_page_has_every_part_of_the_template_in_its_order(world: World) -> None:
    text = text_of(world, "cleo", page(world.review()))
    titles = ["Metadata", "Summary", "Impact", "Timeline", "Root Cause", "Detection", "Action Items", "Lessons Learned"]
    places = [text.index(f">{title}</h") for title in titles]
    assert places == sorted(places)
    assert "What made it possible, not who." in text


def test_computed_parts_are_filled_in_and_marked_as_locked(world: World) -> None:
    text = text_of(world, "cleo", page(world.review()))
    assert text.count("computed – can&#x27;t be edited") + text.count("computed – can't be edited") == 6
    assert "Time to resolve" in text
    assert "29 minutes" in text
    assert "P1" in text


def test_what_is_missing_is_said_before_anybody_submits(world: World) -> None:
    review = world.review()
    text = text_of(world, "cleo", page(review))
    assert "“Root Cause” is empty" in text
    asked = text_of(world, "cleo", act(review, "submit"))
    assert "“Root Cause” is empty." in asked
    assert 'type="submit"' not in asked.split('id="dialog-title"')[1].split("</form>")[0]
    refused = browser_of(world, "cleo").post(act(review, "submit"))
    assert refused.status_code == 409
    assert "Still empty: Summary" in refused.content.decode()


def test_a_due_date_counts_down_and_then_says_overdue(world: World) -> None:
    review = world.review()
    assert "Until due" in text_of(world, "cleo", page(review))
    world.wait(hours=49)
    assert "Overdue by" in text_of(world, "cleo", page(review))


def test_a_reopened_incident_is_told_on_the_page_and_the_board(world: World) -> None:
    review = world.review()
    incidents.reopen(review.incident_id, reason="again", actor=world.by("cleo"))
    assert "the incident is open again" in text_of(world, "cleo", page(review))
    assert "incident reopened" in text_of(world, "cleo", reverse("admin:postmortems_review_changelist"))


# --- sections ---


def test_a_section_is_opened_previewed_and_saved(world: World) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    opened = client.get(section_url(summary), {"edit": "1"}, headers=HTMX).content.decode()
    assert 'name="text"' in opened
    url = reverse("admin:postmortems_review_preview", args=[summary.review_id])
    assert client.post(url, {"text": "It **broke**"}).content == b"<p>It <strong>broke</strong></p>\n"
    answer = client.post(section_url(summary), {"text": "It **broke**", "version": "1"}, headers=HTMX)
    assert "portal:saved" in answer["HX-Trigger"]
    assert "<strong>broke</strong>" in answer.content.decode()
    summary.refresh_from_db()
    assert (summary.text, summary.edited_by) == ("It **broke**", world.people["cleo"])


def test_who_saves_second_sees_both_texts_and_loses_none(world: World) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    operations.edit_section(summary.pk, "Theirs", actor=world.by("ria"))
    answer = client.post(section_url(summary), {"text": "Mine", "version": "1"}, headers=HTMX).content.decode()
    assert "Ria saved this section while you were writing" in answer
    assert "Theirs</textarea>" in answer
    assert "Mine</textarea>" in answer
    summary.refresh_from_db()
    assert summary.text == "Theirs"


def test_after_a_conflict_both_texts_are_put_together_and_saved(world: World) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    operations.edit_section(summary.pk, "Theirs", actor=world.by("ria"))
    both = {"text": "Mine", "theirs": "Theirs", "version": "2", "only": "both"}
    assert "Theirs\n\nMine</textarea>" in client.post(section_url(summary), both, headers=HTMX).content.decode()
    client.post(section_url(summary), {"text": "Theirs\n\nMine", "version": "2"}, headers=HTMX)
    summary.refresh_from_db()
    assert summary.text == "Theirs\n\nMine"


def test_the_same_text_twice_is_no_conflict(world: World) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    for _ in range(2):
        answer = client.post(section_url(summary), {"text": "Once", "version": "1"}, headers=HTMX)
        assert "portal:saved" in answer["HX-Trigger"]
    summary.refresh_from_db()
    assert summary.version == 2


@pytest.mark.parametrize(
    ("text", "why"), [("a\x00b", "NUL character"), ("x" * 50_001, "too long")], ids=["a NUL", "too much"]
)
def test_a_refused_text_stays_in_its_box(world: World, text: str, why: str) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    for headers in (HTMX, {}):
        answer = client.post(section_url(summary), {"text": text, "version": "1"}, headers=headers)
        assert answer.status_code == 200
        assert why in answer.content.decode()
        assert f"{text[:500]}" in answer.content.decode()


def test_sections_are_edited_without_scripts_too(world: World) -> None:
    summary, client = section(world.review()), browser_of(world, "cleo")
    opened = client.get(page(summary.review), {"edit": summary.pk}).content.decode()
    assert f'action="{section_url(summary)}"' in opened
    preview = client.post(section_url(summary), {"text": "*so*", "version": "1", "only": "preview"}).content.decode()
    assert "<em>so</em>" in preview
    saved = client.post(section_url(summary), {"text": "*so*", "version": "1"})
    assert saved.url == f"{page(summary.review)}#section-summary"


def test_nothing_is_edited_once_it_is_reviewed(world: World) -> None:
    review = world.reviewed()
    text = text_of(world, "cleo", page(review))
    assert "computed and frozen" in text
    assert ">Edit<" not in text
    answer = browser_of(world, "cleo").post(section_url(section(review)), {"text": "late", "version": "2"})
    assert "its text is locked" in answer.content.decode()
    assert "late</textarea>" in answer.content.decode()


# --- buttons ---


def test_a_review_goes_through_its_states_by_its_buttons(world: World) -> None:
    review = world.fill(world.review())
    cleo, mona = browser_of(world, "cleo"), browser_of(world, "mona")
    people = {"owner_id": world.people["cleo"].pk, "reviewer_id": world.people["mona"].pk}
    for client, verb, sent, state in (
        (cleo, "set-people", people, "draft"),
        (cleo, "submit", {}, "in_review"),
        (mona, "send-back", {"reason": "why so late?"}, "draft"),
        (cleo, "submit", {}, "in_review"),
        (mona, "mark-reviewed", {}, "reviewed"),
        (mona, "close", {}, "closed"),
        (mona, "reopen", {"reason": "news"}, "draft"),
    ):
        assert client.post(act(review, verb), sent).status_code == 302, verb
        review.refresh_from_db()
        assert review.state == state, verb


def test_a_refused_button_keeps_what_was_typed_and_says_why(world: World) -> None:
    review = world.review()
    sent = {"title": "Fix it", "owner_id": "", "due_on": "2026-05-01", "priority": "P1"}
    answer = browser_of(world, "cleo").post(act(review, "add-item"), sent, headers=HTMX)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert 'value="Fix it"' in text
    assert "A due date lies in the future" in text or "Give an owner or a team" in text
    assert not ActionItem.objects.exists()


@pytest.mark.parametrize(
    "sent", [{"due_on": "soon"}, {"due_on": "9999-12-31"}, {"owner_id": "9" * 30}, {"title": "\x00"}]
)
def test_bad_input_is_refused_with_a_sentence(world: World, sent: dict[str, Any]) -> None:
    good = {"title": "Fix it", "owner_id": world.people["ida"].pk, "due_on": "2026-06-01", "priority": "P1"}
    answer = browser_of(world, "cleo").post(act(world.review(), "add-item"), {**good, **sent})
    assert answer.status_code in {302, 400}
    assert ActionItem.objects.count() == (1 if answer.status_code == 302 else 0)


def test_an_item_is_added_started_finished_and_reopened(world: World) -> None:
    review = world.review()
    cleo, ida = browser_of(world, "cleo"), browser_of(world, "ida")
    sent = {"title": "Fix it", "owner_id": world.people["ida"].pk, "due_on": "2026-05-20", "priority": "P1"}
    answer = cleo.post(act(review, "add-item"), sent, headers=HTMX)
    assert "portal:acted" in answer["HX-Trigger"]
    item = ActionItem.objects.get()
    assert f"item-{item.pk}" in answer.content.decode()
    assert item.due_at.isoformat() == "2026-05-20T23:59:00+00:00"
    for client, verb, given, state in (
        (ida, "start", {}, "in_progress"),
        (ida, "finish", {"outcome": "done so"}, "done"),
        (cleo, "reopen", {"due_on": "2026-05-21"}, "open"),
        (cleo, "drop", {"reason": "gone"}, "dropped"),
    ):
        assert client.post(item_act(item, verb), given).status_code == 302, verb
        item.refresh_from_db()
        assert item.state == state


def test_editing_an_item_keeps_its_hour_unless_the_day_changes(world: World) -> None:
    item = world.item(world.review())
    cleo = browser_of(world, "cleo")
    sent = {"title": "Better", "owner_id": item.owner_id, "due_on": f"{item.due_at:%Y-%m-%d}", "priority": "P0"}
    cleo.post(item_act(item, "edit"), sent)
    changed = ActionItem.objects.get()
    assert (changed.title, changed.priority, changed.due_at) == ("Better", "P0", item.due_at)
    cleo.post(item_act(item, "edit"), {**sent, "due_on": "2026-05-30"})
    assert ActionItem.objects.get().due_at.isoformat() == "2026-05-30T23:59:00+00:00"


def test_an_overdue_item_is_marked_in_the_table_the_list_and_on_its_page(world: World) -> None:
    review = world.review()
    item = world.item(review, due_at=now() + timedelta(hours=2))
    world.wait(days=1)
    assert "p-postmortems-overdue" in text_of(world, "cleo", page(review))
    assert "overdue by 22 h" in text_of(world, "cleo", reverse("admin:postmortems_actionitem_changelist"))
    assert "overdue by 22 h" in text_of(world, "ida", reverse("admin:postmortems_actionitem_change", args=[item.pk]))


# --- export ---


def test_a_review_is_downloaded_as_markdown_with_and_without_names(world: World) -> None:
    review, client = world.fill(world.review()), browser_of(world, "cleo")
    url = reverse("admin:postmortems_review_export", args=[review.pk])
    plain, without = client.get(url), client.get(url, {"anonymised": "1"})
    assert plain["Content-Type"] == "text/markdown; charset=utf-8"
    assert plain["Content-Disposition"] == 'attachment; filename="2026-05-04-nobody-can-log-in.md"'
    assert "Cleo" in plain.content.decode()
    assert "Cleo" not in without.content.decode()
