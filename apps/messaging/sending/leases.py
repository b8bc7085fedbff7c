"""Claiming messages, the last look before each is sent, and writing down what became of it.

A claim is a lease with a token. Whoever's token no longer stands in the row is too late: nothing of theirs
is written. No network call happens here.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from apps.foundation.clock import now
from apps.foundation.subjects import Subject, is_visible
from apps.messaging.models import Attempt, Message, WebhookEndpoint
from apps.messaging.queries import due
from apps.messaging.registry import guard

BATCH = 50
NO_OUTCOME = "The worker that tried it stopped before it wrote down what became of it."


def lease_length() -> timedelta:
    return timedelta(seconds=settings.MESSAGE_LEASE_SECONDS)


def attempt_seconds() -> float:
    """How long one attempt may take: it must end, and be written down, well before its lease does."""
    return float(min(settings.MESSAGE_TIMEOUT_SECONDS, settings.MESSAGE_LEASE_SECONDS * 0.6))


def claim(*, but: Iterable[str] = (), at_most: int = BATCH) -> list[Message]:
    """Lease due messages, urgent ones first, and those whose lease ran out; not in the lanes `but`.

    Where an earlier lease ended after the last look and without an outcome, the message may have been sent:
    `maybe_sent_at` and an attempt say so before anybody tries it again. Claimed rows are skipped by others.
    """
    at = now()
    rows = due(at, but=but).select_for_update(skip_locked=True).order_by("priority", "due_at", "id")
    with transaction.atomic():
        left_behind = list(rows.filter(state=Message.State.SENDING)[:at_most])
        queued = list(rows.filter(state=Message.State.QUEUED)[: at_most - len(left_behind)])
        _note_maybe_sent([row for row in left_behind if row.last_look_at is not None], at)
        claimed = sorted([*left_behind, *queued], key=lambda row: (row.priority, row.due_at, row.pk))
        lease = {"lease_token": str(uuid.uuid4()), "lease_until": at + lease_length()}
        if claimed:
            Message.objects.filter(pk__in=[row.pk for row in claimed]).update(
                state=Message.State.SENDING, last_look_at=None, **lease
            )
    for row in claimed:
        row.state, row.last_look_at = Message.State.SENDING, None
        row.lease_token, row.lease_until = str(lease["lease_token"]), at + lease_length()
    return claimed


def _note_maybe_sent(rows: Sequence[Message], at: datetime) -> None:
    if not rows:
        return
    Message.objects.filter(pk__in=[row.pk for row in rows], maybe_sent_at__isnull=True).update(maybe_sent_at=at)
    Attempt.objects.bulk_create(
        [
            Attempt(
                message=row,
                number=row.attempts,
                started_at=row.last_look_at or at,
                outcome=Attempt.Outcome.UNKNOWN,
                detail=NO_OUTCOME,
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )
    for row in rows:
        row.maybe_sent_at = row.maybe_sent_at or at


def look(messages: Sequence[Message]) -> dict[int, str]:
    """The last look before sending; which of `messages` go, each with "" or with the reason why it is void.

    A message that is left out is no longer ours. The look's instant is written first and the guards are read
    after it, so that what ended a run before that instant is always seen. It counts the attempt and renews
    the lease.
    """
    at = now()
    ours = _renew(messages, at)
    found = dict.fromkeys([row.pk for row in ours], "")
    for row in ours:
        row.last_look_at, row.lease_until, row.attempts = at, at + lease_length(), row.attempts + 1
    found |= _stale(ours)
    found |= _unwanted_events(ours)
    return found


def _renew(messages: Sequence[Message], at: datetime) -> list[Message]:
    by_token: dict[str, list[Message]] = defaultdict(list)
    for row in messages:
        by_token[row.lease_token].append(row)
    ours: list[Message] = []
    for token, rows in by_token.items():
        held = Message.objects.filter(
            pk__in=[row.pk for row in rows], lease_token=token, state=Message.State.SENDING, lease_until__gt=at
        )
        # What a provider reports from now on is about this attempt.
        renewed = held.update(
            last_look_at=at, lease_until=at + lease_length(), attempts=F("attempts") + 1, undelivered=""
        )
        if renewed != len(rows):
            kept = set(held.filter(last_look_at=at).values_list("pk", flat=True))
            rows = [row for row in rows if row.pk in kept]  # noqa: PLW2901  # the rest is another worker's now
        ours += rows
    return ours


def _stale(messages: Sequence[Message]) -> dict[int, str]:
    by_kind: dict[str, list[Message]] = defaultdict(list)
    for row in messages:
        if row.guard_kind:
            by_kind[row.guard_kind].append(row)
    found: dict[int, str] = {}
    for kind, rows in by_kind.items():
        current_runs = guard(kind)
        runs: Mapping[str, int] = current_runs([row.guard_key for row in rows]) if current_runs else {}
        for row in rows:
            if runs.get(row.guard_key) != row.guard_run:
                found[row.pk] = f"{kind} {row.guard_key} is no longer in run {row.guard_run}."
    return found


def _unwanted_events(messages: Sequence[Message]) -> dict[int, str]:
    """Events for an endpoint that was paused since, or whose owner may no longer see what they are about."""
    wanted = {row.endpoint_id for row in messages if row.endpoint_id is not None}
    if not wanted:
        return {}
    endpoints = WebhookEndpoint.objects.select_related("owner").in_bulk(list(wanted))
    found: dict[int, str] = {}
    for row in messages:
        if row.endpoint_id is None:
            continue
        row.endpoint = endpoint = endpoints.get(row.endpoint_id)
        if endpoint is None or endpoint.state != WebhookEndpoint.State.ACTIVE:
            found[row.pk] = "The endpoint is paused."
        elif not endpoint.owner.is_active:
            found[row.pk] = "The account of the endpoint's owner is closed."
        elif not is_visible(Subject(row.subject_kind, row.subject_key), endpoint.owner):
            found[row.pk] = "The endpoint's owner may no longer see what this is about."
    return found


def give_back(messages: Sequence[Message], *, after: timedelta = timedelta(0)) -> None:
    """Return claimed messages that were not tried: they are due again `after` from now, their attempts unchanged."""
    by_token: dict[str, list[int]] = defaultdict(list)
    for row in messages:
        by_token[row.lease_token].append(row.pk)
    changes: dict[str, object] = {"state": Message.State.QUEUED, "lease_token": "", "lease_until": None}
    if after:
        changes["due_at"] = now() + after
    for token, pks in by_token.items():
        Message.objects.filter(pk__in=pks, lease_token=token, state=Message.State.SENDING).update(**changes)
