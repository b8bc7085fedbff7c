from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.catalog.models import Team
from apps.engine.models import Event
from apps.flags.evaluation.definitions import switch_definition
from apps.flags.models import Flag, FlagRevision, Segment
from apps.flags.operations import create_segment, delete_segment, edit_flag, edit_segment
from apps.flags.queries import try_out
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict
from apps.people.models import User
from tests.factories import bearer, person, team
from tests.flags.conftest import lead

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
API = "/api/v1/segments/"


def of(*countries: str) -> dict[str, Any]:
    return {"when": [{"attribute": "country", "operator": "in", "values": list(countries)}]}


@pytest.fixture
def home(core: Team, flag: Flag) -> Segment:
    """A segment that the rules of `flag` speak of."""
    made = create_segment("home", owner_id=core.pk, name="At home", definition=of("DE"), actor=SYSTEM)
    rule = {"name": "home", "when": [{"not": {"segment": "home"}}], "serve": "off"}
    edit_flag(flag.pk, definition={**switch_definition(), "rules": [rule]}, actor=SYSTEM)
    return made


def send(client: Client, user: User, path: str = "", body: Any = None, method: str = "post", **headers: str) -> Any:
    kwargs = {} if method == "get" else {"data": body or {}, "content_type": "application/json"}
    return getattr(client, method)(f"{API}{path}", headers={**bearer(user), **headers}, **kwargs)


def test_a_changed_segment_changes_the_flags_that_speak_of_it(flag: Flag, home: Segment) -> None:
    flag.refresh_from_db()
    assert (try_out(flag, {"country": "DE"}).value, try_out(flag, {"country": "AT"}).value) == (True, False)
    before = FlagRevision.objects.get().number
    edit_segment(home.pk, definition=of("DE", "AT"), actor=SYSTEM)
    edit_segment(home.pk, definition=of("DE", "AT"), actor=SYSTEM)
    assert try_out(flag, {"country": "AT"}).value is True
    assert FlagRevision.objects.get().number == before + 1
    assert Event.objects.filter(kind="flags.segment_edited").count() == 1


def test_a_segment_that_is_used_is_not_deleted(flag: Flag, home: Segment) -> None:
    with pytest.raises(Conflict, match=r"payments.checkout \(production\) still use this segment"):
        delete_segment(home.pk, actor=SYSTEM)
    edit_flag(flag.pk, definition=switch_definition(), actor=SYSTEM)
    delete_segment(home.pk, actor=SYSTEM)
    assert not Segment.objects.exists()


def test_a_lead_makes_edits_and_deletes_their_teams_segments(client: Client, core: Team) -> None:
    user, others = lead(core), team("Others")
    body = {"key": "vip", "name": "VIP", "owner": core.pk, "definition": of("DE")}
    made = send(client, user, body=body)
    assert (made.status_code, made.json()["key"], made.json()["version"]) == (201, "vip", 1)
    path = f"{made.json()['id']}/"
    assert send(client, user, path, {"name": "Big spenders"}, "patch").json()["name"] == "Big spenders"
    assert send(client, user, body={**body, "key": "x", "owner": others.pk}).status_code == 403
    assert send(client, user, path, method="delete").status_code == 204


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_others_read_and_are_refused_before_their_body_is_read(client: Client, home: Segment, group: str) -> None:
    user, path = person(group), f"{home.pk}/"
    assert send(client, user, path, method="get").json()["definition"] == of("DE")
    asked = [("post", ""), ("patch", path), ("delete", path)]
    assert {send(client, user, where, {"x": 1}, method).status_code for method, where in asked} == {403}


def test_a_taken_key_and_a_stale_version_are_conflicts(client: Client, home: Segment, core: Team) -> None:
    manager = person("manager")
    body = {"key": "home", "name": "Again", "owner": core.pk, "definition": of("DE")}
    assert send(client, manager, body=body).status_code == 409
    tag = send(client, manager, f"{home.pk}/", method="get").headers["ETag"]
    assert send(client, manager, f"{home.pk}/", {"name": "x"}, "patch", **{"If-Match": tag}).status_code == 200
    assert send(client, manager, f"{home.pk}/", {"name": "y"}, "patch", **{"If-Match": tag}).status_code == 412


def test_the_page_shows_who_uses_it_and_refuses_mistakes_with_their_line(home: Segment, flag: Flag) -> None:
    client = Client()
    client.force_login(person("manager"))
    path = f"/admin/flags/segment/{home.pk}/change/"
    assert "payments.checkout" in client.get(path).content.decode()
    form = {"name": "Home", "owner": home.owner_id, "description": "", "change_reason": "x"}
    wrong = client.post(path, {**form, "definition": "when:\n- {attribute: country, operator: is, values: [DE]}\n"})
    assert "Line 2, column" in wrong.content.decode()
    right = client.post(path, {**form, "definition": "when:\n- {attribute: country, operator: in, values: [CH]}\n"})
    assert right.status_code == 302
    home.refresh_from_db()
    assert (home.name, home.definition) == ("Home", of("CH"))
