"""Who may do what: every admin page and every API verb, tried by everybody, as one table.

The table stands in `permission_table.txt`. A change of it is a decision: look at the difference, then write it anew
with `PERMISSION_TABLE=write make test ARGS="-k permission_table"`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.messages import ERROR, get_messages
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.contract.addresses import admin_pages, api_verbs
from tests.contract.remembered import quick_logins
from tests.contract.responding import SECRET
from tests.contract.world import SECRET_TITLE, World, build

pytestmark = pytest.mark.django_db
TABLE = Path(__file__).with_name("permission_table.txt")
PARTS = range(4)  # every fourth address each, for as many processes as there are
WORDS = {401: "log in", 403: "no", 404: "hidden", 405: "-"}


def verdict(client: Client, method: str, url: str, **more: Any) -> str:
    """What became of one request; nothing it did stays."""
    with transaction.atomic():
        client.raise_request_exception = False
        client.cookies.pop("messages", None)  # what an earlier refusal said says nothing of this request
        answer = client.generic(method, url, data=b"{}", content_type="application/json", **more)
        if answer.streaming:
            answer.getvalue()
        transaction.set_rollback(True)  # Django's own signature
    assert answer.status_code < 500, f"{method} {url}: {answer.status_code} {answer.content[:300]!r}"
    if answer.status_code == 302 and "/login/" in answer["Location"]:
        return "log in"
    if method == "POST" and (told := refusal(answer)):
        return told
    if answer.status_code == 302 and answer["Location"] == reverse("admin:index"):
        return "hidden"  # how Django's change page says that there is no such row
    return WORDS.get(answer.status_code, "yes")


def refusal(answer: Any) -> str:
    """What a button of the admin says when it leads back to the page: its operation tells by a message."""
    for message in get_messages(answer.wsgi_request) if hasattr(answer, "wsgi_request") else ():
        if message.level >= ERROR and " may not " in str(message):
            return "no"
        if message.level >= ERROR and "There is no such" in str(message):
            return "hidden"
    return ""


def wrong_scope(world: World, path: str) -> dict[str, str]:
    area = "oncall" if path.startswith("/api/v1/polic") else "policies"
    return {"HTTP_AUTHORIZATION": factories.bearer(world.commander, f"{area}:read")["Authorization"]}  # type: ignore[arg-type]  # set by build


def head(world: World) -> str:
    return f"{'what':<76}" + "".join(f"{column:>12}" for column in (*world.visitors, "wrong scope"))


def line(world: World, method: str, shown: str, url: str) -> str:
    """One row of the table: what became of this request for everybody."""
    cells = [verdict(client, method, url) for client in world.visitors.values()]
    cells.append(verdict(Client(), method, url, **wrong_scope(world, url)) if url.startswith("/api/") else "-")
    return f"{method + ' ' + shown:<76}" + "".join(f"{cell:>12}" for cell in cells)


def everything(world: World) -> list[tuple[str, str, str]]:
    return [*admin_pages(world), *api_verbs(world)]


def write(world: World) -> None:
    lines = [head(world), *(line(world, *address) for address in everything(world))]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def text_of(answer: Any) -> str:
    """The whole text of an answer, of a stream too."""
    content: bytes = answer.getvalue() if answer.streaming else answer.content
    return content.decode()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
def test_a_private_incident_is_found_at_no_edge_by_another_team(part: int, settings: Any) -> None:
    """Its title and its number stand in no page, list, search, history or answer that the other team can open."""
    quick_logins(settings)
    world = build()
    client = world.visitors["other team"]
    member = world.visitors["manager"]
    seen_by_member = 0
    reading = [(shown, url) for method, shown, url in everything(world) if method == "GET"]
    for shown, url in reading[part :: len(PARTS)]:
        is_list = shown.endswith("_changelist") or ("/api/" in shown and "{" not in shown)
        searched = f"{url}?{'search' if '/api/' in url else 'q'}=Zanzibar"
        for address in (url, searched) if is_list else (url,):
            text = text_of(client.get(address))
            found = text.replace("q=Zanzibar", "").replace('value="Zanzibar"', "")
            assert SECRET_TITLE not in text, f"{shown}: {address}"
            assert world.private_incident.number not in found, f"{shown}: {address}"
        text = text_of(member.get(url))
        assert SECRET not in text, f"{shown}: a secret stands there"
        seen_by_member += SECRET_TITLE in text
    assert seen_by_member >= 5  # so the test would see it, in each part


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
def test_the_permission_table_is_what_was_decided(part: int, settings: Any) -> None:
    """Each part looks at the names of all rows, so that none is missing or too many, and at the cells of its own."""
    # Who may open a page does not depend on what then stands there, and that takes most of the time. Every page is
    # written out for two of them above.
    quiet = {"BACKEND": "tests.contract.unrendered.UnrenderedTemplates", "NAME": "django"}
    settings.TEMPLATES = [engine | quiet for engine in settings.TEMPLATES]
    settings.UNFOLD = settings.UNFOLD | {"SIDEBAR": {"navigation": [{"title": "None", "items": []}]}}
    quick_logins(settings)
    world = build()
    if os.environ.get("PERMISSION_TABLE") == "write" and part == 0:
        write(world)
    decided = TABLE.read_text(encoding="utf-8").splitlines()
    addresses = everything(world)
    assert [f"{method} {shown}" for method, shown, _ in addresses] == [row[:76].rstrip() for row in decided[1:]]
    assert head(world) == decided[0]
    found = [line(world, *address) for address in addresses[part :: len(PARTS)]]
    assert found == decided[1:][part :: len(PARTS)]


def test_no_api_verb_is_open_to_the_anonymous_or_to_a_token_of_another_scope() -> None:
    rows = TABLE.read_text(encoding="utf-8").splitlines()[1:]
    api = [row for row in rows if "/api/v1/" in row]
    assert len(api) > 80
    for row in api:
        cells = row[76:].split("  ")
        words = [cell.strip() for cell in cells if cell.strip()]
        assert words[0] == "log in", row
        assert words[-1] in {"no", "hidden"} or "/me/" in row, row


def test_the_private_incident_is_hidden_from_the_other_team_in_every_row() -> None:
    rows = [row for row in TABLE.read_text(encoding="utf-8").splitlines() if "(private)" in row]
    assert len(rows) > 20
    for row in rows:
        words = [cell.strip() for cell in row[76:].split("  ") if cell.strip()]
        assert words[7] in {"hidden", "no", "log in", "-"}, row
