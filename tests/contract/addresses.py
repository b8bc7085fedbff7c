"""Every address of the portal with the keys of the world's rows in it: admin pages and buttons, API verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator

from apps.incidents.admin.actions import VERBS
from apps.postmortems.admin.actions import ITEM_VERBS, REVIEW_VERBS
from tests.contract.world import World

OUTSIDE = {"axes"}
# Django's own: a GET tells enough of them.
DJANGO_PAGES = ("_changelist", "_add", "_change", "_delete", "_history", "_autocomplete")
# Their only rows belong to the private incident, or to the one before it.
OF_THE_PRIVATE = {"DryRun", "Execution", "ApprovalRequest", "Review", "ActionItem"}
API_OF_THE_PRIVATE = {"dry-runs", "executions", "approvals", "reviews", "review-sections", "action-items"}
PRIVATE = " (private)"


@cache
def documented() -> list[tuple[str, list[str]]]:
    """Every path of the API with its methods; the same for every world."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [(path, list(methods)) for path, methods in sorted(schema["paths"].items())]


def api_verbs(world: World) -> Iterator[tuple[str, str, str]]:
    """(method, path of the document, path with a row's key), the incident's also for the private one."""
    for path, methods in documented():
        kind = path.split("/")[3]
        marked = f"{path}{PRIVATE}" if kind in API_OF_THE_PRIVATE else path
        for method in (name for name in methods if name in {"get", "post", "put", "patch", "delete"}):
            if "{" not in path:
                yield method.upper(), path, path
                continue
            key = world.objects.get(kind)
            yield method.upper(), marked, re.sub(r"\{\w+\}", str(key or 1), path.replace("{urgency}", "high"))
            if kind == "incidents":
                private = str(world.private_incident.pk)
                yield method.upper(), f"{path}{PRIVATE}", re.sub(r"\{\w+\}", private, path)


def admin_pages(world: World) -> Iterator[tuple[str, str, str]]:
    """List, add, change, delete and history of every model with an admin; the pages of our own, buttons pressed too."""
    yield "GET", "admin: home", reverse("admin:index")
    for model, model_admin in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        if model._meta.app_label in OUTSIDE:
            continue
        for pattern in model_admin.get_urls():
            name, names = pattern.name, list(getattr(pattern.pattern, "converters", ()))
            if not name or not name.startswith(f"{model._meta.app_label}_") or name.endswith("_simple_history"):
                continue
            for marked, keys in arguments(model, names, world):
                url = reverse(f"admin:{name}", args=keys)
                yield "GET", f"admin: {name}{marked}", url
                if not name.endswith(DJANGO_PAGES):
                    yield "POST", f"admin: {name}{marked}", url


def arguments(model: type[Model], names: Sequence[str], world: World) -> list[tuple[str, tuple[Any, ...]]]:
    """What to put into an address: the row, of incidents also the private one, and each verb of a button."""
    choices = [choices_for(model, name, world) for name in names]
    found = []
    for chosen in product(*choices):
        marks = [mark for mark, _ in chosen]
        marked = "".join(mark for mark in marks if mark != PRIVATE) + (PRIVATE if PRIVATE in marks else "")
        found.append((marked, tuple(key for _, key in chosen)))
    return found


def choices_for(model: type[Model], name: str, world: World) -> list[tuple[str, Any]]:
    of_incident = [("", world.open_incident.pk), (PRIVATE, world.private_incident.pk)]
    if name == "incident_id":
        return of_incident
    if name == "verb":
        return [(f" {verb}", verb) for verb in verbs_of(model)]
    if name in {"mitigation_id", "flag_id", "section_id", "step_id"}:
        return [("", world.objects[name])]
    if model._meta.label == "incidents.Incident":
        return of_incident
    first = model._default_manager.order_by("pk").first()
    private = model.__name__ in OF_THE_PRIVATE
    return [(PRIVATE if private else "", first.pk if first else 1)]


def verbs_of(model: type[Model]) -> Sequence[str]:
    return {"Review": list(REVIEW_VERBS), "ActionItem": list(ITEM_VERBS)}.get(model.__name__, list(VERBS))
