"""A dry run shows everything and changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from apps.foundation.actor import Actor
from apps.foundation.clock import now
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.runbooks import operations
from apps.runbooks.models import DryRun, Execution, Runbook
from apps.runbooks.operations import load_library, set_secret
from apps.runbooks.planning import Plan, look, make_dry_run
from apps.state.models import ConfigDocument
from apps.state.operations import edit_config
from tests.factories import actor, answers_for, incident, person, service, team
from tests.runbooks.writing import PORTAL, Receiver, receiver, request, runbook, text_of  # noqa: F401  # a fixture
from tests.state.making import again, held_here

pytestmark = pytest.mark.django_db

METRICS = b"# TYPE world_error_ratio gauge\nworld_error_ratio 0.4\n"


def plan(text: str, parameters: dict[str, Any] | None = None, *, incident_id: int | None = None) -> Plan:
    return look(runbook(text)[1], parameters or {}, incident_id=incident_id, actor=PORTAL)


def counts() -> dict[str, int]:
    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}


def economy(receiver: Receiver) -> tuple[Runbook, ConfigDocument]:  # noqa: F811
    """The shipped rollback for a world whose drop rate somebody has just multiplied by a hundred."""
    document = held_here({"economy": {"drop_rate": 0.05, "gold": 12}, "motd": "hi"}, service_id=service("Game").pk)
    live = {"economy": {"drop_rate": 5.0, "bonus": True}, "motd": "hi"}
    edit_config(document.pk, live, expected_revision=again(document).revision, note="oops", actor=PORTAL)
    receiver.answers["/metrics"] = (200, METRICS)
    receiver.answers["/health"] = (503, b"{}")
    answers_for("primary", person("responder"))
    load_library(PORTAL, owner_id=team("Economy").pk, values={"WORLD": receiver.url})
    return Runbook.objects.get(slug="economy-rollback"), again(document)


def test_a_dry_run_writes_one_row_and_sends_nothing_that_changes(receiver: Receiver) -> None:  # noqa: F811
    rollback, document = economy(receiver)
    before, revision = counts(), document.revision
    found = make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL)
    after = counts()
    assert {label for label in after if after[label] != before[label]} == {"runbooks.DryRun"}
    assert after["runbooks.DryRun"] == before["runbooks.DryRun"] + 1
    assert again(document).revision == revision
    assert receiver.methods == {"GET"}
    assert found.problems == []


def test_no_statement_of_a_dry_run_writes_but_the_one_insert(receiver: Receiver) -> None:  # noqa: F811
    rollback, document = economy(receiver)
    written: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().split()[0].upper() in {"INSERT", "UPDATE", "DELETE"} or "FOR UPDATE" in sql:
            written.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL)
    assert [sql.split()[2].strip('"') for sql in written] == ["runbooks_dryrun"]


def test_the_whole_diff_is_shown(receiver: Receiver) -> None:  # noqa: F811
    rollback, document = economy(receiver)
    found = make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL)
    assert found.steps[0]["diff"] == [
        {"path": "economy.bonus", "op": "removed", "before": True, "after": None},
        {"path": "economy.drop_rate", "op": "changed", "before": 5.0, "after": 0.05},
        {"path": "economy.gold", "op": "added", "before": None, "after": 12},
    ]
    assert document.head is not None
    assert document.baseline is not None
    target = found.targets[0]
    assert (target["kind"], target["key"]) == ("config", document.slug)
    assert (target["before"], target["after"]) == (document.head.checksum, document.baseline.checksum)
    assert "goes back" in found.steps[0]["undo"]["text"]


def test_steps_tell_what_they_would_do_and_what_holds_now(receiver: Receiver) -> None:  # noqa: F811
    rollback, document = economy(receiver)
    steps = make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL).steps
    assert steps[1]["request"]["url"] == f"{receiver.url}/cache/invalidate"
    assert "‹execution.reason›" in steps[1]["request"]["json"]["reason"]
    assert "Now: It answered 503" in steps[3]["text"]
    assert "Now: 0.4" in steps[4]["text"]
    assert "‹steps.restore.version›" in steps[6]["text"]


def test_the_same_plan_has_the_same_hash_and_another_state_another_one(receiver: Receiver) -> None:  # noqa: F811
    rollback, document = economy(receiver)
    first, second = (make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL) for _ in range(2))
    assert first.content_hash == second.content_hash
    edit_config(document.pk, {"economy": {}}, expected_revision=document.revision, note="again", actor=PORTAL)
    assert make_dry_run(rollback.pk, {"document": document.slug}, actor=PORTAL).content_hash != first.content_hash
    other = make_dry_run(rollback.pk, {"document": document.slug, "watch": 6}, actor=PORTAL)
    assert other.content_hash != first.content_hash


def test_a_missing_baseline_fails_the_preflight() -> None:
    from apps.state.operations import create_document

    bare = create_document(slug="bare", name="Bare", service_id=service("Bare").pk, content={}, actor=PORTAL)
    found = plan(text_of({"kind": "config_restore", "with": {"document": bare.slug}}))
    assert any("baseline" in problem for problem in found.problems), found.problems


def test_a_backup_that_does_not_verify_fails_the_preflight() -> None:
    document = held_here({"rate": 1})
    with connection.cursor() as cursor:
        forge(cursor, document.baseline_id)
    found = plan(text_of({"kind": "config_restore", "with": {"document": document.slug}}))
    assert found.problems


def forge(cursor: Any, version_id: Any) -> None:
    """Change a version behind the portal's back, past whatever guards the table."""
    if connection.vendor == "postgresql":
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE state_configversion SET content = '{\"rate\": 2}' WHERE id = %s", [version_id])
        cursor.execute("SET session_replication_role = DEFAULT")
        return
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'state_configversion'")
    for name, _ in cursor.fetchall():
        cursor.execute(f"DROP TRIGGER {name}")
    cursor.execute("UPDATE state_configversion SET content = '{\"rate\": 2}' WHERE id = %s", [version_id])


def test_what_stands_in_the_way_is_told_step_by_step() -> None:
    found = plan(
        text_of(
            {"kind": "config_restore", "with": {"document": "nothing"}},
            request("http://10.1.2.3/x"),
            request("https://127.0.0.1/x", headers={"Authorization": "Bearer {{ secret.NONE }}"}),
            {"kind": "manual", "with": {"instructions": "Look at {{ incident.number }}."}},
        )
    )
    assert [problem.partition(":")[0] for problem in found.problems] == ["Step 1", "Step 2", "Step 3", "Step 4"]
    said = " ".join(found.problems)
    for part in ("no configuration document", "EGRESS_ALLOW", "no secret `NONE`", "needs an incident"):
        assert part in said


def test_only_the_active_version_of_an_active_runbook_has_no_problem() -> None:
    text = text_of({"kind": "wait", "with": {"seconds": 5}})
    made, version = runbook(text)
    assert look(version, {}, incident_id=None, actor=PORTAL).problems == []
    newer = operations.save_version(made.pk, text + "# newer\n", actor=PORTAL)
    assert "not the active one" in look(newer, {}, incident_id=None, actor=PORTAL).problems[0]
    operations.retire(made.pk, reason="old", actor=PORTAL)
    version.refresh_from_db()
    assert "retired" in look(version, {}, incident_id=None, actor=PORTAL).problems[0]


def test_two_steps_may_not_change_one_document() -> None:
    document = held_here({"rate": 1})
    restore = {"kind": "config_restore", "with": {"document": document.slug}}
    assert "both change" in plan(text_of(dict(restore), dict(restore))).problems[0]


def test_wrong_parameters_are_problems_of_a_plan_and_refused_by_a_dry_run() -> None:
    schema = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = text_of({"kind": "wait", "with": {"seconds": "{{ params.n }}"}}, parameters=schema)
    made, version = runbook(text)
    assert look(version, {"n": "x"}, incident_id=None, actor=PORTAL).problems
    with pytest.raises(Invalid) as refused:
        make_dry_run(made.pk, {"n": "x"}, actor=PORTAL)
    assert list(refused.value.fields) == ["parameters.n"]
    assert not DryRun.objects.exists()


def test_a_step_that_needs_an_earlier_outcome_says_so() -> None:
    first = {"slug": "first", **request("https://127.0.0.1/")}
    later = {"kind": "wait", "with": {"seconds": "{{ steps.first.json.seconds }}"}}
    found = plan(text_of(first, later))
    assert found.steps[1]["depends_on_outcome"]
    assert "Depends on the outcome" in found.steps[1]["text"]


def test_who_may_look_is_checked_and_what_is_hidden_is_not_found() -> None:
    made, _ = runbook(text_of({"kind": "wait", "with": {"seconds": 5}}))
    private = incident(visibility="private", team_id=team("Secretive").pk)
    with pytest.raises(NotFound):
        make_dry_run(made.pk, {}, actor=actor(person()))
    with pytest.raises(Forbidden):
        make_dry_run(made.pk, {}, actor=actor(person("viewer")))
    responder = actor(person("responder"))
    assert make_dry_run(made.pk, {}, actor=responder).requested_by_id == responder.user_id
    with pytest.raises(NotFound):
        make_dry_run(made.pk, {}, incident_id=private.pk, actor=responder)


def test_a_runbook_without_a_version_has_nothing_to_look_at() -> None:
    made = operations.create_runbook("bare", "Bare", owner_id=team("Core").pk, actor=PORTAL)
    with pytest.raises(Conflict):
        make_dry_run(made.pk, {}, actor=PORTAL)


def test_the_estimate_is_the_median_of_past_successes_else_what_is_declared() -> None:
    made, version = runbook(text_of({"kind": "wait", "with": {"seconds": 5}}))
    assert look(version, {}, incident_id=None, actor=PORTAL).estimate_seconds == 5
    seen = make_dry_run(made.pk, {}, actor=PORTAL)
    for seconds in (10, 30, 300):
        Execution.objects.create(
            runbook=made, runbook_version=version, dry_run=seen, state="succeeded", requested_by_name="x",
            content_hash="x", started_at=now() - timedelta(seconds=seconds), finished_at=now(),
        )  # fmt: skip
    assert look(version, {}, incident_id=None, actor=PORTAL).estimate_seconds == 30
    declared = plan(text_of({"kind": "wait", "with": {"seconds": 5}}, estimate="4m"))
    assert declared.estimate_seconds == 240


def test_the_portal_itself_may_look_for_an_incident_by_its_names() -> None:
    found = incident()
    step = {"kind": "manual", "with": {"instructions": "See {{ incident.number }}: {{ incident.title }}"}}
    seen = plan(text_of(step), incident_id=found.pk)
    assert seen.steps[0]["text"] == f"See {found.number}: {found.title}"


def test_a_parameter_that_holds_a_secret_is_refused() -> None:
    set_secret("TOKEN", "correct-horse-battery", actor=Actor.system())
    text = text_of({"kind": "manual", "with": {"instructions": "{{ params.a }}"}}, parameters={"properties": {"a": {}}})
    with pytest.raises(Invalid, match="secret"):
        make_dry_run(runbook(text)[0].pk, {"a": "it is correct-horse-battery"}, actor=PORTAL)
