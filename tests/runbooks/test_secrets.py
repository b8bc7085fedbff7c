"""A secret's text is found nowhere: no column, no log, no page, no answer, no export."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client

from apps.approvals.models import ApprovalRequest
from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, Forbidden, Invalid, NotFound
from apps.foundation.redaction import MASK
from apps.messaging.models import Message
from apps.runbooks import operations
from apps.runbooks.documents import document_of
from apps.runbooks.models import Secret
from apps.runbooks.planning import make_dry_run
from apps.runbooks.secrets import Vault, mask
from apps.runbooks.steps.preparing import prepare
from tests.factories import actor, bearer, named, person, superuser
from tests.runbooks.rehearsal import begun, run
from tests.runbooks.rehearsal import runbook as rehearsed
from tests.runbooks.writing import PORTAL, Receiver, context, receiver, request, runbook, text_of  # noqa: F401  # a fixture

pytestmark = pytest.mark.django_db

ASKS = "Give {{ secret.TOKEN }} away?"
VALUE = 'hunter2/"ünïque"\\<&>correct+horse'


def forms() -> list[str]:
    """The text in every writing in which it could leak."""
    raw = VALUE.encode()
    return [
        VALUE,
        quote(VALUE, safe=""),
        base64.b64encode(raw).decode(),
        json.dumps(VALUE)[1:-1],
        json.dumps(VALUE, ensure_ascii=False)[1:-1],
        "hunter2",
    ]


def leaks(text: str) -> list[str]:
    return [form for form in forms() if form in text]


@pytest.fixture
def secret() -> Secret:
    return operations.set_secret("TOKEN", VALUE, note="for the shop", actor=PORTAL)


def all_columns() -> str:
    """Every column of every table, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # names of our own tables
            found += [f"{table}: {value!r} {value}" for row in cursor.fetchall() for value in row]
    return "\n".join(found)


def test_every_writing_of_a_secret_is_masked(secret: Secret) -> None:
    raw = VALUE.encode()
    for text in [*forms()[:5], f"a {VALUE} b", *(base64.b64encode(b"x" * n + raw + b"yz").decode() for n in range(3))]:
        assert "hunter2" not in mask(text)
        assert base64.b64encode(raw).decode()[4:-4] not in mask(text)
        assert MASK in mask(text), text
    assert mask({VALUE: [VALUE, {"a": (VALUE,)}], "n": 3, "none": None}) == {
        MASK: [MASK, {"a": [MASK]}],
        "n": 3,
        "none": None,
    }
    assert mask(mask(VALUE)) == mask(VALUE)
    assert Vault().holds({"a": ["x", f"y{VALUE}"]})
    assert not Vault().holds({"a": "harmless"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("hunter2/horse/battery", r"hunter2\/horse\/battery"),
        ("MyHost.Hunter2.Example", "myhost.hunter2.example"),
        ("Hunter2's own secret", "Hunter2&#39;s own secret"),
        ("https://hooks.example.com/services/hunter2/?wait=1", "https://hooks.example.com/services/hunter2/"),
        ("hunter2-and-a-long-tail", "x" * 3984 + "hunter2-and-a-lo"),
        ("47114711", 47114711),
    ],
)
def test_less_usual_writings_of_a_secret_are_masked_as_well(value: str, shown: Any) -> None:
    operations.set_secret("ODD", value, actor=PORTAL)
    masked = json.dumps(mask({"echo": [shown]}))
    assert not {"hunter2", "47114711"} & {word for word in ("hunter2", "47114711") if word in masked.lower()}


def test_a_word_with_which_a_secret_begins_stays_a_word() -> None:
    operations.set_secret("KEY", "production-key-1234", actor=PORTAL)
    assert mask({"environment": "production", "n": 3.5}) == {"environment": "production", "n": 3.5}


def test_a_secret_is_sealed_and_its_history_has_no_value(secret: Secret) -> None:
    assert VALUE not in secret.value_encrypted
    assert Vault().resolve("TOKEN") == VALUE
    assert not hasattr(secret.history.first(), "value_encrypted")


def test_a_request_gets_the_secret_and_nothing_that_is_stored_or_shown_does(
    secret: Secret,
    receiver: Receiver,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    client: Client,
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"you": VALUE, "quoted": quote(VALUE, safe="")}).encode()
    receiver.answers["/echo"] = (200, echo)
    step = request(
        receiver.url + "/echo?t={{ secret.TOKEN }}",
        json={"t": "{{ secret.TOKEN }}"},
        headers={"X-Key": "k {{ secret.NAME_ }}"},
    )
    step["with"]["headers"] = {"X-Auth": "{{ secret.ASCII }}"}
    operations.set_secret("ASCII", "hunter2-in-ascii", actor=PORTAL)
    made, version = runbook(text_of(step, {"kind": "manual", "with": {"instructions": "{{ secret.TOKEN }}"}}))
    lines: list[str] = []
    known = context(lines=lines)
    ready = prepare(document_of(version).steps[0], known)
    outcome = ready.kind.perform(ready.options, known)
    assert json.loads(receiver.asked[0][3]) == {"t": VALUE}
    assert receiver.asked[0][2]["x-auth"] == "hunter2-in-ascii"
    dry = make_dry_run(made.pk, {}, actor=PORTAL)
    stored = mask([outcome.data, outcome.error, ready.kind.intent(ready.options, known), lines])
    assert leaks(json.dumps(stored)) == []
    assert leaks(all_columns()) == []
    assert leaks(caplog.text) == []
    boss = superuser()
    pages = [
        f"/api/v1/dry-runs/{dry.pk}/",
        f"/api/v1/runbooks/{made.pk}/",
        f"/api/v1/runbook-versions/{version.pk}/",
        "/api/v1/secrets/",
    ]
    for path in pages:
        assert leaks(client.get(path, headers=bearer(boss)).content.decode()) == [], path
    client.force_login(boss)
    admin = ["runbooks_runbook", "runbooks_secret"]
    from django.urls import reverse

    paths = [reverse(f"admin:{name}_changelist") for name in admin]
    paths += [
        reverse("admin:runbooks_secret_change", args=[secret.pk]),
        reverse("admin:runbooks_secret_history", args=[secret.pk]),
    ]
    paths += [
        reverse("admin:runbooks_runbook_change", args=[made.pk]),
        reverse("admin:runbooks_runbookversion_change", args=[version.pk]),
    ]
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert leaks(answer.content.decode()) == [], path


def test_a_message_never_carries_a_secret_even_where_the_runbook_names_it(secret: Secret) -> None:
    named("ana")
    told = {"people": ["ana"], "title": "{{ secret.TOKEN }}", "text": "The key is {{ secret.TOKEN }}"}
    _, version = runbook(text_of({"kind": "notify", "with": told}))
    ready = prepare(document_of(version).steps[0], context())
    assert ready.kind.perform(ready.options, context()).state == "succeeded"
    assert Message.objects.filter(body=f"The key is {MASK}").exists()
    assert leaks(all_columns()) == []


def test_a_request_for_approval_never_carries_a_secret(secret: Secret) -> None:
    execution = begun(rehearsed({"kind": "approval", "slug": "ask", "name": "Ask", "with": {"asks": ASKS}}))
    run(execution)
    asked = ApprovalRequest.objects.get()
    assert (asked.title, asked.content["asks"]) == (f"Give {MASK} away?", f"Give {MASK} away?")
    assert leaks(all_columns()) == []


def test_an_error_of_an_option_never_shows_a_secret(secret: Secret) -> None:
    found = text_of({"kind": "wait", "with": {"seconds": "{{ secret.TOKEN }}"}})
    dry = make_dry_run(runbook(found)[0].pk, {}, actor=PORTAL)
    assert dry.problems
    assert leaks(json.dumps(dry.problems, ensure_ascii=False)) == []


def test_a_text_with_a_secret_in_it_is_refused(secret: Secret) -> None:
    with pytest.raises(Invalid) as refused:
        runbook(text_of({"kind": "manual", "with": {"instructions": VALUE}}))
    assert refused.value.code == "secret_in_text"


def test_who_keeps_secrets_may_set_and_delete_them_and_nobody_else() -> None:
    manager, commander = actor(person("manager")), actor(person("commander"))
    made = operations.set_secret("A", "long enough", actor=manager)
    assert operations.set_secret("A", "another one", actor=manager).pk == made.pk
    assert Vault().resolve("A") == "another one"
    for verb in (
        lambda: operations.set_secret("B", "long enough", actor=commander),
        lambda: operations.delete_secret(made.pk, actor=commander),
    ):
        with pytest.raises(Forbidden):
            verb()
    operations.delete_secret(made.pk, actor=manager)
    with pytest.raises(NotFound):
        operations.delete_secret(made.pk, actor=manager)


def test_a_secret_that_an_active_runbook_uses_stays(secret: Secret) -> None:
    made, _ = runbook(text_of({"kind": "manual", "with": {"instructions": "{{ secret.TOKEN }}"}}))
    with pytest.raises(Conflict):
        operations.delete_secret(secret.pk, actor=PORTAL)
    operations.retire(made.pk, reason="old", actor=PORTAL)
    operations.delete_secret(secret.pk, actor=PORTAL)


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "short"), ("A", "x" * 4001), ("A", "with\0nul!"), ("A", " spaces around "), ("a b", "long enough"),
     ("", "long enough"), ("x" * 61, "long enough"), ("A\0", "long enough"), ("A", "\ud800 surrogate")],
)  # fmt: skip
def test_what_is_no_secret_is_refused(name: str, value: str) -> None:
    with pytest.raises(Invalid):
        operations.set_secret(name, value, actor=Actor.system())
    assert not Secret.objects.exists()


def test_a_secret_under_a_lost_key_is_told_as_such(secret: Secret, settings: Any) -> None:
    from apps.runbooks.secrets import _opened

    _opened.cache_clear()
    settings.SECRET_KEY = "another key that is long enough for all of this"
    dry = make_dry_run(
        runbook(text_of({"kind": "manual", "with": {"instructions": "{{ secret.TOKEN }}"}}))[0].pk, {}, actor=PORTAL
    )
    assert "can't be read with this SECRET_KEY" in dry.problems[0]
