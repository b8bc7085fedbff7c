"""The messages about approvals: to those who may decide, to whoever asked, and about an emergency bypass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from django.conf import settings

from apps.approvals.models import ApprovalRequest
from apps.approvals.queries import deciders_of, subject_of, url
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.people.models import User

GUARD = "approvals.request"
_CHANNELS = (Message.Channel.EMAIL.value,)
_ASKED_PRIORITY, _TOLD_PRIORITY = 1, 3


def clock(at: datetime) -> str:
    """An instant as messages write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def page_of(request: ApprovalRequest) -> str:
    """The address of a request's page."""
    return f"{settings.PUBLIC_URL}{url(str(request.pk))}"


def _enqueue(
    request: ApprovalRequest, people: Iterable[int], *, what: str, title: str, lines: Sequence[str], guarded: bool
) -> None:
    """One message to the inbox and one to each email address of these people; a repeat adds none."""
    link = page_of(request)
    body = "\n".join([*lines, "", "Open it:", link]) + "\n"
    guard = Guard(kind=GUARD, key=str(request.pk), run=request.run) if guarded else None

    def make(user_id: int, channel: str, address: str) -> NewMessage:
        where = sha256(address.encode()).hexdigest()[:16]
        return NewMessage(
            dedupe_key=f"approval:{request.pk}:{request.run}:{what}:{user_id}:{channel}:{where}",
            channel=channel,
            recipient_id=user_id,
            endpoint_id=None,
            address=address,
            subject=subject_of(request),
            title=title[:300],
            body=body,
            payload={"url": link, "approval_id": request.pk},
            priority=_ASKED_PRIORITY if guarded else _TOLD_PRIORITY,
            guard=guard,
        )

    enqueue_many(messages_for_person(sorted(set(people)), channels=_CHANNELS, make=make))


def ask(request: ApprovalRequest) -> None:
    """Ask those who may decide. Once it is decided, what is not sent yet is void."""
    lines = [f"{request.requested_by_name} asks for your approval: {request.title}"]
    if request.reason:
        lines += ["", f"Why: {request.reason}"]
    lines += ["", f"Look at what exactly is asked for, then approve or refuse until {clock(request.expires_at)}."]
    people = [user.pk for user in deciders_of(request)]
    _enqueue(request, people, what="ask", title=f"Approval wanted: {request.title}", lines=lines, guarded=True)


def tell_requester(request: ApprovalRequest, *, but: int | None = None) -> None:
    """Tell whoever asked what became of it, for a service account its owner; not `but`, who did it themselves."""
    requester = request.requested_by
    if requester is None:
        return
    told = requester.owner_id if requester.kind == User.Kind.SERVICE else requester.pk
    if told is None or told == but:
        return
    outcome = str(request.get_state_display())
    who = f" by {request.decided_by_name}" if request.decided_by_name else ""
    lines = [f"Your request is {outcome}{who}: {request.title}"]
    if request.decision_reason:
        lines += ["", f"They said: {request.decision_reason}"]
    if request.state == ApprovalRequest.State.APPROVED:
        lines += ["", f"The approval holds until {clock(request.expires_at)}, for exactly what was asked."]
    title = f"{outcome.partition(':')[0].capitalize()}: {request.title}"
    _enqueue(request, [told], what="told", title=title, lines=lines, guarded=False)


def tell_giver(request: ApprovalRequest, giver_id: int | None) -> None:
    """Tell whoever approved something ahead of time that somebody else took it back."""
    if giver_id is None or giver_id == request.decided_by_id:
        return
    lines = [f"{request.decided_by_name} took back what you had approved ahead of time: {request.title}", ""]
    lines += [f"Why: {request.decision_reason}"]
    title = f"No longer approved ahead: {request.title}"
    _enqueue(request, [giver_id], what="taken-back", title=title, lines=lines, guarded=False)


def tell_of_bypass(request: ApprovalRequest, *, by: User | None) -> None:
    """Tell all who might have decided, and the manager of whoever did without them."""
    people = {user.pk for user in deciders_of(request)}
    if by is not None:
        people |= {by.manager_id} if by.manager_id else set()
        people.discard(by.pk)
    lines = [
        f"{request.decided_by_name} goes on without an approval: {request.title}",
        "",
        f"Why: {request.decision_reason}",
    ]
    _enqueue(request, people, what="bypass", title=f"Emergency bypass: {request.title}", lines=lines, guarded=False)
