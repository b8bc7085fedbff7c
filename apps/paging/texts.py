"""What a page says, alone or among others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256

from django.conf import settings
from django.urls import reverse

from apps.foundation.subjects import Subject, subject_url
from apps.messaging.drafts import Guard, NewMessage
from apps.messaging.models import Message
from apps.messaging.registry import Wording
from apps.paging.links import ack_link, bundle_link
from apps.paging.models import EscalationRun, Page, PageBundle

RUN_GUARD = "paging.run"
PAGE_GUARD = "paging.page"
BUNDLE_GUARD = "paging.bundle"
BUNDLE_KIND = "page_bundle"
PAGE_PAYLOAD = "page_id"
BUNDLE_PAYLOAD = "bundle_id"
_PRIORITY = 0
_LONGEST_TITLE = 300
_MOST_LISTED = 20
_MOST_IN_TITLE = 3


class Haste(Enum):
    """MARKED: a condition that was marked calls, whatever the severity. BY_HAND: a person calls this very moment."""

    NONE = "none"
    MARKED = "marked"
    BY_HAND = "by hand"


@dataclass(frozen=True, slots=True)
class Call:
    """A page that was just made, with what its messages need. No channels means all of the person's.

    `haste` says that it waits for less than its severity would.
    """

    page: Page
    severity: str
    title: str
    detected_at: datetime | None
    level_name: str
    channels: tuple[str, ...] = ()
    haste: Haste = Haste.NONE


def page_key(page_id: int, channel: str, address: str) -> str:
    """What makes a page's message to one address one message, whatever asked for it."""
    return f"page:{page_id}:{channel}:{sha256(address.encode()).hexdigest()[:16]}"


def page_message(call: Call, way: NewMessage, names: Mapping[int, str]) -> NewMessage:
    """The message of one page to one address."""
    page = call.page
    subject = Subject(page.subject_kind, page.subject_key)
    # In the inbox people are logged in already, and have the button of the incident's page.
    said = _wording(call, names.get(page.user_id, ""), outside=way.channel != Message.Channel.INBOX)
    return replace(
        way,
        dedupe_key=page_key(page.pk, way.channel, way.address),
        subject=subject,
        title=said.title,
        body=said.body,
        payload=said.payload,
        priority=_PRIORITY,
        guard=_guard(page),
    )


def _wording(call: Call, name: str, *, outside: bool = True, link: str | None = None) -> Wording:
    page = call.page
    subject = Subject(page.subject_kind, page.subject_key)
    url = f"{settings.PUBLIC_URL}{subject_url(subject)}"
    link = (link or ack_link(page)) if outside else ""
    return Wording(
        title=f"{_severity_mark(call)}{call.title}"[:_LONGEST_TITLE],
        body=_body(call, name, link, url),
        payload={PAGE_PAYLOAD: page.pk, "url": url, **({"ack_url": link} if outside else {})},
        subject=subject,
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


def call_of(
    page: Page, run: EscalationRun, level_name: str, channels: Sequence[str], haste: Haste = Haste.NONE
) -> Call:
    """The call of a page that an escalation made."""
    return Call(page, run.severity, run.title, run.detected_at, level_name, tuple(channels), haste)


# --- several pages in one message ---


def bundle_message(bundle: PageBundle, way: NewMessage) -> NewMessage:
    """The message of a bundle to one address. What it says is written when it is sent, of what is open then."""
    link = bundle_link(bundle.pk)
    return replace(
        way,
        dedupe_key=bundle_key(bundle.pk, way.channel, way.address, bundle.due_at, way.due_at),
        subject=Subject(BUNDLE_KIND, str(bundle.pk)),
        title=f"Pages that are told together at {_clock(bundle.due_at)}",
        body="The text is written when this is sent, and names what is open then.\n",
        payload={BUNDLE_PAYLOAD: bundle.pk, "url": link, "ack_url": link},
        priority=_PRIORITY,
        guard=Guard(kind=BUNDLE_GUARD, key=str(bundle.pk), run=1),
    )


def bundle_key(bundle_id: int, channel: str, address: str, due_at: datetime, sent_at: datetime | None) -> str:
    """What makes a bundle's message to one address one message; one that is due later is another."""
    later = int((sent_at - due_at).total_seconds()) if sent_at is not None else 0
    return page_key(bundle_id, channel, address).replace("page:", "bundle:", 1) + (f":{later}" if later else "")


def bundle_wording(bundle: PageBundle, calls: Sequence[Call], name: str) -> Wording:
    """What a bundle says of the pages that are open: one of them alone reads as a page of its own."""
    if len(calls) == 1:
        # A page's own link counts from the page on: it may be over when quiet hours are.
        waited = bundle.reason != PageBundle.Reason.STORM
        alone = _wording(calls[0], name, link=bundle_link(bundle.pk) if waited else None)
        return replace(alone, payload={**alone.payload, BUNDLE_PAYLOAD: bundle.pk})
    link = bundle_link(bundle.pk)
    counted = ", ".join(f"{count} × {severity or 'by name'}" for severity, count in _count(calls).items())
    lines = [
        f"{_severity_mark(call)}{call.title}: {settings.PUBLIC_URL}{subject_url(_subject_of(call))}"
        for call in calls[:_MOST_LISTED]
    ]
    if len(calls) > _MOST_LISTED:
        lines.append(f"and {len(calls) - _MOST_LISTED} more: {link}")
    whom = f"{name}: " if name else ""
    first = [f"{whom}{len(calls)} incidents wait for you ({counted}). {_WHY[PageBundle.Reason(bundle.reason)]}", ""]
    how = ["Acknowledge all of them, or some (one tap, no login):", link, ""]
    body = "\n".join([*first, *how, *lines])
    title = f"{len(calls)} incidents ({counted}): {', '.join(call.title for call in calls[:_MOST_IN_TITLE])}"
    more = f" and {len(calls) - _MOST_IN_TITLE} more" if len(calls) > _MOST_IN_TITLE else ""
    return Wording(
        title=f"{title[: _LONGEST_TITLE - len(more)]}{more}",
        body=f"{body}\n",
        payload={BUNDLE_PAYLOAD: bundle.pk, "url": link, "ack_url": link},
        subject=Subject(BUNDLE_KIND, str(bundle.pk)),
    )


def _count(calls: Iterable[Call]) -> dict[str, int]:
    found: dict[str, int] = {}
    for call in calls:
        found[call.severity] = found.get(call.severity, 0) + 1
    return found


def _subject_of(call: Call) -> Subject:
    return Subject(call.page.subject_kind, call.page.subject_key)


_WHY = {
    PageBundle.Reason.STORM: "They came within one bundle window.",
    PageBundle.Reason.QUIET: "They came in your quiet hours.",
    PageBundle.Reason.LIMIT: "They were over the limit of this channel.",
}
