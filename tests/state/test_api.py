"""Config documents over the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.foundation.actor import Actor
from apps.people.models import User
from apps.state.diffs import checksum
from apps.state.operations import create_document
from tests.factories import bearer, person, service
from tests.state.conftest import BROKEN, HEALTHY, Source
from tests.state.making import again, at_source, held_here, origins

API = "/api/v1/"
pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.state.urls")]


def call(user: User, method: str, path: str, body: Any = None, **headers: str) -> Any:
    known = {**bearer(user), **{name.replace("_", "-"): value for name, value in headers.items()}}
    verb = getattr(Client(), method)
    if method == "get":
        return verb(f"{API}{path}", headers=known)
    return verb(f"{API}{path}", {} if body is None else body, content_type="application/json", headers=known)


def test_lists_and_contents_are_for_holders_of_the_permission_and_mask_secrets() -> None:
    document = held_here()
    shown = call(person("viewer"), "get", f"configs/{document.pk}/").json()
    assert shown["content"] == HEALTHY | {"api_key": "•••"}
    assert shown["drifted"] is False
    version = call(person("viewer"), "get", f"config-versions/{document.head_id}/").json()
    assert version["content"]["api_key"] == "•••"
    assert call(person(), "get", "configs/").status_code == 403
    assert Client().get(f"{API}configs/").status_code == 401


def test_lists_cost_the_same_for_many() -> None:
    user = person("viewer")
    for path in ("configs/", "config-versions/"):
        held_here()
        call(user, "get", path)
        with CaptureQueriesContext(connection) as few:
            call(user, "get", path)
        for _ in range(4):
            held_here()
        with CaptureQueriesContext(connection) as many:
            call(user, "get", path)
        assert len(many) == len(few)


def test_a_document_is_made_and_changed_by_managers_and_leads_only() -> None:
    game = service("Game")
    body = {"slug": "economy", "name": "Economy", "service": game.pk, "content": HEALTHY}
    assert call(person("responder"), "post", "configs/", body).status_code == 403
    made = call(person("manager"), "post", "configs/", body)
    assert (made.status_code, made.json()["held_here"]) == (201, True)
    lead = person("viewer")
    game.owner.memberships.create(user=lead, role="lead")
    path = f"configs/{made.json()['id']}/"
    assert call(lead, "patch", path, {"name": "Economy of the game"}).json()["name"] == "Economy of the game"
    assert call(person("responder"), "patch", path, {"nonsense": 1}).status_code == 403
    assert call(lead, "post", "configs/", body | {"slug": "economy"}).status_code == 409


def test_an_edit_names_the_revision_that_it_was_made_from() -> None:
    document, manager = held_here(), person("manager")
    path, body = f"configs/{document.pk}/edit/", {"content": BROKEN, "note": "more loot"}
    assert call(manager, "post", path, body).json()["errors"][0]["field"] == "expected_revision"
    tag = call(manager, "get", f"configs/{document.pk}/").headers["ETag"]
    assert call(manager, "post", path, body, If_Match=tag).status_code == 200
    assert call(manager, "post", path, body, If_Match=tag).status_code == 412
    stale = call(manager, "post", path, body | {"expected_revision": document.revision})
    assert (stale.status_code, stale.json()["code"]) == (409, "config_changed")


def test_an_edit_that_breaks_the_schema_names_each_place() -> None:
    schema = {"properties": {"economy": {"properties": {"drop_rate": {"type": "number", "maximum": 0.2}}}}}
    document = held_here(schema=schema)
    body = {"content": BROKEN, "expected_revision": document.revision}
    answer = call(person("manager"), "post", f"configs/{document.pk}/edit/", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "content.economy.drop_rate"
    assert "maximum of 0.2" in answer.json()["errors"][0]["message"]


def test_masks_in_an_edit_mean_the_present_secret() -> None:
    document, manager = held_here(), person("manager")
    content = call(manager, "get", f"configs/{document.pk}/").json()["content"]
    content["economy"]["drop_rate"] = 0.1
    body = {"content": content, "expected_revision": document.revision}
    call(manager, "post", f"configs/{document.pk}/edit/", body)
    head = again(document).head
    assert head is not None
    assert head.content == {"economy": {"drop_rate": 0.1, "gold_per_kill": 12}, "api_key": "k-123456"}
    invented = {"content": {"new_token": "•••"}, "expected_revision": again(document).revision}
    answer = call(manager, "post", f"configs/{document.pk}/edit/", invented)
    assert answer.json()["errors"][0]["field"] == "content.new_token"


def test_diff_then_restore_with_what_was_seen(source: Source) -> None:
    document, manager = at_source(source.url), person("manager")
    source.change(BROKEN)
    diff = call(manager, "get", f"configs/{document.pk}/diff/").json()
    assert diff["changes"] == [{"path": "economy.drop_rate", "op": "changed", "before": 5, "after": 0.05}]
    body = {"reason": "drop rate of 500 %", "expected_checksum": diff["before_checksum"]}
    done = call(manager, "post", f"configs/{document.pk}/restore/", body, Idempotency_Key="once")
    assert (done.status_code, done.json()["changed"]) == (200, True)
    source.change(BROKEN)
    repeated = call(manager, "post", f"configs/{document.pk}/restore/", body, Idempotency_Key="once")
    assert repeated.json() == done.json()
    assert len(source.puts) == 1


def test_a_repeated_restore_here_is_answered_from_the_store() -> None:
    document, manager = held_here(), person("manager")
    body = {"reason": "again", "expected_checksum": checksum(HEALTHY)}
    first = call(manager, "post", f"configs/{document.pk}/restore/", body, Idempotency_Key="once")
    again_ = call(manager, "post", f"configs/{document.pk}/restore/", body, Idempotency_Key="once")
    assert again_.json() == first.json()
    assert again_.headers["Idempotency-Replayed"] == "true"
    assert origins(document).count("restored") == 1


def test_capture_takes_what_the_source_shows_and_says_when_it_is_down(source: Source) -> None:
    document, manager = at_source(source.url), person("manager")
    source.change(BROKEN)
    found = call(manager, "post", f"configs/{document.pk}/capture/", Idempotency_Key="k").json()
    assert (found["origin"], found["source_author"]) == ("observed", "loot designer")
    assert call(person("commander"), "post", f"configs/{document.pk}/capture/").status_code == 403
    source.shutdown()
    source.server_close()
    down = call(manager, "post", f"configs/{document.pk}/capture/")
    assert (down.status_code, down.json()["code"]) == (502, "source_unreachable")
    assert "EGRESS_ALLOW" in down.json()["detail"]
    assert call(manager, "get", f"configs/{document.pk}/").json()["capture_error"]


def test_a_dead_source_is_told_in_what_is_answered_and_the_last_known_state_stands_for_it(source: Source) -> None:
    document, manager = at_source(source.url), person("manager")
    source.change(BROKEN)
    call(manager, "post", f"configs/{document.pk}/capture/")
    assert call(manager, "get", f"configs/{document.pk}/diff/").json()["source_state"] == "read"
    source.shutdown()
    source.server_close()
    call(manager, "post", f"configs/{document.pk}/capture/")
    shown = call(manager, "get", f"configs/{document.pk}/").json()
    assert (shown["source_state"], shown["content"]["economy"]["drop_rate"]) == ("unreachable", 5.0)
    answer = call(manager, "get", f"configs/{document.pk}/diff/")
    found = answer.json()
    assert (answer.status_code, found["source_state"]) == (200, "unreachable")
    assert found["unreachable_since"] == shown["unreachable_since"] is not None
    assert "can't be reached" in found["source_problem"]
    assert [change["path"] for change in found["changes"]] == ["economy.drop_rate"]


def test_since_when_a_source_is_dead_stays_until_it_is_read_again(source: Source) -> None:
    document, manager = at_source(source.url), person("manager")
    source.behave = lambda handler: handler.send(500, b"oh no") or True
    for _ in range(2):
        assert call(manager, "post", f"configs/{document.pk}/capture/").status_code == 502
    since = call(manager, "get", f"configs/{document.pk}/").json()["unreachable_since"]
    first = again(document).unreachable_since
    call(manager, "post", f"configs/{document.pk}/capture/")
    assert (again(document).unreachable_since, since is not None) == (first, True)
    source.behave = None
    call(manager, "post", f"configs/{document.pk}/capture/")
    shown = call(manager, "get", f"configs/{document.pk}/").json()
    assert (shown["source_state"], shown["unreachable_since"]) == ("read", None)


def test_a_source_of_which_nothing_is_known_is_an_error_only_where_it_is_asked(source: Source) -> None:
    fields = {"slug": "new", "name": "New", "source_url": source.url, "service_id": service("Game").pk}
    document = create_document(**fields, actor=Actor.system())
    source.shutdown()
    source.server_close()
    shown = call(person("viewer"), "get", f"configs/{document.pk}/").json()
    assert (shown["source_state"], shown["content"]) == ("not_read", None)
    asked = call(person("viewer"), "get", f"configs/{document.pk}/diff/")
    assert (asked.status_code, asked.json()["code"]) == (502, "source_unreachable")


def test_the_baseline_is_set_with_a_reason() -> None:
    document, manager = held_here(), person("manager")
    call(manager, "post", f"configs/{document.pk}/edit/", {"content": BROKEN, "expected_revision": document.revision})
    head = again(document).head_id
    path = f"configs/{document.pk}/set-baseline/"
    assert call(manager, "post", path, {"version": head}).json()["errors"][0]["field"] == "reason"
    assert call(person("commander"), "post", path, {"version": head, "reason": "x"}).status_code == 403
    assert call(manager, "post", path, {"version": head, "reason": "wanted"}).json()["baseline"] == head
    assert call(manager, "post", path, {"version": 10**17, "reason": "x"}).status_code == 404


def test_versions_tell_what_they_changed() -> None:
    document, manager = held_here(), person("manager")
    call(manager, "post", f"configs/{document.pk}/edit/", {"content": BROKEN, "expected_revision": document.revision})
    head, viewer = again(document).head_id, person("viewer")
    assert call(viewer, "get", f"config-versions/{head}/diff/").json()["changes"][0]["path"] == "economy.drop_rate"
    first = call(viewer, "get", f"config-versions/{document.head_id}/diff/").json()
    assert {"path": "api_key", "op": "added", "before": None, "after": "•••"} in first["changes"]
    assert call(viewer, "get", f"config-versions/{head}/diff/?against={document.head_id}").status_code == 200
    assert call(viewer, "get", f"config-versions/{head}/diff/?against={held_here().head_id}").status_code == 404
    assert call(viewer, "get", f"config-versions/{head}/diff/?against=x").status_code == 400
    assert call(viewer, "get", f"configs/{document.pk}/diff/?before=head&after={'9' * 18}").status_code == 404


BAD = [
    {"schema": {"$ref": "http://127.0.0.1/x.json"}},
    {"schema": {"type": "nonsense"}},
    {"schema": {"pattern": "(a+)+$"}},
    {"schema": {"$ref": "#"}},
    {"source_url": "ftp://example.com/x"},
    {"source_url": "https://ana:secret@example.com/x"},
    {"source_url": "http://[/"},
    {"capture_every_seconds": 3},
    {"capture_every_seconds": 10**12},
    {"slug": "a b"},
    {"name": "a\x00b"},
    {"name": ""},
    {"service": 10**17},
    {"environment": 10**17},
    {"content": [1]},
    {"content": {"a": 10**30}},
    {"content": {"a": "\ud800"}},
    {"content": {"a": "x" * 300_000}},
    {"content": {"a": list(range(30_000))}},
    {"content": {"a": 1}, "source_url": "https://example.com/x"},
]


@pytest.mark.parametrize("given", BAD, ids=range(len(BAD)))
def test_bad_input_is_a_clear_problem(given: dict[str, Any]) -> None:
    body = {"slug": "economy", "name": "Economy", "service": service("Game").pk, **given}
    answer = call(person("manager"), "post", "configs/", json.dumps(body))
    assert answer.status_code in {400, 404}, answer.content
    assert answer.json()["detail"]
