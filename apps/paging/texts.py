"""What a page says, and to which addresses it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.conf import settings
from django.urls import reverse

from apps.foundation.subjects import Subject, subject_url
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import messages_for_person
from apps.paging.links import ack_link
from apps.paging.models import EscalationRun, Page
from apps.paging.other_ways import PAGE_PAYLOAD, page_key

RUN_GUARD = "paging.run"
PAGE_GUARD = "paging.page"
_PRIORITY = 0
_LONGEST_TITLE = 300


@dataclass(frozen=True, slots=True)
class Call:
    """A page that was just made, with what its messages need. No channels means all of the person's."""

    page: Page
    severity: str
    title: str
    detected_at: datetime | None
    level_name: str
    channels: tuple[str, ...] = ()


def page_messages(calls: Sequence[Call], names: Mapping[int, str]) -> list[NewMessage]:
    """The messages of new pages: one to the inbox and one to each usable address of the person.

    A constant number of queries. A level may limit the channels; the inbox always gets it.
    """
    ways: dict[int, list[NewMessage]] = {}
    for way in messages_for_person(list({call.page.user_id for call in calls}), channels=None):
        if way.recipient_id is not None:
            ways.setdefault(way.recipient_id, []).append(way)
    return [
        _message(call, way, names)
        for call in calls
        for way in ways.get(call.page.user_id, ())
        if not call.channels or way.channel == Message.Channel.INBOX or way.channel in call.channels
    ]


def _message(call: Call, way: NewMessage, names: Mapping[int, str]) -> NewMessage:
    page = call.page
    subject = Subject(page.subject_kind, page.subject_key)
    link, url = ack_link(page), f"{settings.PUBLIC_URL}{subject_url(subject)}"
    # In the inbox people are logged in already, and have the button of the incident's page.
    outside = way.channel != Message.Channel.INBOX
    return replace(
        way,
        dedupe_key=page_key(page.pk, way.channel, way.address),
        subject=subject,
        title=f"{_severity_mark(call)}{call.title}"[:_LONGEST_TITLE],
        body=_body(call, names.get(page.user_id, ""), link if outside else "", url),
        payload={PAGE_PAYLOAD: page.pk, "url": url, **({"ack_url": link} if outside else {})},
        priority=_PRIORITY,
        guard=_guard(page),
    )


def _guard(page: Page) -> Guard:
    """A page of a track is void once its run is over; one that a person made, once it is answered or not needed."""
    if page.escalation_id is None:
        return Guard(kind=PAGE_GUARD, key=str(page.pk), run=1)
    return Guard(kind=RUN_GUARD, key=str(page.escalation_id), run=page.run)


def _severity_mark(call: Call) -> str:
    return f"[{call.severity}] " if call.severity else ""


def _body(call: Call, name: str, link: str, url: str) -> str:
    why = " ".join(part for part in (call.page.reason, _as_whom(call)) if part)
    lines = [
        f"{_severity_mark(call)}{call.title}",
        "",
        f"{name}: {why}" if name else why,
        f"Paged at {_clock(call.page.created_at)}." + (_detected(call) if call.detected_at else ""),
        "",
    ]
    if link:
        lines += ["Acknowledge, so that others know that you have it (one tap, no login):", link, ""]
    lines += ["Open the incident:", url]
    if not link:
        lines += [
            "Acknowledge there, so that others know that you have it.",
            "",
            "Why you were paged:",
            why_link(call.page),
        ]
    return "\n".join(lines) + "\n"


def why_link(page: Page) -> str:
    """The absolute address of the page that tells why somebody was paged, and why nobody was."""
    return (
        f"{settings.PUBLIC_URL}{reverse('admin:paging_escalationrun_why', args=[page.subject_kind, page.subject_key])}"
    )


def _as_whom(call: Call) -> str:
    """As what somebody is called; empty where a person called them by name."""
    page = call.page
    if page.escalation_id is None:
        return "" if page.reason else f"You are paged as {page.role}."
    level = f"level {page.level}: {call.level_name}" if page.level else call.level_name
    return f"You are paged as {page.role}, {level}."


def _detected(call: Call) -> str:
    return f" Detected at {_clock(call.detected_at)}." if call.detected_at else ""


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def call_of(page: Page, run: EscalationRun, level_name: str, channels: Sequence[str]) -> Call:
    """The call of a page that an escalation made."""
    return Call(page, run.severity, run.title, run.detected_at, level_name, tuple(channels))
