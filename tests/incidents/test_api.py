from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.incidents.models import Incident
from apps.incidents.operations import resolve
from apps.people.models import User
from tests.factories import actor, bearer, incident, named, novacron, person, service, team

LIST = "/api/v1/incidents/"


class Api:
    """A program with a token of this account."""

    def __init__(self, user: User, *scopes: str) -> None:
        self.client, self.headers = Client(), bearer(user, *scopes)

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers={**self.headers, **headers})

    def post(self, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            path, body or {}, content_type="application/json", headers={**self.headers, **named_headers}
        )


def _path(made: Incident, verb: str = "") -> str:
    return f"{LIST}{made.pk}/{verb + '/' if verb else ''}"


@pytest.mark.django_db
def test_declaring_answers_with_the_incident_and_its_tag() -> None:
    novacron()
    login = service("Login")
    api = Api(named("rea", "responder"))
    answer = api.post(LIST, {"title": "Nobody can log in", "severity": "P4", "services": [login.pk]})
    found = answer.json()
    assert answer.status_code == 201, found
    assert (found["severity"], found["source"], found["declared_by"]["name"]) == ("P4", "api", "Rea")
    assert found["services"] == [{"id": login.pk, "name": "Login"}]
    assert answer.headers["ETag"] == f'"incident-{found["id"]}-v1"'


@pytest.mark.django_db
def test_a_wrong_severity_is_a_problem_that_names_the_valid_ones() -> None:
    novacron()
    answer = Api(person("responder")).post(LIST, {"title": "Slow", "severity": "SEV1"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert "P0, P1, P2, P3, P4" in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "severity"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "a", "severity": "P4", "colour": "red"}, "colour"),
        ({"title": "a"}, "severity"),
        ({"title": 5, "severity": "P4"}, "title"),
        ({"title": "a", "severity": "P4", "services": ["x"]}, "services"),
        ({"title": "a", "severity": "P4", "visibility": "secret"}, "visibility"),
        ({"title": "a", "severity": "P4", "team": 2**62}, "team_id"),
    ],
)
def test_wrong_input_is_refused_with_the_name_of_the_field(body: dict[str, Any], field: str) -> None:
    novacron()
    answer = Api(person("responder")).post(LIST, body)
    assert answer.status_code == 400, answer.json()
    assert answer.json()["errors"][0]["field"].startswith(field)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"title": "a\u0000"}, {"team": 2**70}])
def test_what_no_column_holds_is_refused(wrong: dict[str, Any]) -> None:
    novacron()
    assert Api(person("responder")).post(LIST, {"title": "a", "severity": "P4", **wrong}).status_code == 400


@pytest.mark.django_db
def test_a_repeated_declaration_with_one_key_opens_one_incident() -> None:
    novacron()
    api, body = Api(person("responder")), {"title": "Slow", "severity": "P4"}
    first = api.post(LIST, body, Idempotency_Key="k-1")
    again = api.post(LIST, body, Idempotency_Key="k-1")
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Incident.objects.count() == 1


@pytest.mark.django_db
def test_an_old_tag_is_refused_and_the_current_one_accepted() -> None:
    made, api = incident(severity="P4"), Api(person("commander"))
    tag = api.get(_path(made)).headers["ETag"]
    assert api.post(_path(made, "phase"), {"phase": "triage"}, If_Match=tag).status_code == 200
    answer = api.post(_path(made, "phase"), {"phase": "mitigating"}, If_Match=tag)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
    assert Incident.objects.get().phase == "triage"


@pytest.mark.django_db
def test_who_has_it_already_is_told_so() -> None:
    made, api = incident(severity="P4"), Api(person("viewer"))
    tag = api.get(_path(made)).headers["ETag"]
    assert api.get(_path(made), **{"If-None-Match": tag}).status_code == 304


@pytest.mark.django_db
def test_every_verb_works_and_answers_with_the_incident() -> None:
    ana, bo = named("ana", "commander"), named("bo", "responder")
    made, api = incident(severity="P2"), Api(ana)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("acknowledge", {}),
        ("roles", {"role": "commander"}),
        ("roles", {"role": "tech-lead", "user": bo.pk}),
        ("hand-over", {"role": "tech-lead", "user": ana.pk}),
        ("release-role", {"role": "tech-lead"}),
        ("severity", {"severity": "P1", "reason": "worse"}),
        ("phase", {"phase": "mitigating"}),
        ("milestones", {"milestone": "mitigated"}),
        ("page-in", {"user": bo.pk, "reason": "help"}),
        ("visibility", {"visibility": "private"}),
        ("access", {"user": bo.pk}),
        ("revoke-access", {"user": bo.pk}),
        ("keep-open", {}),
        ("resolve", {"summary": "done"}),
        ("reopen", {"reason": "back"}),
    ]
    for verb, body in steps:
        answer = api.post(_path(made, verb), body)
        assert answer.status_code == 200, (verb, answer.json())
        assert answer.json()["number"] == made.number
        assert answer.headers["ETag"] == f'"incident-{made.pk}-v{Incident.objects.get().version}"'


@pytest.mark.django_db
def test_the_detail_shows_roles_milestones_and_times() -> None:
    made, api = incident(severity="P2"), Api(named("ana", "commander"))
    api.post(_path(made, "roles"), {"role": "commander"})
    found = api.get(_path(made)).json()
    assert [(r["role"], r["name"], r["user"]["name"]) for r in found["roles"]] == [
        ("commander", "Incident Commander", "Ana")
    ]
    assert {m["name"] for m in found["milestones"]} == {"detected", "declared", "acknowledged"}
    assert found["times"]["to_acknowledge"] >= 0
    assert found["times"]["to_resolve"] is None


@pytest.mark.django_db
def test_a_taken_role_is_a_conflict_that_names_the_holder() -> None:
    made = incident(severity="P2")
    Api(named("ana", "commander")).post(_path(made, "roles"), {"role": "commander"})
    answer = Api(named("bo", "commander")).post(_path(made, "roles"), {"role": "commander"})
    assert (answer.status_code, answer.json()["holder"]) == (409, "Ana")


@pytest.mark.django_db
def test_the_timeline_comes_in_pages_and_takes_notes() -> None:
    made, api = incident(severity="P4"), Api(person("responder"))
    for number in range(4):
        answer = api.post(_path(made, "timeline"), {"text": f"note {number}"})
        assert (answer.status_code, answer.json()["seq"]) == (201, number + 2)
    page = api.get(_path(made, "timeline") + "?limit=3").json()
    assert [entry["seq"] for entry in page["results"]] == [5, 4, 3]
    rest = api.get(page["next"]).json()
    assert [entry["seq"] for entry in rest["results"]] == [2, 1]
    newer = api.get(_path(made, "timeline") + "?after=4").json()
    assert [entry["text"] for entry in newer["results"]] == ["note 3"]
    assert api.get(_path(made, "timeline") + "?after=x").status_code == 400


@pytest.mark.django_db
def test_lists_are_narrowed_by_every_filter() -> None:
    login, core = service("Login"), team("Core")
    slow = incident("Slow pages", "P3", service_ids=[login.pk])
    down = incident("All down", "P0", team_id=core.pk)
    over = incident("Over", "P4")
    resolve(over.pk, actor=actor(person("commander")))
    api = Api(person("viewer"))
    for query, wanted in [
        ("", [over, down, slow]),
        ("severity=p0", [down]),
        ("phase=resolved", [over]),
        (f"team={core.pk}", [down]),
        (f"service={login.pk}", [slow]),
        ("open=true", [down, slow]),
        ("open=false", [over]),
        ("q=slow login", [slow]),
    ]:
        found = api.get(f"{LIST}?{query}").json()["results"]
        assert [row["id"] for row in found] == [item.pk for item in wanted], query


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["phase=panic", "team=x", "q=%00", "cursor=nonsense", "limit=0"])
def test_nonsense_filters_are_refused(query: str) -> None:
    assert Api(person("viewer")).get(f"{LIST}?{query}").status_code == 400


@pytest.mark.django_db
def test_a_list_takes_as_many_queries_for_many_as_for_few() -> None:
    api, login, counts = Api(person("viewer")), service("Login"), []
    incident(severity="P4")
    api.get(LIST)  # reads the pack once for this process
    for size in (2, 10):
        for _ in range(size):
            incident(severity="P4", service_ids=[login.pk])
        with CaptureQueriesContext(connection) as queries:
            api.get(LIST)
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.django_db
def test_a_private_incident_does_not_exist_for_outsiders() -> None:
    made, api = incident("Secret", "P4", visibility="private"), Api(person("commander"))
    assert api.get(LIST).json()["results"] == []
    assert api.get(_path(made)).status_code == 404
    assert api.get(_path(made, "timeline")).status_code == 404
    for verb in ("acknowledge", "resolve", "timeline", "visibility", "access", "roles", "page-in"):
        answer = api.post(_path(made, verb), {"nonsense": 1})
        assert answer.status_code == 404, verb
        assert "Secret" not in answer.content.decode()
    assert Api(person("auditor")).get(_path(made)).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("verb", ["roles", "severity", "phase", "access", "timeline", "resolve"])
def test_who_may_not_hears_so_before_their_input_is_looked_at(verb: str) -> None:
    answer = Api(person("viewer")).post(_path(incident(severity="P4"), verb), {"nonsense": 1})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.django_db
def test_tokens_need_the_scope_and_accounts_the_permission() -> None:
    made = incident(severity="P4")
    body = {"title": "a", "severity": "P4"}
    assert Client().get(LIST).status_code == 401
    assert Api(person("responder"), "alerts:read").get(LIST).status_code == 403
    assert Api(person("responder"), "incidents:read").post(LIST, body).status_code == 403
    assert Api(person("viewer")).post(LIST, body).status_code == 403
    assert Api(person("viewer")).post(_path(made, "acknowledge")).status_code == 403
    assert Api(person("responder")).post(_path(made, "resolve")).status_code == 403
    assert Api(person()).get(LIST).json()["results"] == []
