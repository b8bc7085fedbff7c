"""Every sentence of the why page holds, and none gives away what a provider said."""

from __future__ import annotations

import pytest

from apps.foundation.subjects import Subject
from apps.messaging.models import Attempt, Message
from apps.paging.explaining import Explanation, PageStory, explain
from apps.paging.operations import snooze, unsnooze
from tests.factories import person, superuser
from tests.paging.conftest import SYSTEM, World, level, path_pack

pytestmark = pytest.mark.django_db
SECRET = "550 https://hooks.example/T0/s3cret: mailbox of ana@example.com is gone"


def told(world: World, subject: Subject) -> Explanation:
    return explain(subject, user=world.people["ana"])


def reasons(found: Explanation) -> list[str]:
    return [story.because for story in found.pages]


def test_each_page_says_what_brought_it_about(world: World) -> None:
    subject = world.start()
    world.wait(minutes=5)
    world.wait(minutes=5)
    assert reasons(told(world, subject)) == [
        "P1 pages this level at once.",
        "P1 pages this level after 5 min, and nobody had acknowledged by then.",
        "Nobody had acknowledged, so people were called again.",
    ]


def test_a_first_level_that_comes_late_is_not_told_as_at_once(world: World) -> None:
    world.version = path_pack(level(1, "secondary"), level(2, "primary", "5m", severities=["P2"]))
    subject = world.start(severity="P2")
    world.wait(minutes=5)
    assert reasons(told(world, subject)) == ["P2 pages this level after 5 min, and nobody had acknowledged by then."]


def test_a_level_that_was_called_for_an_empty_one_says_so(world: World) -> None:
    world.silence("primary")
    found = told(world, world.start())
    assert reasons(found) == ["Nobody was on call for the level before, so this one was called at once."]


def test_what_begins_anew_says_so(world: World) -> None:
    subject = world.start()
    snooze(subject, until="working_hours", actor=SYSTEM)
    unsnooze(subject, actor=SYSTEM)
    assert reasons(told(world, subject)) == [
        "The path pages this level at once.",
        "Escalation had begun anew. P1 pages this level at once.",
    ]


def failed(world: World) -> PageStory:
    """The story of a page whose mail was refused."""
    subject = world.start()
    mail = world.emails(subject)[0]
    Message.objects.filter(pk=mail.pk).update(state="failed", last_error=SECRET, attempts=2)
    at = world.clock()
    Attempt.objects.create(message=mail, number=2, started_at=at, finished_at=at, outcome="refused", detail=SECRET)
    return told(world, subject).pages[0]


def test_a_failure_is_told_in_our_words_and_in_the_providers_to_who_may_see_the_message(world: World) -> None:
    own = failed(world)
    (mail,) = [sent for sent in own.deliveries if sent.channel == "email"]
    assert mail.text == "failed after 2 tries: the provider refuses it for good"
    assert mail.said == SECRET
    page = world.people["ana"].pages.get()
    about = Subject(page.subject_kind, page.subject_key)
    assert SECRET not in str(explain(about, user=person("viewer")))
    assert SECRET in str(explain(about, user=superuser()))
