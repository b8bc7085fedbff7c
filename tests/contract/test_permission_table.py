"""Who may do what: every admin page and every API verb, tried by everybody, as one table.

The table stands in `permission_table.txt`. A change of it is a decision: look at the difference, then write it anew
with `PERMISSION_TABLE=write make test ARGS="-k permission_table"`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.test import Client
from django.urls import NoReverseMatch, reverse
from drf_spectacular.generators import SchemaGenerator

from tests import factories
from tests.contract.world import SECRET_TITLE, World, build

pytestmark = pytest.mark.django_db
TABLE = Path(__file__).with_name("permission_table.txt")
OUTSIDE = {"axes"}
WORDS = {401: "log in", 403: "no", 404: "hidden"}


def verdict(client: Client, method: str, url: str, **more: Any) -> str:
    """What became of one request; nothing it did stays."""
    with transaction.atomic():
        client.raise_request_exception = False
        answer = client.generic(method, url, data=b"{}", content_type="application/json", **more)
        if answer.streaming:
            answer.getvalue()
        transaction.set_rollback(True)  # Django's own signature
    assert answer.status_code < 500, f"{method} {url}: {answer.status_code} {answer.content[:300]!r}"
    if answer.status_code == 302 and "/login/" in answer["Location"]:
        return "log in"
    if answer.status_code == 302 and answer["Location"] == reverse("admin:index"):
        return "hidden"  # how Django's change page says that there is no such row
    return WORDS.get(answer.status_code, "yes")


def api_verbs(world: World) -> Iterator[tuple[str, str, str]]:
    """(method, path of the document, path with a row's key), the incident's also for the private one."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    for path, methods in sorted(schema["paths"].items()):
        kind = path.split("/")[3]
        for method in (name for name in methods if name in {"get", "post", "put", "patch", "delete"}):
            if "{" not in path:
                yield method.upper(), path, path
                continue
            key = world.objects.get(kind)
            yield method.upper(), path, re.sub(r"\{\w+\}", str(key or 1), path)
            if kind == "incidents":
                private = str(world.private_incident.pk)
                yield method.upper(), f"{path} (private)", re.sub(r"\{\w+\}", private, path)


def admin_pages(world: World) -> Iterator[tuple[str, str, str]]:
    """List, add, change, delete and history of every model with an admin, and the pages of our own."""
    yield "GET", "admin: home", reverse("admin:index")
    for model, model_admin in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        meta = model._meta
        if meta.app_label in OUTSIDE:
            continue
        row = row_of(model, world)
        for pattern in model_admin.get_urls():
            name = pattern.name
            if not name or not name.startswith(f"{meta.app_label}_"):
                continue
            for marked, target in targets(model, row, world):
                try:
                    url = reverse(f"admin:{name}", args=target)
                except NoReverseMatch:
                    continue
                yield "GET", f"admin: {name}{marked}", url


def targets(model: type[Model], row: Any, world: World) -> list[tuple[str, list[Any]]]:
    """The arguments to try a page with: none, a row, and of incidents also the private one."""
    found: list[tuple[str, list[Any]]] = [("", []), ("", [row])]
    if model._meta.label == "incidents.Incident":
        found.append((" (private)", [world.private_incident.pk]))
    return found


def row_of(model: type[Model], world: World) -> Any:
    if model._meta.label == "incidents.Incident":
        return world.open_incident.pk
    first = model._default_manager.order_by("pk").first()
    return first.pk if first else 1


def wrong_scope(world: World, path: str) -> dict[str, str]:
    area = "oncall" if path.startswith("/api/v1/polic") else "policies"
    return {"HTTP_AUTHORIZATION": factories.bearer(world.commander, f"{area}:read")["Authorization"]}  # type: ignore[arg-type]  # set by build


def table(world: World) -> str:
    columns = [*world.visitors, "wrong scope"]
    lines = [f"{'what':<76}" + "".join(f"{column:>12}" for column in columns)]
    for method, shown, url in [*admin_pages(world), *api_verbs(world)]:
        cells = [verdict(client, method, url) for client in world.visitors.values()]
        cells.append(verdict(Client(), method, url, **wrong_scope(world, url)) if url.startswith("/api/") else "-")
        lines.append(f"{method + ' ' + shown:<76}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines) + "\n"


def test_a_private_incident_is_found_at_no_edge_by_another_team() -> None:
    """Its title and its number stand in no page, list, search, history or answer that the other team can open."""
    world = build()
    client = world.visitors["other team"]
    member = world.visitors["responder"]
    seen_by_member = 0
    for method, shown, url in [*admin_pages(world), *api_verbs(world)]:
        if method != "GET":
            continue
        for address in (url, f"{url}?q=Zanzibar", f"{url}?search=Zanzibar"):
            answer = client.get(address)
            text = answer.getvalue().decode() if answer.streaming else answer.content.decode()
            found = text.replace("q=Zanzibar", "").replace('value="Zanzibar"', "")
            assert SECRET_TITLE not in text, f"{shown}: {address}"
            assert world.private_incident.number not in found, f"{shown}: {address}"
        seen_by_member += SECRET_TITLE in member.get(url).content.decode()
    assert seen_by_member > 8  # so the test would see it


@pytest.mark.timeout(400)
def test_the_permission_table_is_what_was_decided() -> None:
    found = table(build())
    if os.environ.get("PERMISSION_TABLE") == "write":
        TABLE.write_text(found, encoding="utf-8")
    assert found.splitlines() == TABLE.read_text(encoding="utf-8").splitlines()


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
        assert words[7] in {"hidden", "no", "log in"}, row
