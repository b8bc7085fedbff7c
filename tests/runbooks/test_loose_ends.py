"""Whoever resolves an incident is told what goes on all the same: killed flags and executions that have not ended."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.flags.operations import bring_back, kill
from apps.foundation.subjects import Subject
from apps.incidents.loose_ends import loose_ends
from apps.incidents.models import Incident
from apps.runbooks.models import Execution
from apps.runbooks.operations.executing import cancel
from tests.factories import actor, bearer, incident, named
from tests.runbooks.page_world import World, asked, at_work, command, get, post, work, world

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return world()


def killed(here: World, about: Incident | None = None) -> None:
    subject = Subject("incident", str((about or here.incident).pk))
    kill(here.flag.pk, reason="it loses money", about=subject, actor=actor(here.ana))


def told(here: World) -> list[tuple[str, str]]:
    return [(end.title, end.state) for end in loose_ends(here.incident, here.ana)]


def test_a_flag_counts_until_it_is_brought_back(here: World) -> None:
    assert told(here) == []
    killed(here)
    assert told(here) == [("Payments checkout in Production", "still killed")]
    bring_back(here.flag.pk, reason="healed", actor=actor(here.ana))
    assert told(here) == []


def test_a_flag_that_was_killed_for_something_else_does_not_count(here: World) -> None:
    killed(here, incident("Another one", "P3"))
    assert told(here) == []


def test_an_execution_counts_from_the_question_to_the_end(here: World) -> None:
    waiting = asked(here)
    assert told(here) == [(str(waiting), "waits for approval")]
    cancel(waiting.pk, reason="not needed", actor=actor(here.ana))
    assert told(here) == []
    running = at_work(here)
    assert told(here) == [(str(running), "running")]
    work()
    assert told(here) == []


def test_the_dialog_lists_them_with_links_and_resolving_is_allowed_all_the_same(here: World) -> None:
    killed(here)
    execution = asked(here)
    shown = get(here.ana, command(here) + "?open=resolve").content.decode()
    dialog = shown[shown.index('id="dialog-resolve"') : shown.index('id="dialog-reopen"')]
    assert f'href="/admin/flags/flag/{here.flag.pk}/change/"' in dialog
    assert f'href="/admin/runbooks/execution/{execution.pk}/change/"' in dialog
    post(here.ana, f"{command(here)}resolve/", summary="healed")
    here.incident.refresh_from_db()
    assert not here.incident.is_open


def test_an_open_page_learns_of_them_and_an_incident_without_any_shows_nothing(here: World) -> None:
    note = "Resolving does not end"
    assert note not in get(here.ana, command(here)).content.decode()
    killed(here)
    live = get(here.ana, f"{command(here)}live/", part=True).content.decode()
    assert note in live[live.index('id="r-loose-ends"') :]


def test_nobody_reads_of_what_they_may_not_see(here: World) -> None:
    killed(here)
    assert loose_ends(here.incident, named("eva")) == ()


def test_the_api_lists_them_before_and_after(here: World) -> None:
    killed(here)
    path, headers = f"/api/v1/incidents/{here.incident.pk}/", bearer(here.ana)
    before: Any = Client().get(f"{path}loose-ends/", headers=headers)
    after: Any = Client().post(f"{path}resolve/", {}, content_type="application/json", headers=headers)
    expected = {"kind": "flag", "id": here.flag.pk, "title": "Payments checkout in Production", "state": "still killed"}
    assert before.json() == [expected]
    assert (after.status_code, after.json()["loose_ends"]) == (200, [expected])
    assert not Execution.objects.exists()
