"""How an incident escalates, as people and programs see it: the command page, the API, the timeline, and why."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.engine.operations import deliver
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, Forbidden
from apps.incidents import operations
from apps.incidents.models import Incident, Milestone
from apps.messaging.models import Message
from apps.paging.operations import plan_maintenance
from apps.people.models import User
from tests.factories import actor, answers_for, bearer, incident, named, novacron, pack, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def ana(db: None) -> User:
    novacron()
    user = named("ana", "responder")
    answers_for("primary", user)
    return user


def texts(made: Incident) -> list[str]:
    return list(made.timeline.order_by("seq").values_list("text", flat=True))


def post(client: Client, user: User, made: Incident, verb: str, **body: Any) -> Any:
    return client.post(
        f"/api/v1/incidents/{made.pk}/{verb}/", json.dumps(body), content_type="application/json", headers=bearer(user)
    )


def press(client: Client, user: User, made: Incident, verb: str, **form: Any) -> int:
    client.force_login(user)
    return client.post(f"/admin/incidents/incident/{made.pk}/command/{verb}/", form).status_code


def test_a_condition_is_marked_and_taken_back_over_the_api_and_told(client: Client, ana: User) -> None:
    boss = named("boss")
    answers_for("security", boss)
    made = incident()
    assert post(client, ana, made, "conditions", condition="security", note="a key leaked").status_code == 200
    assert "Security incident: a key leaked" in texts(made)
    assert "Paged Boss (Security team, security): Security incident." in texts(made)
    assert post(client, ana, made, "clear-condition", condition="security").status_code == 200
    assert texts(made)[-1] == "No longer so: Security incident"
    assert post(client, ana, made, "conditions", condition="rain").status_code == 400


@pytest.mark.parametrize("verb", ["conditions", "clear-condition", "snooze", "unsnooze", "unacknowledge", "escalate"])
def test_who_may_only_look_decides_nothing(client: Client, ana: User, verb: str) -> None:
    assert post(client, person("viewer"), incident(), verb).status_code == 403


def test_a_snooze_over_the_api_ends_by_hand_and_is_told(client: Client, ana: User) -> None:
    made = incident()
    until = (now() + timedelta(hours=2)).isoformat()
    assert post(client, ana, made, "snooze", until=until, reason="vendor").status_code == 200
    assert texts(made)[-1].endswith("nobody is paged (vendor)")
    assert post(client, ana, made, "unsnooze").status_code == 200
    assert "The snooze is over and it is still open: escalation starts from its first level" in texts(made)
    assert post(client, ana, made, "snooze").status_code == 400
    assert post(client, ana, made, "snooze", working_hours=True).status_code == 200


def test_a_level_is_called_over_the_api(client: Client, ana: User) -> None:
    answers_for("executive", named("eva"))
    made = incident(severity="P0")
    assert post(client, ana, made, "escalate", level=5, reason="decide").status_code == 200
    deliver()
    assert "Paged Eva (level 5, executive): decide" in texts(made)
    assert post(client, ana, made, "escalate", level=9).status_code == 400


def test_a_resolved_incident_is_neither_snoozed_nor_marked(ana: User) -> None:
    made = incident()
    operations.resolve(made.pk, actor=Actor.system())
    with pytest.raises(Conflict):
        operations.snooze(made.pk, until="working_hours", actor=actor(ana))
    with pytest.raises(Conflict):
        operations.mark_condition(made.pk, "security", actor=actor(ana))


def test_the_buttons_of_the_command_page_do_it_too(client: Client, ana: User) -> None:
    made = incident()
    for verb, form in (
        ("mark-condition", {"condition": "revenue", "amount": "12000"}),
        ("clear-condition", {"condition": "revenue"}),
        ("snooze", {"minutes": "60"}),
        ("unsnooze", {}),
        ("acknowledge", {}),
        ("unacknowledge", {}),
        ("escalate", {"level": "1"}),
    ):
        assert press(client, ana, made, verb, **form) == 302
    page = client.get(f"/admin/incidents/incident/{made.pk}/command/").content.decode()
    for word in ("Escalate on", "Call a level", "Why was I paged?", "Revenue is lost"):
        assert word in page
    kinds = list(made.timeline.values_list("kind", flat=True))
    assert [kind for kind in kinds if kind in {"condition", "snoozed", "resumed", "unacknowledged"}] == [
        "condition", "condition", "snoozed", "resumed", "unacknowledged"
    ]  # fmt: skip


def test_an_answer_that_is_taken_back_keeps_the_first_one_for_the_metrics(ana: User) -> None:
    made = incident()
    operations.acknowledge(made.pk, actor=actor(ana))
    first = Milestone.objects.get(incident=made, name="acknowledged").at
    operations.unacknowledge(made.pk, reason="train", actor=actor(ana))
    made.refresh_from_db()
    assert made.acknowledged_at is None
    operations.acknowledge(made.pk, actor=actor(ana))
    made.refresh_from_db()
    assert made.acknowledged_at is not None
    assert Milestone.objects.get(incident=made, name="acknowledged").at == first


def test_an_incident_on_which_nothing_happens_is_paged_again_and_says_so(ana: User) -> None:
    from tests.factories import novacron_text

    version = pack(novacron_text(("  until: resolved\n  path:", "  until: resolved\n  unacknowledge: 30m\n  path:")))
    clock = ManualClock(now())
    with use_clock(clock):
        made = incident(severity="P3", policy_version_id=version.pk)
        operations.acknowledge(made.pk, actor=actor(ana))
        clock.advance(timedelta(minutes=20))
        operations.post(made.pk, "still looking", actor=actor(ana))
        clock.advance(timedelta(minutes=20))
        while fire_timers() + deliver():
            pass
        made.refresh_from_db()
        assert made.acknowledged_at is not None
        clock.advance(timedelta(minutes=10))
        while fire_timers() + deliver():
            pass
    made.refresh_from_db()
    assert made.acknowledged_at is None
    assert "Nobody answers for it any more (nothing happened since): people are paged again" in texts(made)


def test_an_incident_in_maintenance_is_shown_and_says_why_nobody_is_paged(client: Client, ana: User) -> None:
    plan_maintenance(starts_at=now(), ends_at=now() + timedelta(hours=1), reason="upgrade", actor=Actor.system())
    made = incident()
    assert any(text.startswith("Nobody is paged: maintenance of everything until") for text in texts(made))
    client.force_login(ana)
    page = client.get(f"/admin/paging/escalationrun/why/incident/{made.pk}/").content.decode()
    assert "it opened in a maintenance window (maintenance of everything: upgrade)" in page
    assert not Message.objects.exists()


def test_the_page_tells_why_i_was_paged_and_what_became_of_each_message(client: Client, ana: User) -> None:
    made = incident()
    client.force_login(ana)
    page = client.get(f"/admin/paging/escalationrun/why/incident/{made.pk}/").content.decode()
    for words in (
        "Why you were paged",
        "As primary (level 1: On-call SRE)",
        "P1 pages this level at once.",
        "The role primary means Ana.",
        "in the inbox",
        "Nobody was on call for",
    )[:5]:
        assert words in page
    letter = Message.objects.get(recipient=ana, channel="inbox")
    assert f"/admin/paging/escalationrun/why/incident/{made.pk}/" in letter.body
    assert client.get("/admin/paging/escalationrun/why/incident/999999/").status_code == 404


def test_why_over_the_api_gives_the_same_and_hides_what_may_not_be_seen(client: Client, ana: User) -> None:
    made = incident()
    found = client.get(f"/api/v1/incidents/{made.pk}/why/", headers=bearer(ana)).json()
    assert [story["as_whom"] for story in found["mine"]] == ["primary (level 1: On-call SRE)"]
    assert found["now"][0] == "Nobody has acknowledged: more people are called until somebody does."
    hidden = incident(visibility="private")
    assert client.get(f"/api/v1/incidents/{hidden.pk}/why/", headers=bearer(person("viewer"))).status_code == 404


def test_why_costs_the_same_number_of_queries_for_many_pages(client: Client, ana: User) -> None:
    from apps.incidents.queries import subject_of
    from apps.paging.explaining import explain

    made, counts = incident(), []
    explain(subject_of(made), user=ana)  # reads the permissions of the reader
    for level in (1, 1, 1):
        with CaptureQueriesContext(connection) as queries:
            explain(subject_of(made), user=ana)
        counts.append(len(queries))
        from apps.paging.operations import escalate_now

        escalate_now(subject_of(made), level=level, actor=Actor.system())
    assert counts[0] == counts[2] <= 24


def test_windows_are_planned_and_ended_over_the_api_by_managers(client: Client, ana: User) -> None:
    given = {"starts_at": now().isoformat(), "ends_at": (now() + timedelta(hours=1)).isoformat(), "reason": "upgrade"}
    for user, status in ((ana, 403), (person("manager"), 201)):
        answer = client.post(
            "/api/v1/maintenance-windows/", json.dumps(given), content_type="application/json", headers=bearer(user)
        )
        assert answer.status_code == status
    window = answer.json()
    made = incident()
    ended = client.post(
        f"/api/v1/maintenance-windows/{window['id']}/end/", "{}", content_type="application/json", headers=bearer(user)
    )
    assert ended.status_code == 200
    while fire_timers():
        pass
    assert Message.objects.filter(subject_key=str(made.pk), recipient=ana).exists()
    assert client.get("/api/v1/maintenance-windows/", headers=bearer(ana)).json()["results"][0]["reason"] == "upgrade"


def test_the_maintenance_pages_of_the_admin_open_and_plan(client: Client, ana: User) -> None:
    manager = person("manager")
    client.force_login(manager)
    assert client.get("/admin/paging/maintenancewindow/").status_code == 200
    with pytest.raises(Forbidden):
        plan_maintenance(starts_at=now(), ends_at=now() + timedelta(hours=1), reason="x", actor=actor(ana))
