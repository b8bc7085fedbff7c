"""What a press in Slack, PagerDuty or a text message does to an incident, and what is changed there afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.models import Event
from apps.engine.registry import subscribe_batch
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject
from apps.incidents.events import Acknowledged, Resolved
from apps.incidents.models import Incident
from apps.incidents.operations import acknowledge, resolve
from apps.incidents.queries import SUBJECT_KIND
from apps.messaging.events import MessageTaken
from apps.messaging.posts import News, follow_up
from apps.messaging.registry import Press, register_responder
from apps.people.queries import user_titles

FOLLOWER = "incidents.posts"
_ACTIONS = {Acknowledged.kind: "acknowledge", Resolved.kind: "resolve"}


def respond(press: Press, actor: Actor) -> str:
    """Acknowledge or resolve as the person who pressed, who needs what the button of the page needs."""
    if not press.subject.key.isdecimal():
        raise NotFound("There is no such incident.")
    if press.action == "resolve":
        incident = resolve(int(press.subject.key), actor=actor)
        return f"{incident.number} is resolved."
    incident = acknowledge(int(press.subject.key), actor=actor)
    return f"You have {incident.number}: it is acknowledged."


def follow(events: Sequence[Event]) -> None:
    """Tell where it was posted that somebody has it, or that it is over. A repeat changes nothing.

    What arrived at a provider only after that had been told everywhere else is told of the present state.
    """
    happened = {event.pk: event for event in events if event.kind in _ACTIONS}
    happened |= {event.pk: event for event in _present([event for event in events if event.kind == MessageTaken.kind])}
    ids = {str(event.payload.get("user_id") or event.actor.get("user_id") or "") for event in happened.values()}
    names = user_titles(ids)
    follow_up([_news(happened[pk], names) for pk in sorted(happened)])


def _present(taken: Sequence[Event]) -> list[Event]:
    """The newest answer to each incident that something was sent about, as far as it still holds."""
    ids = {int(event.subject_key) for event in taken if event.subject_kind == SUBJECT_KIND}
    if not ids:
        return []
    rows = Incident.objects.filter(pk__in=ids)
    kinds = {
        str(pk): Resolved.kind if resolved_at else Acknowledged.kind
        for pk, resolved_at, acknowledged_at in rows.values_list("pk", "resolved_at", "acknowledged_at")
        if resolved_at or acknowledged_at
    }
    told = Event.objects.filter(subject_kind=SUBJECT_KIND, subject_key__in=list(kinds), kind__in=list(_ACTIONS))
    newest = {event.subject_key: event for event in told.order_by("pk") if event.kind == kinds[event.subject_key]}
    return list(newest.values())


def _news(event: Event, names: dict[str, str]) -> News:
    done = "Resolved" if event.kind == Resolved.kind else "Acknowledged"
    user_id = str(event.payload.get("user_id") or event.actor.get("user_id") or "")
    name = names.get(user_id) or str(event.payload.get("by") or event.actor.get("name") or "the portal")
    text = f"{done} by {name} at {event.occurred_at:%H:%M:%S} UTC."
    return News(str(event.pk), Subject(event.subject_kind, event.subject_key), _ACTIONS[event.kind], text)


def register() -> None:
    """Called once from `ready()`."""
    register_responder(SUBJECT_KIND, respond)
    subscribe_batch([*_ACTIONS, MessageTaken.kind], FOLLOWER, follow)
