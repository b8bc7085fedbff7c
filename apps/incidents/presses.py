"""What a press in Slack, PagerDuty or a text message does to an incident, and what is changed there afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from apps.engine.models import Event
from apps.engine.registry import subscribe_batch
from apps.foundation.actor import Actor
from apps.foundation.errors import NotFound
from apps.foundation.subjects import Subject
from apps.incidents.events import Acknowledged, Resolved
from apps.incidents.operations import acknowledge, resolve
from apps.incidents.queries import SUBJECT_KIND
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
    """Tell where it was posted that somebody has it, or that it is over. A repeat changes nothing."""
    names = user_titles({str(event.payload.get("user_id") or event.actor.get("user_id") or "") for event in events})
    follow_up([_news(event, names) for event in sorted(events, key=lambda event: event.pk)])


def _news(event: Event, names: dict[str, str]) -> News:
    done = "Resolved" if event.kind == Resolved.kind else "Acknowledged"
    user_id = str(event.payload.get("user_id") or event.actor.get("user_id") or "")
    name = names.get(user_id) or str(event.payload.get("by") or event.actor.get("name") or "the portal")
    text = f"{done} by {name} at {event.occurred_at:%H:%M:%S} UTC."
    return News(str(event.pk), Subject(event.subject_kind, event.subject_key), _ACTIONS[event.kind], text)


def register() -> None:
    """Called once from `ready()`."""
    register_responder(SUBJECT_KIND, respond)
    subscribe_batch(list(_ACTIONS), FOLLOWER, follow)
