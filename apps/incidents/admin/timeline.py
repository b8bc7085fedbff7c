"""The timeline as the command page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib.auth.models import AnonymousUser
from django.utils.safestring import SafeString

from apps.foundation.markdown import to_html
from apps.incidents.admin.showing import Moment, Tone, moment
from apps.incidents.models import TimelineEntry
from apps.incidents.queries import timeline
from apps.people.models import User

MOST_ENTRIES = 400

# kind of entry -> icon (a name of Material Symbols) and tone
_MARKS: dict[str, tuple[str, Tone]] = {
    "declared": ("campaign", "danger"),
    "reopened": ("restart_alt", "danger"),
    "severity": ("priority_high", "warn"),
    "paged": ("call", "warn"),
    "nobody_reachable": ("phone_missed", "danger"),
    "escalation_exhausted": ("notification_important", "danger"),
    "escalation_restarted": ("stairs", "warn"),
    "message_failed": ("sms_failed", "danger"),
    "unacknowledged": ("notifications_active", "danger"),
    "snoozed": ("snooze", ""),
    "held": ("engineering", "warn"),
    "resumed": ("notifications_active", "warn"),
    "condition": ("warning", "warn"),
    "acknowledged": ("check", "ok"),
    "page_answered": ("check", "ok"),
    "role": ("person", "accent"),
    "phase": ("flag", "accent"),
    "milestone": ("flag", "accent"),
    "post": ("chat", ""),
    "resolve_proposed": ("help", "ok"),
    "proposal_withdrawn": ("undo", ""),
    "resolved": ("task_alt", "ok"),
    "visibility": ("lock", ""),
    "access": ("key", ""),
    "alert": ("notifications", "warn"),
    "alert_resolved": ("notifications_off", "ok"),
    "change": ("published_with_changes", ""),
    "runbook": ("play_circle", "accent"),
    "flag": ("power_settings_new", "warn"),
    "config": ("settings_backup_restore", "ok"),
    "review_opened": ("fact_check", "accent"),
    "review_submitted": ("fact_check", "accent"),
    "review_sent_back": ("undo", "warn"),
    "review_reviewed": ("verified", "ok"),
    "review_closed": ("task_alt", "ok"),
    "review_reopened": ("restart_alt", "warn"),
    "review_overdue": ("timer_off", "danger"),
    "item_added": ("add_task", ""),
    "item_finished": ("task_alt", "ok"),
    "item_overdue": ("timer_off", "danger"),
    "item_escalated": ("supervisor_account", "danger"),
}


@dataclass(frozen=True, slots=True)
class EntryView:
    """One line. A post has `html`; everything else has one sentence in `text`."""

    seq: int
    kind: str
    icon: str
    tone: Tone
    author: str
    text: str
    html: SafeString | None
    at: Moment


@dataclass(frozen=True, slots=True)
class TimelineView:
    entries: tuple[EntryView, ...]
    left_out: int
    last_seq: int


def timeline_view(
    incident_id: int, user: User | AnonymousUser, zone: ZoneInfo, at: datetime, *, after: int = 0
) -> TimelineView:
    """The newest entries after `after` that `user` may see, oldest first, with one query."""
    rows = list(timeline(incident_id, user, after=after).order_by("-seq")[:MOST_ENTRIES])[::-1]
    left_out = max(rows[0].seq - after - 1, 0) if rows else 0
    return TimelineView(
        entries=tuple(entry_view(row, zone, at) for row in rows),
        left_out=left_out,
        last_seq=rows[-1].seq if rows else after,
    )


def entry_view(row: TimelineEntry, zone: ZoneInfo, at: datetime) -> EntryView:
    icon, tone = _MARKS.get(row.kind, ("info", ""))
    is_post = row.kind == "post"
    return EntryView(
        seq=row.seq,
        kind=row.kind,
        icon=icon,
        tone=tone,
        author=row.author_name,
        text="" if is_post else row.text,
        html=to_html(row.text) if is_post else None,
        at=moment(row.at, zone, at),
    )
