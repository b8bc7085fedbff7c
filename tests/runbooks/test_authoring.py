"""Runbooks are written by managers and by leads of the owning team; a version never changes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.catalog.models import Membership
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from apps.people.models import User
from apps.runbooks import operations
from apps.runbooks.documents import InvalidRunbook
from apps.runbooks.models import Runbook, RunbookVersion
from apps.runbooks.operations import load_library
from apps.runbooks.operations.grants import grant_runbook, revoke_runbook
from apps.runbooks.planning import make_dry_run
from tests.factories import actor, bearer, person, service, superuser, team
from tests.runbooks.writing import PORTAL, request, runbook, text_of
from tests.state.making import held_here

pytestmark = pytest.mark.django_db

WAIT = text_of({"kind": "wait", "with": {"seconds": 5}})
LONGER = text_of({"kind": "wait", "with": {"seconds": 6}})


def lead(of: Any) -> User:
    user = person("viewer")
    Membership.objects.create(team=of, user=user, role=Membership.Role.LEAD)
    return user


# --- who ------------------------------------------------------------------------------------------------------------


def test_managers_write_all_runbooks_and_leads_those_of_their_team() -> None:
    core, other = team("Core"), team("Other")
    for author in (actor(person("manager")), actor(lead(core))):
        made = operations.create_runbook(f"by-{author.user_id}", "Mine", owner_id=core.pk, actor=author)
        assert operations.save_version(made.pk, WAIT, activate=True, actor=author).number == 1
    with pytest.raises(Forbidden):
        operations.create_runbook("theirs", "Theirs", owner_id=other.pk, actor=actor(lead(core)))
    for author in (actor(person("commander")), actor(person("viewer")), actor(lead(other))):
        for verb in (
            lambda author=author: operations.save_version(made.pk, WAIT, actor=author),
            lambda author=author: operations.edit_runbook(made.pk, name="X", actor=author),
            lambda author=author: operations.retire(made.pk, reason="x", actor=author),
            lambda author=author: operations.activate_version(made.versions.get().pk, actor=author),
        ):
            with pytest.raises(Forbidden):
                verb()


def test_who_may_not_see_a_runbook_does_not_learn_of_it() -> None:
    made, version = runbook(WAIT)
    stranger = actor(person())
    for verb in (
        lambda: operations.edit_runbook(made.pk, name="X", actor=stranger),
        lambda: operations.activate_version(version.pk, actor=stranger),
    ):
        with pytest.raises(NotFound):
            verb()


def test_a_lead_alone_reaches_no_secret_no_key_of_the_portal_and_no_configuration_of_another_team() -> None:
    core = team("Core")
    mine = held_here({"a": 1}, service_id=service("Mine", core).pk)
    theirs = held_here({"a": 1}, service_id=service("Theirs").pk)
    author = actor(lead(core))
    made = operations.create_runbook("restoring", "Restoring", owner_id=core.pk, actor=author)
    for step, allowed in [
        ({"kind": "config_restore", "with": {"document": mine.slug}}, True),
        ({"kind": "config_restore", "with": {"document": theirs.slug}}, False),
        (request("https://a.example/{{ secret.TOKEN }}"), False),
        ({"kind": "webhook", "with": {"url": "https://a.example/", "secret": "known-to-both"}}, True),
        ({"kind": "webhook", "with": {"url": "https://a.example/"}}, False),
    ]:
        version = operations.save_version(made.pk, text_of(step), actor=author)
        if allowed:
            operations.activate_version(version.pk, actor=author)
            continue
        with pytest.raises(Forbidden, match="needs the permission"):
            operations.activate_version(version.pk, actor=author)
        assert operations.activate_version(version.pk, actor=actor(person("manager"))).pk == version.pk


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_text_becomes_the_next_version_and_the_same_text_the_same_one() -> None:
    made, first = runbook(WAIT)
    second = operations.save_version(made.pk, LONGER, actor=PORTAL)
    assert (first.number, second.number) == (1, 2)
    assert operations.save_version(made.pk, WAIT.replace("\n", "\r\n"), actor=PORTAL).pk == first.pk
    made.refresh_from_db()
    assert (made.active_version_id, made.versions.count()) == (first.pk, 2)


def test_activating_is_recorded_and_a_repeat_changes_nothing() -> None:
    made, _ = runbook(WAIT)
    second = operations.save_version(made.pk, LONGER, actor=PORTAL)
    operations.activate_version(second.pk, reason="it waits longer", actor=PORTAL)
    made.refresh_from_db()
    before, history = made.version, made.history.count()
    assert "version 2: it waits longer" in made.history.first().history_change_reason
    operations.activate_version(second.pk, actor=PORTAL)
    made.refresh_from_db()
    assert (made.version, made.history.count()) == (before, history)


def test_a_retired_runbook_comes_back_by_activating() -> None:
    made, version = runbook(WAIT)
    with pytest.raises(Invalid):
        operations.retire(made.pk, reason=" ", actor=PORTAL)
    retired = operations.retire(made.pk, reason="old", actor=PORTAL)
    assert operations.retire(made.pk, reason="old", actor=PORTAL).version == retired.version
    operations.activate_version(version.pk, actor=PORTAL)
    made.refresh_from_db()
    assert made.state == Runbook.State.ACTIVE


def test_a_stored_version_never_changes_not_even_by_hand() -> None:
    runbook(WAIT)
    for column in ("text", "content", "number", "checksum", "author_name"):
        with pytest.raises(DatabaseError, match="never changes"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE runbooks_runbookversion SET {column} = {column}")  # noqa: S608  # our own names


def test_a_wrong_text_is_stored_nowhere() -> None:
    made, _ = runbook(WAIT)
    for text in ("", "title: x", "\0", "title: x\nsteps: [{}]"):
        with pytest.raises(InvalidRunbook):
            operations.save_version(made.pk, text, actor=PORTAL)
    assert made.versions.count() == 1


def test_whoever_saw_an_older_state_is_told_to_read_again() -> None:
    made, version = runbook(WAIT)
    old = made.version
    operations.edit_runbook(made.pk, name="Renamed", expected_version=old, actor=PORTAL)
    for verb in (
        lambda: operations.edit_runbook(made.pk, name="Again", expected_version=old, actor=PORTAL),
        lambda: operations.save_version(made.pk, LONGER, expected_version=old, actor=PORTAL),
        lambda: operations.retire(made.pk, reason="x", expected_version=old, actor=PORTAL),
        lambda: operations.activate_version(version.pk, expected_version=old, actor=PORTAL),
    ):
        with pytest.raises(PreconditionFailed):
            verb()


@pytest.mark.parametrize(
    "given",
    [{"slug": "a b"}, {"slug": ""}, {"slug": "x" * 61}, {"name": " "}, {"name": "a\0"}, {"name": "x" * 121},
     {"category": "x" * 61}, {"service_ids": [10**9]}, {"owner_id": 10**9}],
)  # fmt: skip
def test_what_is_no_runbook_is_refused(given: dict[str, Any]) -> None:
    fields = {"slug": "a", "name": "A", "owner_id": team("Core").pk, **given}
    with pytest.raises(Invalid):
        operations.create_runbook(fields.pop("slug"), fields.pop("name"), **fields, actor=PORTAL)
    assert not Runbook.objects.exists()


def test_an_edit_of_nothing_changes_nothing_and_services_count() -> None:
    made, _ = runbook(WAIT)
    shop = service("Shop")
    edited = operations.edit_runbook(made.pk, service_ids=[shop.pk], actor=PORTAL)
    again = operations.edit_runbook(made.pk, name=edited.name, service_ids=[shop.pk], actor=PORTAL)
    assert (again.version, list(again.services.all())) == (edited.version, [shop])
    with pytest.raises(Conflict):
        operations.create_runbook(made.slug, "Twice", owner_id=made.owner_id, actor=PORTAL)


def test_the_library_is_imported_once_and_what_people_activated_stays() -> None:
    core = team("Core")
    for _ in range(2):
        versions = load_library(PORTAL, owner_id=core.pk)
    made = Runbook.objects.get(slug="economy-rollback")
    assert (made.state, made.versions.count(), versions[0].author_name) == ("active", 1, "portal")
    load_library(PORTAL, owner_id=core.pk, values={"WORLD": "http://127.0.0.1:9000"})
    made.refresh_from_db()
    assert (made.versions.count(), made.active_version.number) == (2, 2)
    own = operations.save_version(made.pk, LONGER, activate=True, actor=actor(person("manager")))
    load_library(PORTAL, owner_id=core.pk, values={"WORLD": "http://127.0.0.1:9001"})
    made.refresh_from_db()
    assert made.active_version_id == own.pk


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_who_save_at_once_get_two_numbers() -> None:
    made, _ = runbook(WAIT)
    texts = [text_of({"kind": "wait", "with": {"seconds": seconds}}) for seconds in range(10, 18)]
    numbers: list[int] = []

    def save(text: str) -> None:
        numbers.append(operations.save_version(made.pk, text, actor=Actor.system()).number)
        connection.close()

    threads = [threading.Thread(target=save, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(2, 10))


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_api_creates_edits_saves_activates_and_retires(client: Client) -> None:
    core, boss = team("Core"), person("manager")
    headers = bearer(boss, "runbooks:write")
    json = "application/json"
    answer = client.post("/api/v1/runbooks/", {"slug": "a", "name": "A", "owner": core.pk}, json, headers=headers)
    assert answer.status_code == 201, answer.content
    url = f"/api/v1/runbooks/{answer.json()['id']}/"
    stale = answer.headers["ETag"]
    saved = client.post(f"{url}versions/", {"text": WAIT, "note": "n"}, json, headers=headers)
    assert (saved.status_code, saved.json()["number"], saved.json()["is_active"]) == (201, 1, False)
    refused = client.patch(url, {"name": "B"}, json, headers={**headers, "If-Match": stale})
    assert refused.status_code == 412
    version = f"/api/v1/runbook-versions/{saved.json()['id']}/"
    assert client.post(f"{version}activate/", {}, json, headers=headers).json()["is_active"] is True
    assert client.get(f"{url}versions/", headers=headers).json()["results"][0]["number"] == 1
    dry = client.post(f"{url}dry-run/", {"parameters": {}}, json, headers={**headers, "Idempotency-Key": "k"})
    assert (dry.status_code, dry.json()["problems"], len(dry.json()["steps"])) == (201, [], 1)
    assert client.get(f"/api/v1/dry-runs/{dry.json()['id']}/", headers=headers).status_code == 200
    assert client.post(f"{url}retire/", {"reason": "old"}, json, headers=headers).json()["state"] == "retired"


def test_a_wrong_text_is_a_problem_with_its_lines(client: Client) -> None:
    made, _ = runbook(WAIT)
    headers, url = bearer(person("manager")), f"/api/v1/runbooks/{made.pk}/versions/"
    for text in ("title: [", "a: &a [*a]", "title: x\0y", "x: y\n" * 60_000, "[" * 5000, "steps: 3"):
        answer = client.post(url, {"text": text}, "application/json", headers=headers)
        assert answer.status_code == 400, text[:20]
    answer = client.post(url, {"text": "title: x\nsteps: 3"}, "application/json", headers=headers)
    assert (answer.json()["code"], answer.json()["problems"][0]["line"]) == ("invalid_runbook", 2)
    checked = client.post("/api/v1/runbooks/check/", {"text": "title: x"}, "application/json", headers=headers)
    assert (checked.status_code, checked.json()["valid"]) == (200, False)


def test_wrong_parameters_are_a_problem_with_their_paths(client: Client) -> None:
    schema = {"properties": {"n": {"type": "integer"}}}
    made, _ = runbook(text_of({"kind": "wait", "with": {"seconds": 5}}, parameters=schema))
    headers, url = bearer(person("responder")), f"/api/v1/runbooks/{made.pk}/dry-run/"
    for parameters in ({"n": "x"}, {"m": 1}, {"n": "a\0"}, {"n": 10**30}, [], None, {"n": {"a": {}}}):
        answer = client.post(url, {"parameters": parameters}, "application/json", headers=headers)
        assert answer.status_code == 400, parameters
    answer = client.post(url, {"parameters": {"n": "x"}}, "application/json", headers=headers)
    assert answer.json()["errors"][0]["field"] == "parameters.n"


def test_the_api_refuses_before_it_reads_the_body(client: Client) -> None:
    made, version = runbook(WAIT)
    headers = bearer(person("viewer"))
    paths = ["runbooks/", f"runbooks/{made.pk}/versions/", f"runbooks/{made.pk}/retire/", "secrets/",
             f"runbooks/{made.pk}/dry-run/", f"runbook-versions/{version.pk}/activate/", "runbooks/check/"]  # fmt: skip
    for path in paths:
        answer = client.post(f"/api/v1/{path}", {"nonsense": 1}, "application/json", headers=headers)
        assert answer.status_code == 403, path
    assert (
        client.patch(f"/api/v1/runbooks/{made.pk}/", {"x": 1}, "application/json", headers=headers).status_code == 403
    )


def test_a_secret_goes_in_by_the_api_and_never_comes_out(client: Client) -> None:
    headers = bearer(person("manager"))
    made = client.post("/api/v1/secrets/", {"name": "A", "value": "long enough"}, "application/json", headers=headers)
    assert (made.status_code, set(made.json())) == (201, {"id", "name", "note", "changed_at"})
    assert "long enough" not in client.get("/api/v1/secrets/", headers=headers).content.decode()
    bad = client.post("/api/v1/secrets/", {"name": "A", "value": "short"}, "application/json", headers=headers)
    assert (bad.status_code, "short" in bad.content.decode().replace("too short", "")) == (400, False)
    assert client.delete(f"/api/v1/secrets/{made.json()['id']}/", headers=headers).status_code == 204
    assert client.get("/api/v1/secrets/", headers=bearer(person("viewer"))).status_code == 403


# --- the pages ------------------------------------------------------------------------------------------------------


def test_the_pages_of_authors_show_problems_by_line_and_the_diff_before_saving(client: Client) -> None:
    made, version = runbook(WAIT)
    client.force_login(superuser())
    url = reverse("admin:runbooks_runbook_text", args=[made.pk])
    wrong = client.post(url, {"text": "title: x\nsteps: 3", "check": "1"})
    assert (wrong.status_code, "steps: 3" in wrong.content.decode()) == (400, True)
    good = client.post(url, {"text": LONGER, "check": "1"}).content.decode()
    assert "against the active version 1" in good
    assert made.versions.count() == 1
    saved = client.post(url, {"text": LONGER, "save": "1", "note": "longer", "version": made.version})
    newer = RunbookVersion.objects.get(runbook=made, number=2)
    assert saved.headers["Location"] == reverse("admin:runbooks_runbookversion_change", args=[newer.pk])
    assert "Against version 1" in client.get(saved.headers["Location"]).content.decode()
    client.post(reverse("admin:runbooks_runbookversion_activate", args=[newer.pk]), {"reason": "better"})
    made.refresh_from_db()
    assert made.active_version_id == newer.pk
    late = client.post(url, {"text": WAIT + "# more\n", "save": "1", "version": version.number})
    assert "has changed since you read it" in late.content.decode()


def test_the_pages_open_for_who_may_and_only_for_them(client: Client) -> None:
    made, version = runbook(WAIT)
    rows = {"runbook": made, "runbookversion": version}
    client.force_login(person("viewer"))
    for name, row in rows.items():
        assert client.get(reverse(f"admin:runbooks_{name}_change", args=[row.pk])).status_code == 200
        assert client.get(reverse(f"admin:runbooks_{name}_changelist")).status_code == 200
    for name in ("text", "details", "retire"):
        assert client.get(reverse(f"admin:runbooks_runbook_{name}", args=[made.pk])).status_code == 403
    assert client.get(reverse("admin:runbooks_secret_changelist")).status_code == 403
    client.force_login(person("manager"))
    for name in ("text", "details"):
        assert client.get(reverse(f"admin:runbooks_runbook_{name}", args=[made.pk])).status_code == 200
    for name in ("runbook", "secret"):
        assert client.get(reverse(f"admin:runbooks_{name}_add")).status_code == 200


def no_grants() -> dict[str, Any]:
    """What the page sends of its rows of grants when there are none."""
    sets = ("runbookuserpermission_set", "runbookgrouppermission_set")
    return {f"{name}-{field}_FORMS": 0 for name in sets for field in ("TOTAL", "INITIAL")}


def test_a_grant_lets_a_person_look_at_or_execute_one_runbook(client: Client) -> None:
    made, other = runbook(WAIT)[0], runbook(WAIT)[0]
    ana, boss = person("viewer"), person("manager")
    client.force_login(boss)
    permission = Permission.objects.get(codename="execute_runbook")
    form = {"name": made.name, "owner": made.owner_id, "description": "", "category": "", **no_grants()}
    row = {"TOTAL_FORMS": 1, "0-user": ana.pk, "0-permission": permission.pk, "0-content_object": made.pk, "0-id": ""}
    form |= {f"runbookuserpermission_set-{name}": value for name, value in row.items()}
    client.post(reverse("admin:runbooks_runbook_details", args=[made.pk]), form)
    assert make_dry_run(made.pk, {}, actor=actor(ana)).problems == []
    with pytest.raises(Forbidden):
        make_dry_run(other.pk, {}, actor=actor(ana))
    revoke_runbook(made.pk, "execute_runbook", user_id=ana.pk, actor=actor(boss))
    with pytest.raises(Forbidden):
        make_dry_run(made.pk, {}, actor=actor(ana))
    with pytest.raises(Forbidden):
        grant_runbook(made.pk, "execute_runbook", user_id=ana.pk, actor=actor(ana))


def test_a_runbook_is_made_edited_and_retired_on_its_pages(client: Client) -> None:
    core = team("Core")
    client.force_login(person("manager"))
    form = {"name": "Fresh", "slug": "fresh", "owner": core.pk, "description": "", "category": "", **no_grants()}
    client.post(reverse("admin:runbooks_runbook_add"), form)
    made = Runbook.objects.get(slug="fresh")
    details = reverse("admin:runbooks_runbook_details", args=[made.pk])
    answer = client.post(details, {**form, "name": "Fresher", "change_reason": "nicer"})
    assert answer.headers["Location"] == reverse("admin:runbooks_runbook_change", args=[made.pk])
    operations.save_version(made.pk, WAIT, activate=True, actor=PORTAL)
    client.post(reverse("admin:runbooks_runbook_retire", args=[made.pk]), {"reason": "old"})
    made.refresh_from_db()
    assert (made.name, made.state) == ("Fresher", "retired")


def test_a_secret_is_set_replaced_and_forgotten_on_its_pages(client: Client) -> None:
    from apps.runbooks.models import Secret
    from apps.runbooks.secrets import Vault

    client.force_login(person("manager"))
    client.post(reverse("admin:runbooks_secret_add"), {"name": "TOKEN", "value": "first value", "note": "n"})
    secret = Secret.objects.get(name="TOKEN")
    page = reverse("admin:runbooks_secret_change", args=[secret.pk])
    client.post(page, {"value": "second value", "note": "m"})
    assert Vault().resolve("TOKEN") == "second value"
    refused = client.post(page, {"value": "short"}).content.decode()
    assert "short" not in refused.replace("shorter", "")
    client.post(reverse("admin:runbooks_secret_forget", args=[secret.pk]))
    assert not Secret.objects.exists()


def test_the_list_of_runbooks_asks_as_much_for_many_as_for_one(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    client.force_login(superuser())
    runbook(WAIT)
    url = reverse("admin:runbooks_runbook_changelist")
    client.get(url)
    with django_assert_max_num_queries(40) as few:
        client.get(url)
    for _ in range(8):
        runbook(WAIT)
    with django_assert_max_num_queries(len(few.captured_queries)):
        client.get(url)
