"""Policies over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.policies.models import PolicyVersion
from apps.policies.queries import active_version
from tests.factories import bearer, novacron, novacron_text, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.policies.urls")]
PACKS, VERSIONS = "/api/v1/policy-packs/", "/api/v1/policy-versions/"
CHANGED = ("target: 5m", "target: 4m")


def post(user: Any, url: str, body: Any, *scopes: str) -> Any:
    return Client().post(url, body, content_type="application/json", headers=bearer(user, *scopes))


def get(user: Any, url: str, *scopes: str) -> Any:
    return Client().get(url, headers=bearer(user, *scopes))


def test_every_group_reads_packs_and_versions() -> None:
    version = novacron()
    viewer = person("viewer")
    pack = get(viewer, PACKS).json()["results"][0]
    assert (pack["slug"], pack["active_version"], pack["active_number"]) == ("novacron-v2", version.pk, 1)
    listed = get(viewer, VERSIONS).json()["results"][0]
    assert (listed["pack"], listed["active"]) == ("novacron-v2", True)
    assert "text" not in listed
    assert get(viewer, f"{VERSIONS}{version.pk}/").json()["text"] == novacron_text()


def test_a_check_stores_nothing_and_tells_places() -> None:
    answer = post(
        person("manager"), f"{PACKS}validate/", {"text": novacron_text(("SRE, after: 5m", "SRE, after: x"))}
    ).json()
    assert answer["valid"] is False
    assert answer["problems"][0]["path"] == "escalation.path[1].after"
    assert not PolicyVersion.objects.exists()


def test_an_import_twice_is_one_version() -> None:
    manager = person("manager")
    body = {"text": novacron_text(), "activate": True, "note": "first"}
    first, again = (post(manager, f"{PACKS}import/", body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["active"] is True


def test_a_wrong_text_is_a_problem_with_its_places() -> None:
    answer = post(person("manager"), f"{PACKS}import/", {"text": "pack: []\n"})
    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert answer.json()["code"] == "invalid_pack"
    assert answer.json()["problems"][-1]["line"] == 1


def test_a_text_that_is_too_long_is_told_so() -> None:
    manager, body = person("manager"), {"text": "a" * 300_000}
    assert "at most 262144" in post(manager, f"{PACKS}validate/", body).json()["problems"][0]["message"]
    assert post(manager, f"{PACKS}import/", body).status_code == 400
    assert post(manager, f"{PACKS}import/", {"text": "a" * 1_200_000}).status_code == 413


def test_activation_over_the_api_needs_the_permission_and_the_scope() -> None:
    novacron()
    manager = person("manager")
    second = post(manager, f"{PACKS}import/", {"text": novacron_text(CHANGED)}).json()
    url = f"{VERSIONS}{second['id']}/activate/"
    assert post(person("commander"), url, {"reason": "x"}).status_code == 403
    assert post(manager, url, {"reason": "x"}, "policies:read").status_code == 403
    assert post(manager, url, {}).status_code == 400
    answer = post(manager, url, {"reason": "agreed"}, "policies:write")
    assert (answer.status_code, answer.json()["active"]) == (200, True)
    assert active_version().pk == second["id"]


def test_a_diff_tells_what_a_version_changes() -> None:
    first, second = novacron(), novacron(CHANGED)
    found = get(person("viewer"), f"{VERSIONS}{second.pk}/diff/?against={first.pk}").json()
    assert found["differences"][0]["path"] == "severities[P0].clocks.target"
    assert get(person("viewer"), f"{VERSIONS}{first.pk}/diff/").json()["against"] == second.pk
    assert get(person("viewer"), f"{VERSIONS}{first.pk}/diff/?against=x").status_code == 400
    assert get(person("viewer"), f"{VERSIONS}{first.pk}/diff/?against=999").status_code == 404


def test_a_text_is_compared_before_it_is_stored() -> None:
    version, manager = novacron(), person("manager")
    found = post(manager, f"{PACKS}diff/", {"text": novacron_text(CHANGED)}).json()
    assert (found["against"], found["differences"][0]["path"]) == (version.pk, "severities[P0].clocks.target")
    assert "+    clocks: {response: 1m, target: 4m}" in found["unified"]
    new = post(manager, f"{PACKS}diff/", {"text": novacron_text(("slug: novacron-v2", "slug: other"))}).json()
    assert (new["against"], new["differences"][0]["change"]) == (None, "added")
    assert post(manager, f"{PACKS}diff/", {"text": "pack: []"}).json()["code"] == "invalid_pack"
    assert post(person("viewer"), f"{PACKS}diff/", {"text": novacron_text()}).status_code == 403
    assert PolicyVersion.objects.count() == 1


def test_a_version_can_be_read_as_tables() -> None:
    tables = get(person("viewer"), f"{VERSIONS}{novacron().pk}/tables/").json()
    assert (tables[0]["section"], tables[0]["title"], tables[0]["rows"][0][0]) == (
        "",
        "At a glance",
        "P0 Complete outage",
    )
    assert {"severities", "escalation", "routing", "review", "types"} <= {table["section"] for table in tables}


def test_an_outdated_text_has_no_tables() -> None:
    pack = novacron().pack
    old = PolicyVersion.objects.create(pack=pack, number=7, text="x", document={"severities": []}, checksum="x")
    answer = get(person("viewer"), f"{VERSIONS}{old.pk}/tables/")
    assert (answer.status_code, answer.json()["code"]) == (409, "outdated_pack")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_no_method_changes_a_version(method: str) -> None:
    version = novacron()
    call = getattr(Client(), method)
    answer = call(f"{VERSIONS}{version.pk}/", {}, content_type="application/json", headers=bearer(person("manager")))
    assert answer.status_code in {403, 405}
