"""Every kind of step is given a secret, does well or badly with it, and everything that is left behind is read."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from structlog.stdlib import ProcessorFormatter

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.engine.operations import deliver
from apps.foundation.errors import Invalid
from apps.incidents import operations as incidents
from apps.postmortems import operations as reviews
from apps.runbooks import operations, steps
from apps.runbooks.models import Execution
from apps.runbooks.operations.executing import cancel, finish_manual, settle, start
from apps.runbooks.planning import make_dry_run
from apps.runbooks.steps.base import Outcome, Preview, StepContext
from apps.runbooks.steps.shipped import SHIPPED
from apps.state.models import ConfigVersion
from incidentportal.env import logging_config
from tests.factories import actor, bearer, incident, named, person, superuser
from tests.runbooks.rehearsal import Rehearsed, RehearsedOptions, begun, commander, log_of, run
from tests.runbooks.rehearsal import runbook as rehearsed
from tests.runbooks.test_hidden_words import _pages, _resources
from tests.runbooks.test_secrets import VALUE, all_columns, leaks
from tests.runbooks.writing import PORTAL, Receiver, receiver  # noqa: F401  # a fixture
from tests.state.making import held_here

pytestmark = pytest.mark.django_db
WORD = "hunter2"
SLUG = "hunter2-and-horse"
TOKEN, NAME, KEY = "{{ secret.TOKEN }}", "{{ secret.SLUG }}", "{{ secret.KEY }}"
# What depends on an earlier outcome is not looked at beforehand: the step itself meets the name of nothing.
LATER = "{{ steps.who.json.none }}" + NAME


class Bursting(Rehearsed):
    """A kind of a site's own, whose library raises with the address and the header in its message."""

    name = "bursting"

    def preview(self, options: RehearsedOptions, context: StepContext) -> Preview:
        raise RuntimeError(
            f"GET https://shop.example.com/?key={options.name} with Authorization: Bearer {options.name}"
        )

    def perform(self, options: RehearsedOptions, context: StepContext) -> Outcome:
        raise ConnectionError({"url": f"https://shop.example.com/{options.name}", "headers": [options.name]})


class BurstingAtWork(Bursting):
    name = "bursting_at_work"

    def preview(self, options: RehearsedOptions, context: StepContext) -> Preview:
        return Preview(text=f"Would do {options.name}.")


for made in (Bursting(), BurstingAtWork()):
    steps.register(made)


@pytest.fixture
def secrets() -> None:
    for name, value in (("TOKEN", VALUE), ("SLUG", SLUG), ("KEY", f"{WORD}-in-ascii")):
        operations.set_secret(name, value, actor=PORTAL)


@pytest.fixture(params=["text", "json"])
def logged(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """All that the process writes to its log, down to the last library's DEBUG."""
    line = dict(logging_config("DEBUG", request.param)["formatters"]["line"])
    line.pop("()")
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(ProcessorFormatter(**line))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def step(kind: str, slug: str = "", **options: Any) -> dict[str, Any]:
    return {
        "slug": slug or kind.replace("_", "-"),
        "name": kind,
        "kind": kind,
        "with": options,
        "on_failure": "continue",
    }


def answers(at: Receiver) -> None:
    """Whatever is asked, the answer says the secret again."""
    echo = json.dumps({"none": "", "you": VALUE, "state": "active", "name": VALUE, "message": SLUG}).encode()
    at.answers = {"/echo": (200, echo), "/who": (200, echo), "/game/events/e1": (200, echo), "/bad": (500, echo)}
    paused = json.dumps({"state": "paused", "said": VALUE}).encode()
    at.answers |= {
        "/game/events/e1/pause": (200, paused),
        "/game/events/e2": (200, paused),
        "/api/v1/query": (400, echo),
    }
    at.answers |= {"/metrics": (200, f'# {VALUE}\nqueue{{who="{SLUG}"}} 7\n'.encode()), "/v2/enqueue": (403, echo)}


def all_steps(at: Receiver, below: str) -> list[dict[str, Any]]:
    headers, url = {"X-Auth": KEY}, at.url
    other, brief = {"json": {"you": f"-{TOKEN}"}}, {"timeout": 1}
    asks = {"headers": headers, "comparison": "<", "threshold": 1, "every": "1s"}
    return [
        step("http_request", "who", url=f"{url}/who?t={TOKEN}", headers=headers),
        step("http_request", "bad", method="POST", url=f"{url}/bad?t={TOKEN}", json={TOKEN: [TOKEN]}, headers=headers),
        step("http_request", "closed", url=f"http://127.0.0.1:1/{TOKEN}", headers=headers),
        step("http_request", "text", method="POST", url=f"{url}/echo", body=TOKEN, expect={"text": f"not {TOKEN}"}),
        step("webhook", url=f"{url}/bad", data={"t": TOKEN}, secret=TOKEN),
        step("health_check", url=f"{url}/echo?t={TOKEN}", headers=headers, attempts=1, expect=other),
        {**step("metric_check", "page", url=f"{url}/metrics", metric="queue", labels={"who": NAME}, **asks), **brief},
        {**step("metric_check", "query", prometheus=f"{url}", query=f"queue{{who='{TOKEN}'}}", **asks), **brief},
        step("wait_until", url=f"{url}/echo?t={TOKEN}", headers=headers, expect={"text": NAME}),
        step("event_pause", url=f"{url}/game", event="e1", message=f"So {TOKEN}.", headers=headers),
        step("event_resume", url=f"{url}/game", event="e2", message=f"So {TOKEN}.", headers=headers),
        step("pagerduty_resolve", routing_key=TOKEN, dedup_key=NAME, url=url),
        step("notify", people=["ana"], title=TOKEN, text=f"{TOKEN} {NAME}"),
        step("flag_change", flag=LATER, environment=LATER, do="kill"),
        step("config_apply", document=LATER, set={"a": 1}),
        step("config_restore", document=LATER),
        step("snapshot_take", source=LATER),
        step("snapshot_restore", source=LATER, ids=[TOKEN]),
        step("sub_runbook", runbook=below),
        step("bursting_at_work", name=TOKEN),
        {**step("manual", "skipped", instructions="-"), "when": [{"value": TOKEN, "is": "==", "than": NAME}]},
        {
            **step("http_request", "probed", method="POST", url=f"{url}/hangs?t={TOKEN}"),
            "timeout": 1,
            "probe": {"kind": "http_request", "with": {"url": f"{url}/bad?t={TOKEN}", "headers": headers}},
        },
    ]  # fmt: skip


def hopeless_steps(document: str) -> list[dict[str, Any]]:
    """Steps of which the dry run finds already that they can't be done."""
    return [
        step("experiment_kill", experiment=TOKEN, variant=NAME),
        step("flag_change", flag=NAME, environment=NAME, do="serve", serve=TOKEN),
        step("config_apply", document=document, set={"economy": {"key": TOKEN}}),
        step("config_apply", "whole", document=document, content={"economy": [NAME]}),
        step("config_apply", "noted", document=document, set={"economy": 1}, note=f"as {NAME}"),
        step("config_restore", document=NAME),
        step("snapshot_take", source=NAME),
        step("snapshot_restore", source=NAME, ids=[TOKEN]),
        step("wait", seconds=TOKEN),
        step("approval", asks="?", team=NAME),
        step("bursting", name=TOKEN),
        {**step("manual", "undone", instructions="-"), "compensate": {"kind": "bursting", "with": {"name": NAME}}},
    ]


def test_every_shipped_kind_is_among_them(receiver: Receiver) -> None:  # noqa: F811
    written = {each["kind"] for each in [*all_steps(receiver, "below"), *hopeless_steps("economy")]}
    assert {kind.name for kind in SHIPPED} <= written


def test_what_a_dry_run_finds_wrong_is_told_without_the_secret(secrets: None, logged: io.StringIO) -> None:
    document = held_here()
    dry = make_dry_run(rehearsed(*hopeless_steps(document.slug)).pk, {}, actor=PORTAL)
    told = "\n".join(dry.problems)
    for step_ in dry.steps:
        assert step_["problems"], step_["slug"]
    assert told.count("it holds the text of a secret, and others read what is written") == 3
    assert "RuntimeError: GET https://shop.example.com/?key=•••" in told
    assert leaks_of(all_columns()) == []
    assert leaks_of(logged.getvalue()) == []
    assert "Looking at step bursting raised." in logged.getvalue()


def test_no_configuration_is_written_with_a_secret_that_was_set_after_the_dry_run(secrets: None) -> None:
    document = held_here()
    asked = step("config_apply", document=document.slug, set={"economy": {"key": "horse-of-later"}})
    execution = begun(rehearsed({**asked, "on_failure": "abort"}))
    operations.set_secret("LATER", "horse-of-later", actor=PORTAL)
    assert run(execution).state == "failed"
    assert ConfigVersion.objects.filter(document=document).count() == 1


@pytest.mark.parametrize("verb", ["start", "cancel"])
def test_a_reason_that_holds_a_secret_is_refused(secrets: None, verb: str) -> None:
    who = actor(commander())
    dry_run = make_dry_run(rehearsed(step("manual", instructions="-")).pk, {}, actor=who)
    pk = start(dry_run.pk, actor=who).pk if verb == "cancel" else dry_run.pk
    with pytest.raises(Invalid, match="text of a secret") as refused:
        (cancel if verb == "cancel" else start)(pk, reason=f"because {VALUE}", actor=who)
    assert refused.value.code == "secret_in_text"


@pytest.mark.timeout(400)  # it opens hundreds of pages
@pytest.mark.parametrize("logged", ["text"], indirect=True)
def test_after_every_kind_has_had_a_secret_it_is_found_nowhere(
    secrets: None,
    receiver: Receiver,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    logged: io.StringIO,
    settings: Any,
) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    named("ana")
    answers(receiver)
    receiver.slow["/hangs"] = 3
    below = rehearsed(step("http_request", url=f"{receiver.url}/bad?t={TOKEN}", headers={"X-Auth": KEY}))
    about = incident()
    book = rehearsed(
        *all_steps(receiver, below.slug),
        step("approval", asks=f"Give {TOKEN} away?"),
        step("manual", instructions=f"Tell {TOKEN}."),
    )
    execution = run(begun(book, incident_id=about.pk))
    for _ in range(3):  # the sub-runbook, the lost one, the approval
        for child in Execution.objects.exclude(pk=execution.pk):
            run(child)
        for asked in ApprovalRequest.objects.filter(state="pending"):
            approve(asked.pk, reason="Fine.", actor=actor(person("approver")))
        for unknown in execution.steps.filter(state="unknown"):
            settle(unknown.pk, happened=True, reason="It has.", actor=actor(commander()))
        deliver()
        Execution.objects.filter(pk=execution.pk, due_at__isnull=False).update(due_at=execution.requested_at)
        execution = run(execution)
    manual = execution.steps.get(slug="manual")
    with pytest.raises(Invalid, match="text of a secret"):
        finish_manual(manual.pk, done=True, note=f"I typed {VALUE}", actor=actor(commander()))
    finish_manual(manual.pk, done=False, note="No.", actor=actor(commander()))
    execution = run(execution)
    _review(about.pk)
    assert {row.state for row in execution.steps.all()} == {"succeeded", "failed", "skipped"}
    assert log_of(execution).count("•••") > 10  # it was there to be found
    assert leaks_of(all_columns()) == []
    assert leaks_of(logged.getvalue()) == []
    _nowhere_on_pages()


def leaks_of(text: str) -> list[str]:
    """The lines that hold it."""
    return [line[:300] for line in text.splitlines() if WORD in line or leaks(line)]


def _review(incident_id: int) -> None:
    """What is exported later on."""
    incidents.resolve(incident_id, summary="Over.", actor=PORTAL)
    reviews.open_review(incident_id, actor=PORTAL)
    deliver()


def _nowhere_on_pages() -> None:
    """Every page of the admin and every answer of the API, with histories, the log and what is exported."""
    boss = superuser()
    browser, headers = Client(raise_request_exception=False), bearer(boss)
    browser.force_login(boss)
    read = {path: browser.get(path) for path in _pages()}
    read |= {path: browser.get(path, headers={"HX-Request": "true"}) for path in _live()}
    read |= {path: Client(raise_request_exception=False).get(path, headers=headers) for path in _resources()}
    texts = {
        path: b"".join(answer).decode() if answer.streaming else answer.content.decode()
        for path, answer in read.items()
    }
    assert {path for path, answer in read.items() if answer.status_code >= 500} == set()
    assert {path: leaks_of(text) for path, text in texts.items() if leaks_of(text)} == {}


def _live() -> list[str]:
    """What an open page of an execution fetches while it watches."""
    return [
        reverse("admin:runbooks_execution_live", args=[pk]) for pk in Execution.objects.values_list("pk", flat=True)
    ]
