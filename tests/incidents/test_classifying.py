"""What kind of incident it is, which limit holds for it, and where its clock stops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.alerts.operations import group
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, now, use_clock
from apps.foundation.errors import Conflict, Forbidden, Invalid
from apps.incidents.admin.clocks import clocks_of
from apps.incidents.models import Incident
from apps.incidents.operations import change_severity, change_type, choose_clock_stop, declare, mark, resolve
from apps.incidents.service_levels import clocks_for, stops_for
from apps.paging.models import EscalationRun
from apps.policies.models import PolicyVersion
from tests.alerts.saying import trigger
from tests.factories import actor, bearer, incident, integration, novacron, person, receipt

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system()
LEVELS = """sla:
  source: metric
  stops: [resolved, triaged, mitigated]
  metrics: {replication_lag: 7m}

lifecycle:
"""


def measured() -> PolicyVersion:
    return novacron(("lifecycle:\n", LEVELS))


def target_of(found: Incident) -> float:
    run = EscalationRun.objects.filter(subject_key=str(found.pk)).first()
    assert run is not None
    assert run.target_at is not None
    return (run.target_at - found.detected_at).total_seconds()


# --- types --------------------------------------------------------------------------------------------------------


def test_a_commander_says_what_type_it_is_and_takes_it_back() -> None:
    found, ana = incident(), actor(person("commander"))
    for _ in range(2):
        changed = change_type(found.pk, "DATA", "replication lag", actor=ana)
    assert (changed.type, changed.subtype, changed.version) == ("data", "Replication lag", found.version + 1)
    assert change_type(found.pk, "", actor=ana).type == ""
    texts = found.timeline.filter(kind="type").values_list("text", flat=True)
    assert list(texts) == ["Type: Data: Replication lag", "It has no type"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("weather", ""), "Valid in this incident's pack: infrastructure, application, data, security, external."),
        (("data", "Rain"), "Valid: Data corruption, Replication lag, Query timeouts, Storage full."),
        (("", "Rain"), "A sub-type needs its type."),
    ],
)
def test_an_unknown_type_is_refused_with_those_of_the_pack(given: tuple[str, str], said: str) -> None:
    found = incident()
    with pytest.raises(Invalid, match=said[:30]) as refused:
        change_type(found.pk, *given, actor=SYSTEM)
    assert said in refused.value.message
    with pytest.raises(Invalid):
        declare("It rains", "P1", type=given[0], subtype=given[1], actor=SYSTEM)


def test_only_who_may_command_says_type_and_clock() -> None:
    found, ben = incident(), actor(person("responder"))
    with pytest.raises(Forbidden):
        change_type(found.pk, "data", actor=ben)
    with pytest.raises(Forbidden):
        choose_clock_stop(found.pk, "resolved", actor=ben)


@pytest.mark.parametrize("said", [{"type": "Data"}, {"labels": {"incident_type": "data"}}])
def test_an_alert_brings_its_type_and_metric(said: dict[str, Any]) -> None:
    measured()
    receipt(integration(), [trigger(metric="replication_lag", **said)])
    group()
    found = Incident.objects.get()
    assert (found.type, found.metric, target_of(found)) == ("data", "replication_lag", 7 * 60)


def test_a_mapping_finds_type_and_metric() -> None:
    measured()
    mapping = {"title": "what", "dedup_key": "id", "type": "kind", "metric": "series"}
    source = integration(mapping=mapping)
    receipt(source, {"what": "Lag", "id": "1", "kind": "Replication lag", "series": "replication_lag"})
    group()
    found = Incident.objects.get()
    assert (found.type, found.subtype, found.metric) == ("data", "Replication lag", "replication_lag")


def test_a_type_that_the_pack_does_not_know_is_kept_as_a_word() -> None:
    novacron()
    receipt(integration(), [trigger(type="weather"), trigger("other", metric={"name": "x"})])
    group()
    found = Incident.objects.get(alert_groups__alerts__dedup_key="disk-1")
    assert (found.type, "Type, as the source says: weather" in found.summary) == ("", True)
    assert Incident.objects.count() == 2


# --- clocks -------------------------------------------------------------------------------------------------------


def test_the_severitys_limit_holds_where_the_metric_has_none_or_the_pack_says_severity() -> None:
    measured()
    found = incident(severity="P1")
    assert (clocks_for(found).target_seconds, stops_for(found)) == (900, ["resolved", "triaged", "mitigated"])
    found.metric = "replication_lag"
    assert clocks_for(found).target_seconds == 420


def test_a_chosen_milestone_stops_the_clock_at_its_instant() -> None:
    measured()
    found = incident(severity="P1")
    with use_clock(ManualClock(now() + timedelta(minutes=5))):
        mark(found.pk, "triaged", actor=SYSTEM)
        found = choose_clock_stop(found.pk, "triaged", reason="the rest is known", actor=SYSTEM)
    with use_clock(ManualClock(now() + timedelta(hours=1))):
        clock = clocks_of(found, now())[-1]
    assert (clock.name, clock.mode) == ("Met 15 min", "still")
    assert EscalationRun.objects.filter(conditions__has_key="target_met").exists()
    assert "The clock of the target stops at: Triaged (the rest is known)" in found.timeline.get(kind="clock").text
    found = choose_clock_stop(found.pk, "mitigated", actor=SYSTEM)
    assert clocks_of(found, now())[-1].mode == "down"
    assert not EscalationRun.objects.filter(conditions__has_key="target_met").exists()


def test_a_clock_stops_only_where_the_pack_lets_it() -> None:
    measured()
    found = incident()
    with pytest.raises(Invalid, match="Valid: resolved, triaged, mitigated"):
        choose_clock_stop(found.pk, "declared", actor=SYSTEM)
    with pytest.raises(Invalid):
        declare("x", "P1", stop_milestone="declared", actor=SYSTEM)
    assert declare("x", "P1", stop_milestone="mitigated", actor=SYSTEM).stop_milestone == "mitigated"
    resolve(found.pk, actor=SYSTEM)
    with pytest.raises(Conflict):
        choose_clock_stop(found.pk, "triaged", actor=SYSTEM)


def test_another_severity_brings_the_clock_to_its_own_milestone() -> None:
    novacron(("target: 15m}", "target: 15m, stop: mitigated}"))
    found = incident(severity="P1")
    mark(found.pk, "mitigated", actor=SYSTEM)
    change_severity(found.pk, "P0", actor=SYSTEM)
    assert not EscalationRun.objects.filter(conditions__has_key="target_met").exists()
    change_severity(found.pk, "P1", actor=SYSTEM)
    assert EscalationRun.objects.filter(conditions__has_key="target_met").exists()


# --- page and API -------------------------------------------------------------------------------------------------


def test_the_page_offers_types_and_milestones(client: Client) -> None:
    measured()
    found, ana = incident(), person("commander")
    client.force_login(ana)
    url = f"/admin/incidents/incident/{found.pk}/command/"
    for verb, given in (
        ("change-type", {"type": "data|Storage full"}),
        ("choose-clock-stop", {"milestone": "mitigated"}),
    ):
        assert client.post(f"{url}{verb}/", given).status_code == 302
    page = client.get(url).content.decode()
    assert "Data: Storage full" in page
    assert 'value="mitigated" selected' in page
    form = {"title": "Lag", "severity": "P1", "type": "data|Replication lag"}
    assert client.post("/admin/incidents/incident/declare/", form).status_code == 302
    assert Incident.objects.get(title="Lag").subtype == "Replication lag"


def test_the_api_takes_and_tells_them(client: Client) -> None:
    measured()
    found, ana = incident(), person("commander")

    def post(path: str, given: dict[str, str]) -> Any:
        return client.post(f"/api/v1/incidents/{path}", given, content_type="application/json", headers=bearer(ana))

    assert post(f"{found.pk}/type/", {"type": "data"}).json()["type"] == "data"
    assert post(f"{found.pk}/clock-stop/", {"milestone": "triaged"}).json()["stop_milestone"] == "triaged"
    assert post(f"{found.pk}/type/", {"type": "weather"}).status_code == 400
    made = post("", {"title": "Lag", "severity": "P1", "type": "data", "stop_milestone": "mitigated"}).json()
    assert (made["type"], made["stop_milestone"]) == ("data", "mitigated")
    listed = client.get("/api/v1/incidents/?type=data", headers=bearer(ana)).json()["results"]
    assert {row["id"] for row in listed} == {found.pk, made["id"]}
