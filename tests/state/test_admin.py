"""The pages of config documents."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.people.models import User
from apps.state import operations
from apps.state.models import ConfigDocument, ConfigVersion
from tests.factories import person, service
from tests.state.conftest import BROKEN, HEALTHY, Source
from tests.state.making import PORTAL, again, at_source, held_here, origins

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.state.urls")]


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def at(name: str, *args: int, query: str = "") -> str:
    return reverse(f"admin:state_{name}", args=args) + query


def html(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def test_the_list_marks_what_drifted() -> None:
    document, client = held_here(), as_(person("viewer"))
    assert "the same" in html(client, at("configdocument_changelist"))
    operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    other = held_here()
    assert "differs" in html(client, at("configdocument_changelist"))
    shown = html(client, at("configdocument_changelist", query="?drift=yes"))
    assert at("configdocument_change", document.pk) in shown
    assert at("configdocument_change", other.pk) not in shown


def test_the_lists_cost_the_same_for_many() -> None:
    client = as_(person("viewer"))
    for name in ("configdocument_changelist", "configversion_changelist"):
        held_here()
        html(client, at(name))
        with CaptureQueriesContext(connection) as few:
            html(client, at(name))
        for _ in range(4):
            held_here()
        with CaptureQueriesContext(connection) as many:
            html(client, at(name))
        assert len(many) == len(few), name


def test_the_page_of_a_document_costs_the_same_for_many_versions() -> None:
    document, client = held_here(), as_(person("manager"))
    url = at("configdocument_change", document.pk)
    html(client, url)
    with CaptureQueriesContext(connection) as few:
        html(client, url)
    for number in range(5):
        row = again(document)
        operations.edit_config(row.pk, {"n": number}, expected_revision=row.revision, actor=PORTAL)
    with CaptureQueriesContext(connection) as many:
        html(client, url)
    assert len(many) == len(few)


def test_no_page_shows_a_secret(source: Source) -> None:
    document, client = at_source(source.url), as_(person("manager"))
    source.change(HEALTHY | {"api_key": "k-654321"})
    operations.capture(document.pk, actor=PORTAL)
    pages = [
        at("configdocument_change", document.pk, query="?live=1"),
        *(at(f"configdocument_{name}", document.pk) for name in ("live", "edit", "compare", "restore", "baseline")),
        at("configdocument_history", document.pk),
        at("configdocument_settings", document.pk),
        at("configversion_change", again(document).head_id or 0),
    ]
    for url in pages:
        shown = html(client, url)
        assert "k-123456" not in shown, url
        assert "k-654321" not in shown, url


def test_the_live_box_shows_what_differs_from_the_baseline(source: Source) -> None:
    document, client = at_source(source.url), as_(person("viewer"))
    source.change(BROKEN)
    box = html(client, at("configdocument_live", document.pk))
    assert "economy.drop_rate" in box
    assert "by loot designer, which was not captured yet" in box
    assert "Put the baseline back" not in box
    source.shutdown()
    source.server_close()
    assert "can&#x27;t be reached" in html(client, at("configdocument_live", document.pk))


def test_a_restore_shows_its_diff_first_and_a_second_click_does_nothing(source: Source) -> None:
    document, client = at_source(source.url), as_(person("manager"))
    source.change(BROKEN)
    url = at("configdocument_restore", document.pk)
    page = html(client, url)
    assert "economy.drop_rate" in page
    given = {name: hidden(page, name) for name in ("expected_checksum", "effect_key")}
    assert client.post(url, given).status_code == 200  # without a reason nothing happens
    assert not source.puts
    for _ in range(2):
        assert client.post(url, {**given, "reason": "drop rate of 500 %"}).status_code == 302
    assert source.document == HEALTHY
    assert origins(document) == ["observed", "backup", "restored"]


def test_a_restore_of_what_changed_since_the_diff_is_refused(source: Source) -> None:
    document, client = at_source(source.url), as_(person("manager"))
    source.change(BROKEN)
    url = at("configdocument_restore", document.pk)
    page = html(client, url)
    source.change(BROKEN | {"hotfix": True})
    given = {name: hidden(page, name) for name in ("expected_checksum", "effect_key")}
    answer = client.post(url, {**given, "reason": "drop rate of 500 %"})
    assert "was changed in the meantime" in answer.content.decode()
    assert not source.puts


def test_an_edit_is_checked_then_saved_and_a_stale_one_is_refused() -> None:
    document, client = held_here(), as_(person("manager"))
    url = at("configdocument_edit", document.pk)
    page = html(client, url)
    given = {"content": json.dumps(BROKEN | {"api_key": "•••"}), "expected_revision": hidden(page, "expected_revision")}
    assert "economy.drop_rate" in client.post(url, {**given, "check": "1"}).content.decode()
    assert again(document).head_id == document.head_id
    assert client.post(url, {**given, "save": "1"}).status_code == 302
    head = again(document).head
    assert head is not None
    assert head.content == BROKEN
    stale = client.post(url, {**given, "content": "{}", "save": "1"}).content.decode()
    assert "was changed since you opened this page" in stale


@pytest.mark.parametrize("text", ["{", "[1]", "{" * 5000, '{"a": NaN}', '{"a": "\\u0000"}', '{"a":' * 5000, ""])
def test_what_is_no_json_object_is_told_not_saved(text: str) -> None:
    document, client = held_here(), as_(person("manager"))
    given = {"content": text, "expected_revision": str(document.revision), "save": "1"}
    assert client.post(at("configdocument_edit", document.pk), given).status_code == 200
    assert again(document).head_id == document.head_id


def test_the_baseline_is_set_with_a_reason() -> None:
    document, client = held_here(), as_(person("manager"))
    made = operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    url = at("configdocument_baseline", document.pk, query=f"?version={made.pk}")
    assert "economy.drop_rate" in html(client, url)
    assert client.post(url, {"reason": ""}).status_code == 200
    assert again(document).baseline_id == document.baseline_id
    assert client.post(url, {"reason": "ran well"}).status_code == 302
    assert again(document).baseline_id == made.pk


def test_viewers_read_and_change_nothing(source: Source) -> None:
    document, viewer = at_source(source.url), as_(person("viewer"))
    assert "Edit</a>" not in html(viewer, at("configdocument_change", document.pk))
    for name in ("edit", "restore", "baseline"):
        assert viewer.get(at(f"configdocument_{name}", document.pk)).status_code == 403
        assert viewer.post(at(f"configdocument_{name}", document.pk), {"reason": "x"}).status_code == 403
    assert viewer.post(at("configdocument_capture", document.pk), follow=True).status_code == 200
    assert viewer.get(at("configdocument_capture", document.pk)).status_code == 405
    assert viewer.post(at("configdocument_change", document.pk)).status_code == 405
    assert origins(document) == ["observed"]
    nobody = as_(person())
    assert nobody.get(at("configdocument_change", document.pk)).status_code in {302, 403, 404}


def test_a_manager_makes_a_document_and_changes_its_settings() -> None:
    client, game = as_(person("manager")), service("Game")
    given = {"name": "Economy", "slug": "economy", "service": game.pk, "capture_every_seconds": 0, "schema": "{}"}
    assert client.post(at("configdocument_add"), given).status_code == 302
    document = ConfigDocument.objects.get(slug="economy")
    url = at("configdocument_settings", document.pk)
    assert client.post(url, {**given, "name": "Economy of the game"}).status_code == 302
    assert again(document).name == "Economy of the game"
    bad = client.post(url, {**given, "schema": '{"$ref": "https://example.com/x"}'}, follow=True)
    assert "nothing is fetched" in bad.content.decode()
    assert "No version yet" in html(client, at("configdocument_change", document.pk))


def test_the_history_tells_who_changed_what_and_holds_no_content() -> None:
    document, client = held_here(), as_(person("auditor"))
    operations.edit_document(document.pk, name="Other", reason="renamed", actor=PORTAL)
    shown = html(client, at("configdocument_history", document.pk))
    assert "renamed" in shown
    row = document.history.first()
    assert row is not None
    detail = html(client, at("configdocument_simple_history", document.pk, row.pk))
    assert "gold_per_kill" not in shown + detail


def test_two_versions_are_compared_and_foreign_ones_are_not_found() -> None:
    document, client = held_here(), as_(person("viewer"))
    made = operations.edit_config(document.pk, BROKEN, expected_revision=document.revision, actor=PORTAL)
    url = at("configdocument_compare", document.pk)
    assert "economy.drop_rate" in html(client, f"{url}?before={document.head_id}&after={made.pk}")
    assert client.get(f"{url}?before={held_here().head_id}").status_code == 404
    assert client.get(f"{url}?before=x").status_code == 404


def test_a_spoiled_version_says_so_on_its_page() -> None:
    document, client = held_here(), as_(person("manager"))
    ConfigVersion.objects.filter(pk=document.head_id).update(content=BROKEN)
    assert "no longer has the checksum" in html(client, at("configversion_change", document.head_id or 0))
    assert "does not verify" in html(client, at("configdocument_restore", document.pk))


def test_capture_now_says_what_it_found(source: Source) -> None:
    document, client = at_source(source.url), as_(person("manager"))
    url: Any = at("configdocument_capture", document.pk)
    assert "Nothing new" in client.post(url, follow=True).content.decode()
    source.change(BROKEN)
    assert "New: version 2" in client.post(url, follow=True).content.decode()
