"""The pages of policies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.policies.models import PolicyPack, PolicyVersion
from apps.policies.operations import shipped_packs
from apps.policies.queries import active_version
from tests.factories import novacron, novacron_text, pack, person

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.policies.urls")]
PACKS, VERSIONS = "/admin/policies/policypack/", "/admin/policies/policyversion/"
CHANGED = ("target: 5m", "target: 4m")


def signed_in(*groups: str) -> Client:
    client = Client()
    client.force_login(person(*groups))
    return client


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "manager", "approver", "auditor"])
def test_every_group_reads_packs_and_versions(group: str) -> None:
    version = novacron()
    client = signed_in(group)
    pages = [PACKS, VERSIONS, f"{PACKS}{version.pack_id}/change/", f"{VERSIONS}{version.pk}/change/"]
    pages.append(f"{PACKS}{version.pack_id}/history/")
    assert [client.get(page).status_code for page in pages] == [200] * 5


def test_a_version_is_shown_as_tables() -> None:
    page = signed_in("viewer").get(f"{VERSIONS}{novacron().pk}/change/").content.decode()
    tables = ["Severities and clocks", "Escalation path", "Severity of an alert", "Roles", "Lifecycle"]
    cells = ["P0 Complete outage", "vp_engineering", "every 15 min", "Incident Commander"]
    for said in [*tables, *cells, "The playbook puts a condition in brackets"]:
        assert said in page
    assert "Activate version" not in page


def test_one_table_sums_up_each_severity() -> None:
    page = signed_in("viewer").get(f"{VERSIONS}{novacron().pk}/change/").content.decode()
    summary = page.split("At a glance", 1)[1].split("</table>")[0]
    for column in ("Severity", "Respond in", "Target", "Updates", "Review"):
        assert f'<th scope="col">{column}</th>' in summary
    assert summary.count("<tr>") == 6


@pytest.mark.parametrize("path", shipped_packs(), ids=lambda path: path.stem)
def test_every_shipped_pack_can_be_read_on_its_pages(path: Path) -> None:
    novacron()
    version = pack(path.read_text(encoding="utf-8"))
    client = signed_in("viewer")
    page = client.get(f"{VERSIONS}{version.pk}/change/").content.decode()
    assert "At a glance" in page
    assert "How this pack reads its source" in page
    assert client.get(f"{PACKS}{version.pack_id}/change/").status_code == 200


@pytest.mark.parametrize("group", ["viewer", "responder", "commander", "approver", "auditor"])
def test_others_than_managers_edit_and_activate_nothing(group: str) -> None:
    version, client = novacron(), signed_in(group)
    assert client.get(f"{PACKS}import/").status_code == 403
    assert client.get(f"{PACKS}{version.pack_id}/edit/").status_code == 403
    assert client.post(f"{PACKS}import/", {"text": novacron_text(CHANGED), "save": "1"}).status_code == 403
    assert client.post(f"{VERSIONS}{version.pk}/activate/", {"reason": "x"}).status_code == 403
    assert PolicyVersion.objects.count() == 1


def test_nobody_posts_to_a_pack_or_a_version() -> None:
    version, client = novacron(), signed_in("manager")
    for page in (f"{PACKS}{version.pack_id}/change/", f"{VERSIONS}{version.pk}/change/"):
        assert client.post(page, {"name": "x", "text": "x"}).status_code == 405
    assert client.post(f"{VERSIONS}{version.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{PACKS}{version.pack_id}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{VERSIONS}add/").status_code == 403
    assert client.get(f"{VERSIONS}{version.pk}/history/").status_code == 404
    assert client.get(f"{VERSIONS}{version.pk}/activate/").status_code == 405


def posted(client: Client, url: str, **fields: Any) -> Any:
    return client.post(url, {"note": "", "reason": "", **fields})


def test_the_editor_shows_mistakes_with_their_lines_and_stores_nothing() -> None:
    version = novacron()
    text = novacron_text(("SRE, after: 5m", "SRE, after: soon"))
    page = posted(signed_in("manager"), f"{PACKS}{version.pack_id}/edit/", text=text, save="1").content.decode()
    assert "1 problem: nothing was stored" in page
    assert "escalation.path[1].after" in page
    assert "level: 2, name: Senior SRE, after: soon" in page
    line = text[: text.index("after: soon")].count("\n") + 1
    assert f'data-line="{line}" data-column="' in page
    assert all(f'<span class="ip-excerpt__number">{near}</span>' in page for near in range(line - 2, line + 3))
    assert PolicyVersion.objects.count() == 1


def test_a_check_shows_the_diff_and_stores_nothing() -> None:
    version = novacron()
    url = f"{PACKS}{version.pack_id}/edit/"
    page = posted(signed_in("manager"), url, text=novacron_text(CHANGED), check="1").content.decode()
    assert "severities[P0].clocks.target" in page
    assert "Valid; against the active version 1" in page
    assert PolicyVersion.objects.count() == 1


def test_a_manager_stores_a_version_and_activates_it_with_a_reason() -> None:
    version, client = novacron(), signed_in("manager")
    assert novacron_text()[:40] in client.get(f"{PACKS}{version.pack_id}/edit/").content.decode()
    answer = posted(client, f"{PACKS}{version.pack_id}/edit/", text=novacron_text(CHANGED), note="faster", save="1")
    second = PolicyVersion.objects.get(number=2)
    assert answer["Location"] == f"{VERSIONS}{second.pk}/change/"
    assert "severities[P0].clocks.target" in client.get(answer["Location"]).content.decode()
    client.post(f"{VERSIONS}{second.pk}/activate/", {"reason": ""})
    assert active_version().pk == version.pk
    client.post(f"{VERSIONS}{second.pk}/activate/", {"reason": "agreed"})
    assert active_version().pk == second.pk


def test_storing_and_activating_at_once_needs_a_reason() -> None:
    client = signed_in("manager")
    page = posted(client, f"{PACKS}import/", text=novacron_text(), activate="on", save="1").content.decode()
    assert "Say why this version is activated" in page
    assert not PolicyPack.objects.exists()
    posted(client, f"{PACKS}import/", text=novacron_text(), activate="on", reason="first", save="1")
    assert active_version().number == 1


@pytest.mark.parametrize("text", ["", "\x00", "a: [", "\ud7ff", "x" * 300_000, "a: *b"])
def test_no_text_makes_the_editor_fail(text: str) -> None:
    answer = posted(signed_in("manager"), f"{PACKS}import/", text=text, save="1")
    assert answer.status_code == 200
    assert not PolicyPack.objects.exists()


def test_a_stored_text_that_no_longer_fits_is_still_shown() -> None:
    pack = novacron().pack
    old = PolicyVersion.objects.create(
        pack=pack, number=7, text="severities: []", document={"severities": []}, checksum="x"
    )
    page = signed_in("manager").get(f"{VERSIONS}{old.pk}/change/").content.decode()
    assert "no longer fits the rules" in page


@pytest.mark.parametrize("wanted", ["0", "x", "99999999999999999999"])
def test_what_does_not_exist_is_not_found(wanted: str) -> None:
    version, client = novacron(), signed_in("manager")
    assert client.get(f"{PACKS}{version.pack_id}/edit/?from={wanted}").status_code == 404
    assert client.get(f"{VERSIONS}{wanted}/change/").status_code in {302, 404}
