"""What executions publish, whom they write to, and the one page when something can't be undone."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings

from apps.engine.events import DomainEvent
from apps.engine.operations import publish, report_fault
from apps.foundation.actor import Actor
from apps.foundation.subjects import is_visible
from apps.incidents.policy import roles
from apps.incidents.queries import current_roles
from apps.messaging.drafts import NewMessage
from apps.messaging.models import Message
from apps.messaging.operations import enqueue_many, messages_for_person
from apps.paging.operations import page_people
from apps.people.models import User
from apps.runbooks.models import Execution, LogLine, StepRun
from apps.runbooks.queries import execution_subject, execution_url, subject_of

_LONGEST_LINE = 4000


def tell(execution: Execution, event: DomainEvent, actor: Actor) -> None:
    """Publish an event about an execution."""
    publish(event, subject=subject_of(execution), actor=actor)


def log(execution: Execution, text: str, *, step: StepRun | None = None, level: str = "info") -> None:
    """One line for the live page, in the caller's transaction. `text` holds no secrets any more."""
    LogLine.objects.create(execution_id=execution.pk, step=step, level=level, text=text[:_LONGEST_LINE])


def commander_id(execution: Execution) -> int | None:
    """Who commands the linked incident now."""
    incident = execution.incident
    if incident is None:
        return None
    held = current_roles([incident.pk])[incident.pk].get(roles(incident.policy_version_id).commander.slug)
    return held.user_id if held else None


def write_to(execution: Execution, user_ids: Iterable[int | None], *, key: str, title: str, body: str) -> None:
    """A message to the inboxes and mail addresses of those who may see the execution; once for each `key`."""
    subject = execution_subject(execution.pk)
    people = User.objects.filter(pk__in={pk for pk in user_ids if pk is not None}, is_active=True)
    seeing = [person.pk for person in people if is_visible(subject, person)]
    url = f"{settings.PUBLIC_URL}{execution_url(str(execution.pk))}"

    def make(user_id: int, channel: str, address: str) -> NewMessage:
        return NewMessage(
            dedupe_key=f"execution:{execution.pk}:{key}:{user_id}:{channel}:{address}",
            channel=channel,
            recipient_id=user_id,
            endpoint_id=None,
            address=address,
            subject=subject,
            title=title[:300],
            body=body if channel == Message.Channel.INBOX else f"{body}\n\n{url}\n",
            payload={"url": url},
            priority=1,
        )

    enqueue_many(messages_for_person(seeing, channels=[Message.Channel.EMAIL], make=make))


def write_to_those_concerned(execution: Execution, *, key: str, title: str, body: str) -> None:
    """The same, to the requester, to whoever started it, and to the commander of the linked incident."""
    people = [execution.requested_by_id, execution.started_by_id, commander_id(execution)]
    write_to(execution, people, key=key, title=title, body=body)


def call_for_help(execution: Execution, step: StepRun, error: str, actor: Actor) -> None:
    """Page one person because something can't be undone: the commander, else the requester.

    Without an incident, or anybody to page, the portal reports a fault about itself, which pages its own team.
    """
    title = f"{execution.runbook.name} #{execution.pk}: “{step.name}” failed for good"
    wanted = [commander_id(execution), execution.requested_by_id, execution.started_by_id]
    active = User.objects.filter(is_active=True, kind=User.Kind.PERSON).in_bulk([pk for pk in wanted if pk])
    first = next((pk for pk in wanted if pk in active), None)
    if execution.incident is not None and first is not None:
        page_people(subject_of(execution), [first], reason=f"{title}: {error}"[:200], actor=actor)
    else:
        report_fault(f"execution:{execution.pk}:undo", title, f"It needs a person: {error}")
    write_to_those_concerned(execution, key="undo-failed", title=title, body=error)
