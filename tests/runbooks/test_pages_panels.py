"""The boxes of the command page: what can be done, what was done, the kill switches, and who may what."""

from __future__ import annotations

from typing import Any

import pytest

from apps.flags.models import Flag
from apps.flags.operations import kill
from apps.incidents.queries import timeline
from apps.runbooks.models import DryRun, Execution
from tests.factories import actor, incident, service, team
from tests.runbooks.page_world import (
    World,
    at_work,
    command,
    flag,
    get,
    looked,
    of_incident,
    post,
    runbook,
    work,
    world,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def here(db: None) -> World:
    return world()


def test_the_runbooks_of_the_incidents_services_come_first(here: World) -> None:
    text = "title: A first\nsteps:\n  - {slug: w, name: Wait, kind: wait, with: {seconds: 1}}\n"
    runbook("A first", text, here.core, service("Other", team("Others")))
    shown = get(here.ana, command(here)).content.decode()
    assert shown.index("Economy rollback") < shown.index("A first")
    assert f"runbook={here.runbook.pk}&amp;incident={here.incident.pk}" in shown


def test_a_viewer_reads_and_gets_no_button(here: World) -> None:
    at_work(here)
    shown = get(here.vic, command(here)).content.decode()
    assert "Economy rollback #" in shown
    assert "data-ask" not in shown
    assert "Dry run<" not in shown


def test_the_panel_shows_the_last_dry_run_and_executions_with_progress(here: World) -> None:
    execution = at_work(here)
    looked(here)
    shown = get(here.ana, command(here)).content.decode()
    assert f"/admin/runbooks/execution/{execution.pk}/change/" in shown
    assert "0 of 1 steps" in shown
    assert f"/admin/runbooks/dryrun/{DryRun.objects.order_by('-id')[0].pk}/change/" in shown
    assert 'hx-trigger="every 2s"' in shown
    work()
    part = get(here.ana, of_incident(here, "executions/"), part=True).content.decode()
    assert "Succeeded" in part
    assert "1 of 1 steps" in part
    assert (">Open<span" in shown, ">Open<span" in part) == (True, False)
    assert "hx-trigger" not in part


def test_executions_of_another_incident_are_not_shown(here: World) -> None:
    at_work(here)
    other = incident("Other trouble", "P2")
    assert "Economy rollback #" not in get(here.ana, f"/admin/incidents/incident/{other.pk}/command/").content.decode()


def test_a_mitigation_asks_for_a_reason_then_for_an_approval(here: World) -> None:
    address = of_incident(here, f"use/{here.button.pk}/")
    asking = get(here.ana, address, part=True).content.decode()
    assert "Ask for approval" in asking
    assert 'name="reason"' in asking
    assert "Say why" in post(here.ana, address, part=True, reason=" ").content.decode()
    assert Execution.objects.count() == 0
    answer = post(here.ana, address, part=True, reason="it loses money")
    assert answer.status_code == 204
    assert "portal:acted" in answer["HX-Trigger"]
    execution = Execution.objects.get()
    assert (execution.state, execution.incident, execution.reason) == (
        "awaiting_approval",
        here.incident,
        "it loses money",
    )


def test_a_mitigation_without_approval_is_at_work_at_once_also_without_scripts(db: None) -> None:
    here = world(approval="none")
    answer = post(here.ana, of_incident(here, f"use/{here.button.pk}/"), reason="now")
    assert answer.status_code == 302
    assert answer["Location"] == command(here)
    assert Execution.objects.get().state == "running"


def test_a_refusal_keeps_the_question_open_with_what_was_typed(db: None) -> None:
    here = world(approval="none")
    address = of_incident(here, f"use/{here.button.pk}/")
    post(here.ana, address, reason="now")
    answer = post(here.ana, address, part=True, reason="once more")
    assert answer.status_code == 200
    assert b"Another execution is at work" in answer.content
    assert b"once more" in answer.content
    assert post(here.ana, address, reason="once more").status_code == 409


def test_a_viewer_may_neither_ask_nor_press(here: World) -> None:
    for path in (f"use/{here.button.pk}/", f"kill/{here.flag.pk}/", f"bring-back/{here.flag.pk}/"):
        assert get(here.vic, of_incident(here, path)).status_code == 403
        assert post(here.vic, of_incident(here, path), reason="x").status_code == 403
    here.flag.refresh_from_db()
    assert Execution.objects.count() == 0
    assert here.flag.state == Flag.State.ON


def test_a_kill_shows_whom_it_hits_before_it_happens(here: World) -> None:
    asking = get(here.ana, of_incident(here, f"kill/{here.flag.pk}/"), part=True).content.decode()
    for text in ("true", "false", "Nobody can pay.", "Carts stay", "Shop", "within 2 s"):
        assert text in asking
    post(here.ana, of_incident(here, f"kill/{here.flag.pk}/"), part=True, reason="double charges")
    here.flag.refresh_from_db()
    assert (here.flag.state, here.flag.about_kind, here.flag.about_key) == (
        "killed",
        "incident",
        str(here.incident.pk),
    )


def test_a_killed_flag_offers_the_way_back(here: World) -> None:
    kill(here.flag.pk, reason="double charges", actor=actor(here.ana))
    shown = get(here.ana, command(here)).content.decode()
    assert f"bring-back/{here.flag.pk}/" in shown
    assert f"kill/{here.flag.pk}/" not in shown
    assert "double charges" in shown
    post(here.ana, of_incident(here, f"bring-back/{here.flag.pk}/"), reason="fixed")
    here.flag.refresh_from_db()
    assert here.flag.state == Flag.State.ON


def test_flags_of_other_services_stand_behind_a_fold(here: World) -> None:
    flag("lobby.chat", team("Lobby"), here.production)
    shown = get(here.ana, command(here)).content.decode()
    fold = shown.index('<details id="other-flags"')
    assert shown.index("Payments checkout") < fold < shown.index("Lobby chat")


def test_the_timeline_tells_of_an_execution(here: World) -> None:
    from apps.engine.operations import deliver

    at_work(here)
    work()
    deliver()
    told = " ".join(row.text for row in timeline(here.incident.pk, here.ana))
    assert "Economy rollback" in told


HIDDEN: tuple[str, ...] = ("use/{button}/", "kill/{flag}/", "bring-back/{flag}/", "executions/")


def test_an_outsider_of_a_private_incident_finds_nothing_anywhere(db: None) -> None:
    here = world(visibility="private")
    outsider: Any = here.vic
    execution = at_work(here)
    assert get(outsider, command(here)).status_code == 404
    for rest in HIDDEN:
        path = of_incident(here, rest.format(button=here.button.pk, flag=here.flag.pk))
        assert get(outsider, path).status_code == 404
        if rest != "executions/":
            assert post(outsider, path, reason="x").status_code == 404
    for path in (
        f"/admin/runbooks/execution/{execution.pk}/change/",
        f"/admin/runbooks/execution/{execution.pk}/live/",
        f"/admin/runbooks/execution/{execution.pk}/cancel/",
        f"/admin/runbooks/execution/{execution.pk}/history/",
        f"/admin/runbooks/dryrun/{execution.dry_run_id}/change/",
        f"/admin/runbooks/dryrun/{execution.dry_run_id}/start/",
        f"/admin/runbooks/dryrun/new/?incident={here.incident.pk}",
        f"/admin/approvals/approvalrequest/{execution.approval_id}/change/",
    ):
        assert get(outsider, path).status_code in {302, 404}, path
        assert b"Purchases fail" not in get(outsider, path).content
    for path in ("/admin/runbooks/execution/", "/admin/runbooks/dryrun/", "/admin/runbooks/execution/?incident=1"):
        assert here.incident.number not in get(outsider, path).content.decode()
        assert "Economy rollback #" not in get(outsider, path).content.decode()
