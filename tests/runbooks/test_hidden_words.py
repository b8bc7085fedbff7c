"""One word of a private incident stands in everything that responding leaves behind; an outsider reads everything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse

from apps.approvals.operations import approve, request_approval
from apps.engine.operations import deliver
from apps.flags.operations import kill
from apps.foundation.clock import now
from apps.foundation.subjects import Subject
from apps.incidents import operations as incidents
from apps.messaging.models import Message, WebhookEndpoint
from apps.postmortems import operations as reviews
from apps.runbooks.models import Execution
from apps.runbooks.operations.executing import cancel, execute, finish_manual, start
from apps.runbooks.planning import make_dry_run
from incidentportal.api import router
from tests.factories import actor, bearer, named
from tests.runbooks.page_world import MANUAL, World, client, work, world

pytestmark = pytest.mark.django_db
WORD = "xylophone"
NEWEST, VERSIONS = 4, 2  # of each kind of row: what was done last speaks of the private incident
EVERYWHERE = ["viewer", "responder", "commander", "approver", "manager"]


def _respond(at: World) -> None:
    """Everything that can be done about the incident, each with the word in it."""
    ana, approver = actor(at.ana), actor(at.max)
    for _ in range(2):
        dry_run = make_dry_run(at.runbook.pk, {"area": WORD}, incident_id=at.incident.pk, actor=ana)
        execution = start(dry_run.pk, reason=f"{WORD} asked", actor=ana)
        approve(execution.approval_id, reason=f"{WORD} allowed", actor=approver)  # type: ignore[arg-type]  # it has one
        deliver()
        execute(execution.pk, actor=ana)
        work()
        step = Execution.objects.get(pk=execution.pk).steps.get(kind="manual")
        finish_manual(step.pk, done=False, note=f"{WORD} note", actor=ana)
        work()
    waiting = make_dry_run(at.runbook.pk, {"area": WORD}, incident_id=at.incident.pk, actor=ana)
    start(waiting.pk, reason=f"{WORD} asked", actor=ana)
    dropped = make_dry_run(at.runbook.pk, {"area": f"{WORD} 2"}, incident_id=at.incident.pk, actor=ana)
    cancel(start(dropped.pk, reason="no", actor=ana).pk, reason=f"{WORD} cancelled", actor=ana)
    kill(at.flag.pk, reason=f"{WORD} killed", about=Subject("incident", str(at.incident.pk)), actor=ana)
    request_approval(
        Subject("incident", str(at.incident.pk)), {"what": WORD}, title=f"{WORD} title", reason=WORD, actor=ana
    )
    deliver()


def _review(at: World) -> None:
    ana = actor(at.ana)
    incidents.resolve(at.incident.pk, summary=WORD, actor=ana)
    review = reviews.open_review(at.incident.pk, actor=ana)
    for section in review.sections.all():
        reviews.edit_section(section.pk, f"{WORD} text", actor=ana)
    due = now() + timedelta(days=1)
    reviews.add_item(
        review.pk, f"{WORD} item", owner_id=at.ana.pk, priority="P1", due_at=due, description=WORD, actor=ana
    )
    deliver()


def _pages() -> Iterator[str]:
    """Every list, page, history and old version of every row in the admin."""
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"admin:{name}_changelist")
        for pk in list(model._default_manager.order_by("-pk").values_list("pk", flat=True)[:NEWEST]):
            yield reverse(f"admin:{name}_change", args=[pk])
            yield reverse(f"admin:{name}_history", args=[pk])
            history = getattr(model, "history", None)
            for version in list(history.filter(id=pk).values_list("pk", flat=True)[:VERSIONS]) if history else []:
                yield reverse(f"admin:{name}_simple_history", args=[pk, version])


def _resources() -> Iterator[str]:
    """Every list and row of the API, with what can be read of it besides."""
    for _prefix, view, basename in router.registry:
        if view.queryset is None:
            continue
        with suppress(NoReverseMatch):
            yield reverse(f"{basename}-list")
        more = [found.url_name for found in view.get_extra_actions() if "get" in found.mapping]
        for pk in list(view.queryset.model._default_manager.order_by("-pk").values_list("pk", flat=True)[:NEWEST]):
            for name in ["detail", *more]:
                with suppress(NoReverseMatch):
                    yield reverse(f"{basename}-{name}", args=[pk])


@pytest.mark.timeout(400)  # it opens hundreds of pages
def test_an_outsider_with_every_group_finds_the_word_of_a_private_incident_nowhere() -> None:
    at = world(visibility="private", more=MANUAL)
    outsider = named("otto", *EVERYWHERE)
    WebhookEndpoint.objects.create(name="Theirs", url="https://example.com/", secret_encrypted="x", owner=outsider)
    _respond(at)
    _review(at)
    told = [str(message.payload) + message.title for message in Message.objects.filter(endpoint__owner=outsider)]
    assert [text for text in told if WORD in text] == []
    assert told
    assert WORD in client(at.ana).get("/admin/approvals/approvalrequest/").content.decode()
    browser, headers = client(outsider), bearer(outsider)
    browser.raise_request_exception = False
    found = {path: browser.get(path) for path in _pages()}
    found |= {path: Client(raise_request_exception=False).get(path, headers=headers) for path in _resources()}
    for path in (path for path in found if path.startswith("/admin/") and path.count("/") == 4):
        found_by_word = browser.get(path, {"q": WORD})
        assert "cl" not in (found_by_word.context or {}) or found_by_word.context["cl"].result_count == 0, path
    assert {path: answer.status_code for path, answer in found.items() if answer.status_code >= 500} == {}
    assert [path for path, answer in found.items() if WORD in answer.content.decode()] == []
