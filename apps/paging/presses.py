"""What a press in Slack or a reply to a text message does to several pages that came as one message."""

from __future__ import annotations

from apps.foundation.actor import Actor
from apps.foundation.errors import Conflict, NotFound
from apps.messaging.registry import Press
from apps.paging.operations import acknowledge_bundle


def respond(press: Press, actor: Actor) -> str:
    """Acknowledge all of them as the person who pressed. Resolving is done on each incident's own page."""
    if not press.subject.key.isdecimal():
        raise NotFound("There is no such message.")
    if press.action != "acknowledge":
        raise Conflict("These are several incidents: open each of them to resolve it.", code="several_incidents")
    done = acknowledge_bundle(int(press.subject.key), via=press.via, actor=actor)
    return f"You have {len(done)} of them: acknowledged." if done else "Nothing of this waits any more."
