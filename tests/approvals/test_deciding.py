"""Who may say yes to what, and for how long it holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.approvals.models import ApprovalRequest
from apps.approvals.operations import approve, bypass, refuse, request_approval, void_for, withdraw
from apps.approvals.queries import content_hash, require_approved, visible_requests, waiting_for
from apps.catalog.models import Membership
from apps.engine.models import Event, Timer
from apps.engine.sweep import fire_timers
from apps.foundation.actor import Actor
from apps.foundation.clock import ManualClock, use_clock
from apps.foundation.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from apps.messaging.models import Message
from apps.people.models import User
from apps.people.operations import create_service_account
from tests.approvals.conftest import CONTENT, Question
from tests.factories import actor, named, person, team

_State = ApprovalRequest.State


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(DomainError) as caught:
        work()
    return caught.value.code


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


def kinds() -> list[str]:
    return list(Event.objects.filter(kind__startswith="approvals.").order_by("pk").values_list("kind", flat=True))


def told(user: User) -> list[str]:
    return list(Message.objects.filter(recipient=user, channel="inbox").order_by("pk").values_list("title", flat=True))


def test_a_second_person_approves_and_it_holds_for_exactly_this_content(question: Question) -> None:
    request = question.ask()
    approved = approve(request.pk, reason="seen the diff", actor=actor(question.aron))
    assert (approved.state, approved.decided_by, approved.decision_reason) == (
        "approved",
        question.aron,
        "seen the diff",
    )
    require_approved(approved, content_hash(CONTENT))
    assert code_of(lambda: require_approved(approved, content_hash({}))) == "approval_changed"
    assert kinds() == ["approvals.requested", "approvals.approved"]
    row = approved.history.first()
    assert (row.history_user, row.history_change_reason) == (question.aron, "seen the diff (Aron)")


def test_those_who_may_decide_are_asked_and_whoever_asked_is_told(question: Question) -> None:
    request = question.ask()
    [letter] = Message.objects.filter(recipient=question.aron, channel="email")
    assert "Roll the economy back" in letter.title
    assert f"/admin/approvals/approvalrequest/{request.pk}/change/" in letter.body
    assert (told(question.aron), told(question.cora)) == (["Approval wanted: Roll the economy back"], [])
    refuse(request.pk, reason="not now", actor=actor(question.aron))
    assert told(question.cora) == ["Refused: Roll the economy back"]
    assert "not now" in Message.objects.get(recipient=question.cora, channel="email").body


def test_nobody_approves_their_own_request(question: Question) -> None:
    both = named("both", "commander", "approver")
    request = question.ask(by=both)
    for verb in (approve, refuse):
        assert code_of(lambda verb=verb: verb(request.pk, reason="me", actor=actor(both))) == "own_approval"
    assert request not in waiting_for(both)
    assert fresh(request).state == _State.PENDING


def test_a_service_account_and_its_owner_count_as_one_person(question: Question) -> None:
    owner = named("owner", "commander", "approver")
    robots = [named(name, "approver", kind=User.Kind.SERVICE, owner=owner) for name in ("robot", "other")]
    by_owner = question.ask(by=owner)
    for robot in robots:
        assert code_of(lambda robot=robot: approve(by_owner.pk, actor=actor(robot))) == "own_approval"
        assert not waiting_for(robot).exists()
    withdraw(by_owner.pk, actor=actor(owner))
    by_robot = question.ask(by=robots[0])
    for user in (owner, robots[1], robots[0]):
        assert code_of(lambda user=user: approve(by_robot.pk, actor=actor(user))) == "own_approval"
    assert approve(by_robot.pk, actor=actor(question.aron)).state == _State.APPROVED


def test_the_database_refuses_an_own_approval_whatever_the_code_does(question: Question) -> None:
    request = question.ask()
    request.state, request.decided_by, request.decided_at = _State.APPROVED, question.cora, request.requested_at
    with pytest.raises(IntegrityError, match="approval_is_never_ones_own"), transaction.atomic():
        request.save()


@pytest.mark.parametrize("groups", [("viewer",), ("responder",), ("commander",), ("auditor",)])
def test_others_may_not_decide(question: Question, groups: tuple[str, ...]) -> None:
    request, other = question.ask(), person(*groups)
    with pytest.raises(Forbidden, match=r"decide_approvalrequest"):
        approve(request.pk, actor=actor(other))
    assert not waiting_for(other).exists()


def test_the_portal_itself_never_decides(question: Question) -> None:
    request = question.ask()
    for verb in (approve, bypass):
        with pytest.raises(Forbidden):
            verb(request.pk, reason="x", actor=Actor.system())


def test_the_lead_of_the_team_decides_for_it_and_other_leads_do_not(question: Question) -> None:
    lead, other, mine = named("lead", "responder"), named("other", "responder"), team("Economy")
    Membership.objects.create(team=mine, user=lead, role=Membership.Role.LEAD)
    Membership.objects.create(team=team("Combat"), user=other, role=Membership.Role.LEAD)
    request = question.ask(team_id=mine.pk)
    assert (list(waiting_for(lead)), list(waiting_for(other))) == ([request], [])
    assert told(lead) == ["Approval wanted: Roll the economy back"]
    with pytest.raises(Forbidden, match="lead Economy"):
        approve(request.pk, actor=actor(other))
    assert approve(request.pk, actor=actor(lead)).state == _State.APPROVED


def test_what_is_about_a_private_incident_is_invisible_and_can_not_be_decided(question: Question) -> None:
    question.incident.visibility = "private"
    question.incident.save()
    request = question.ask(by=Actor.system())
    assert (list(visible_requests(question.aron)), list(waiting_for(question.aron))) == ([], [])
    assert told(question.aron) == []
    for verb in (approve, refuse, bypass, withdraw):
        with pytest.raises(NotFound):
            verb(request.pk, reason="x", actor=actor(question.aron))


def test_the_same_question_again_is_the_same_request_and_another_one_voids_it(question: Question) -> None:
    first = question.ask()
    assert question.ask() == first
    second = question.ask({**CONTENT, "parameters": {"document": "other"}})
    assert (fresh(first).state, second.state) == (_State.VOID, _State.PENDING)
    assert code_of(lambda: approve(first.pk, actor=actor(question.aron))) == "already_decided"
    assert kinds() == ["approvals.requested", "approvals.voided", "approvals.requested"]


def test_edited_content_voids_what_was_approved(question: Question) -> None:
    request = approve(question.ask().pk, actor=actor(question.aron))
    assert question.ask() == request, "what holds need not be asked again"
    assert void_for(question.subject, reason="the plan changed", actor=actor(question.cora)) == 1
    assert void_for(question.subject, reason="again", actor=actor(question.cora)) == 0
    assert code_of(lambda: require_approved(fresh(request), request.content_hash)) == "approval_void"


def test_a_repeat_changes_nothing_and_a_second_decision_is_a_conflict(question: Question) -> None:
    request, other = question.ask(), named("other", "approver")
    approve(request.pk, actor=actor(question.aron))
    assert approve(request.pk, actor=actor(question.aron)).run == 2
    assert kinds().count("approvals.approved") == 1
    assert code_of(lambda: refuse(request.pk, reason="no", actor=actor(other))) == "already_decided"
    assert code_of(lambda: withdraw(request.pk, actor=actor(question.cora))) == "already_decided"


def test_only_whoever_asked_withdraws(question: Question) -> None:
    request = question.ask()
    with pytest.raises(Forbidden):
        withdraw(request.pk, actor=actor(question.aron))
    assert withdraw(request.pk, reason="found another way", actor=actor(question.cora)).state == _State.WITHDRAWN
    assert withdraw(request.pk, actor=actor(question.cora)).run == 2
    assert code_of(lambda: require_approved(fresh(request), request.content_hash)) == "approval_withdrawn"


def test_a_bypass_needs_its_permission_and_a_reason_and_everybody_hears(question: Question) -> None:
    request, boss = question.ask(), named("boss", "manager")
    with pytest.raises(Forbidden):
        bypass(request.pk, reason="now", actor=actor(question.aron))
    with pytest.raises(Invalid):
        bypass(request.pk, reason="  ", actor=actor(question.cora))
    found = bypass(request.pk, reason="players lose everything", actor=actor(question.cora))
    require_approved(found, content_hash(CONTENT))
    for user in (question.aron, boss):
        assert told(user)[-1] == "Emergency bypass: Roll the economy back"
    assert kinds()[-1] == "approvals.bypassed"


def test_it_expires_on_the_clock_and_whoever_asked_is_told(question: Question, clock: ManualClock) -> None:
    with use_clock(clock):
        request = question.ask(minutes=30)
        clock.advance(timedelta(minutes=29))
        assert fire_timers() == 0
        clock.advance(timedelta(minutes=1))
        assert code_of(lambda: approve(request.pk, actor=actor(question.aron))) == "approval_expired"
        assert not waiting_for(question.aron).exists()
        assert fire_timers() == 1
    assert (fresh(request).state, kinds()[-1]) == (_State.EXPIRED, "approvals.expired")
    assert told(question.cora) == ["Expired: Roll the economy back"]
    assert code_of(lambda: require_approved(fresh(request), request.content_hash)) == "approval_expired"


def test_an_approval_holds_until_it_runs_out(question: Question, clock: ManualClock) -> None:
    with use_clock(clock):
        request = approve(question.ask(minutes=30).pk, actor=actor(question.aron))
        clock.advance(timedelta(minutes=30))
        assert code_of(lambda: require_approved(request, request.content_hash)) == "approval_expired"
        fire_timers()
        assert Timer.objects.get(kind="approvals.expire").state == Timer.State.CANCELLED
        assert fresh(request).state == _State.APPROVED
        assert question.ask() != request


def test_without_a_request_there_is_no_approval(question: Question) -> None:
    assert code_of(lambda: require_approved(None, "x")) == "approval_missing"
    assert code_of(lambda: require_approved(question.ask(), content_hash(CONTENT))) == "approval_pending"


def test_the_hash_is_of_what_it_says_not_of_how_it_is_written() -> None:
    assert content_hash({"a": 1, "b": [1, 2]}) == content_hash({"b": [1, 2], "a": 1})
    assert content_hash({"b": [2, 1]}) != content_hash({"b": [1, 2]})


@pytest.mark.parametrize("content", [{"a": "\x00"}, {"\x00": 1}, {"a": float("nan")}, {"a": "\ud800"}, {"a": object()}])
def test_content_that_can_not_be_kept_is_refused(question: Question, content: Any) -> None:
    with pytest.raises(Invalid):
        question.ask(content)
    with pytest.raises(Invalid):
        request_approval(question.subject, {}, title=" ", actor=actor(question.cora))


@pytest.mark.parametrize("reason", ["", "x" * 2001, "a\x00b"])
def test_a_refusal_needs_a_reason_that_can_be_kept(question: Question, reason: str) -> None:
    with pytest.raises(Invalid):
        refuse(question.ask().pk, reason=reason, actor=actor(question.aron))


def test_a_message_that_is_not_sent_yet_is_void_once_it_is_decided(question: Question) -> None:
    request = question.ask()
    letter = Message.objects.get(recipient=question.aron, channel="email")
    assert (letter.guard_kind, letter.guard_run) == ("approvals.request", 1)
    assert approve(request.pk, actor=actor(question.aron)).run == 2


def test_deciding_twice_is_a_conflict_for_another_decider(question: Question) -> None:
    request, other = question.ask(), named("other", "approver")
    approve(request.pk, actor=actor(question.aron))
    with pytest.raises(Conflict, match="by Aron"):
        approve(request.pk, actor=actor(other))


def test_an_account_that_ones_service_account_made_asks_for_the_same_person(question: Question) -> None:
    mona = named("mona", "manager", "approver", "commander")
    bot = create_service_account("bot", groups=["manager"], actor=actor(mona))
    second = create_service_account("second", groups=["viewer"], actor=actor(bot))
    assert second.owner == mona
    older = User.objects.create(username="older", kind=User.Kind.SERVICE, owner=bot)  # from before that was so
    for account in (bot, second, older):
        request = question.ask({"what": account.username}, by=account)
        with pytest.raises(Forbidden, match="own request"):
            approve(request.pk, actor=actor(mona))
        assert not waiting_for(mona).filter(pk=request.pk).exists()
