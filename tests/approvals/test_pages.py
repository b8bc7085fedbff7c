"""The list, the page on which a second person looks and decides, and its buttons."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.approvals import registry
from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve
from apps.approvals.queries import subject_of
from apps.foundation.actor import Actor
from apps.foundation.subjects import is_visible
from apps.people.models import User
from tests.approvals.conftest import Question
from tests.factories import actor, named, person

pytestmark = pytest.mark.django_db
LIST = "admin:approvals_approvalrequest_changelist"


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def press(user: User, button: str, request: ApprovalRequest, **given: Any) -> Any:
    url = reverse(f"admin:approvals_approvalrequest_{button}", args=[request.pk])
    return as_(user).post(url, {"_form_submitted": "on", **given})


def page(user: User, request: ApprovalRequest) -> Any:
    return as_(user).get(reverse("admin:approvals_approvalrequest_change", args=[request.pk]))


def state(request: ApprovalRequest) -> str:
    request.refresh_from_db()
    return request.state


def test_the_page_says_what_is_asked_by_whom_until_when_and_why(question: Question) -> None:
    request = question.ask()
    html = page(question.aron, request).content.decode()
    for text in ("Cora waits for your decision", "Roll the economy back", "it rains coins", request.content_hash):
        assert text in html
    assert "Coins rain from the sky" in html
    assert f"{request.expires_at:%Y-%m-%d %H:%M} UTC" in html


def test_each_sees_the_buttons_that_are_theirs(question: Question) -> None:
    request = question.ask()
    url = "approvalrequest_{}".format
    seen = {}
    for user in (question.aron, question.cora, person("viewer")):
        html = page(user, request).content.decode()
        links = {
            name: reverse(f"admin:approvals_{url(name)}", args=[request.pk])
            for name in ("approve", "refuse", "withdraw", "bypass")
        }
        seen[user] = [name for name, link in links.items() if link in html]
    assert list(seen.values()) == [["approve", "refuse"], ["withdraw", "bypass"], []]


def test_the_buttons_call_the_operations(question: Question) -> None:
    first = question.ask({"number": 1})
    assert press(question.aron, "approve", first, reason="fine").status_code == 302
    assert (state(first), first.decision_reason) == ("approved", "fine")
    second = question.ask({"number": 2})
    press(question.aron, "refuse", second, reason="")
    assert state(second) == "pending"
    press(question.aron, "refuse", second, reason="no")
    assert state(second) == "refused"
    third = question.ask({"number": 3})
    press(question.cora, "withdraw", third)
    assert state(third) == "withdrawn"
    fourth = question.ask({"number": 4})
    press(question.cora, "bypass", fourth, reason="it burns")
    assert state(fourth) == "bypassed"


@pytest.mark.parametrize("button", ["approve", "refuse", "withdraw", "bypass"])
def test_who_may_not_is_refused_at_the_button_too(question: Question, button: str) -> None:
    request = question.ask()
    assert press(person("viewer"), button, request, reason="x").status_code == 403
    own = question.cora if button in {"approve", "refuse"} else question.aron
    assert press(own, button, request, reason="x").status_code == 403
    assert state(request) == "pending"


def test_the_list_can_show_what_waits_for_oneself(question: Question) -> None:
    waiting, done = question.ask({"number": 1}, title="First"), None
    approve(waiting.pk, actor=actor(question.aron))
    done = question.ask({"number": 2}, title="Second")
    client = as_(question.aron)
    html = client.get(reverse(LIST), {"waits": "you"}).content.decode()
    assert ("Second" in html, "First" in html) == (True, False)
    assert "Second" in as_(question.cora).get(reverse(LIST), {"waits": "others"}).content.decode()
    assert str(done) not in as_(question.cora).get(reverse(LIST), {"waits": "you"}).content.decode()
    assert "1 waiting" in client.get(reverse("admin:index")).content.decode()


def test_the_list_costs_the_same_for_many(question: Question) -> None:
    question.ask()
    client = as_(question.aron)
    client.get(reverse(LIST))
    with CaptureQueriesContext(connection) as one:
        client.get(reverse(LIST))
    for number in range(8):
        question.ask({"number": number})
    with CaptureQueriesContext(connection) as many:
        client.get(reverse(LIST))
    assert len(many) == len(one)


def test_what_is_about_a_private_incident_is_nowhere(question: Question) -> None:
    request = question.ask()
    question.incident.visibility = "private"
    question.incident.save()
    client = as_(question.aron)
    assert "Roll the economy back" not in client.get(reverse(LIST)).content.decode()
    for name in ("change", "history"):
        answer = client.get(reverse(f"admin:approvals_approvalrequest_{name}", args=[request.pk]))
        assert answer.status_code in {302, 404}
        assert "Roll the economy back" not in answer.content.decode()
    assert press(question.aron, "approve", request).status_code in {403, 404}
    assert not is_visible(subject_of(request), question.aron)
    assert is_visible(subject_of(request), person("auditor"))


def test_the_history_names_who_decided_and_why(question: Question) -> None:
    request = question.ask()
    approve(request.pk, reason="seen the diff", actor=actor(question.aron))
    html = (
        as_(named("max", "manager"))
        .get(reverse("admin:approvals_approvalrequest_history", args=[request.pk]))
        .content.decode()
    )
    assert "seen the diff (Aron)" in html


def test_an_app_shows_the_thing_on_the_page_and_only_once(question: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_displays", {})
    registry.register_display("incident", "alerts/_pairs.html", lambda request, _http: {"title": request.title})
    assert page(question.aron, question.ask()).status_code == 200
    with pytest.raises(RuntimeError, match="twice"):
        registry.register_display("incident", "x.html", lambda request, _http: {})


def test_a_hostile_title_is_text(question: Question) -> None:
    request = question.ask(title="<script>alert(1)</script>", by=Actor.system())
    html = page(question.aron, request).content.decode()
    assert "<script>alert(1)" not in html


def test_the_form_on_the_page_decides_without_scripts(question: Question) -> None:
    request = question.ask()
    html = page(question.aron, request).content.decode()
    form = html[html.index('class="ip-form"') :]
    assert "</form>" not in html[html.index("p-approvals-decide") : html.index('class="ip-form"')]
    assert html.index('class="ip-form"') < html.index('id="approvalrequest_form"'), "no form inside another one"
    assert 'name="_form_submitted" value="on"' in form[: form.index("</form>")]
